//! What a connection has received of requests that have not begun: the library buffers it, and nobody else counts it.
//!
//! Counted is what was read less what has become of it: the head of a request that has begun, and its body. Of each
//! connection the first [`FREE`] bytes do not count, so that whoever fills the sum keeps nobody's usual request out.
//!
//! It also sees a fragment in a request's target, which the library would leave out: it becomes a byte that no target
//! has, and the library answers 400. Where a request follows another without a pause the beginning of its line is
//! not known, and in HTTP/2 the target is compressed; a fragment is left out there.

use super::budget::{Held, Share};
use axum::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use axum::http::{HeaderMap, Request};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What every connection may have without being counted: more than a usual head has, and no more than the library
/// makes room for at once. All connections together have 32 MiB of it.
const FREE: i64 = 4 * 1024;

/// So little that is left after a request is nothing: spaces that are not part of a header.
const SLACK: i64 = 512;

/// No target has this byte, and a request with it is refused.
const NO_TARGET: u8 = 0x01;

/// The heads of one connection.
pub(super) struct Heads {
    speaks_http2: bool,
    reading: Mutex<Reading>,
}

struct Reading {
    held: Held,
    /// Bytes that were read and have not become a request; negative while a body is still to come.
    left: i64,
    /// Requests whose bodies may be coming in: what is read then is theirs.
    at_work: usize,
    /// Whether the next byte, or one of those before it, began a request's line.
    is_in_line: bool,
}

/// A request from its head to the beginning of its answer.
pub(super) struct Begun {
    heads: Arc<Heads>,
    body: Length,
}

/// How much of a body follows a head.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    Nothing,
    Known(i64),
    /// It is in chunks, with who knows what between them.
    Unknown,
}

impl Heads {
    pub(super) fn new(share: &Arc<Share>, speaks_http2: bool) -> Arc<Self> {
        let reading =
            Reading { held: share.nothing(), left: 0, at_work: 0, is_in_line: !speaks_http2 };
        Arc::new(Self { speaks_http2, reading: Mutex::new(reading) })
    }

    /// Takes note of what was read; whether it is not too much.
    pub(super) fn received(&self, bytes: &mut [u8]) -> bool {
        let mut reading = self.reading();
        if reading.is_in_line {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            reading.is_in_line = end.is_none();
            let end = end.unwrap_or(bytes.len());
            bytes[..end]
                .iter_mut()
                .filter(|byte| **byte == b'#')
                .for_each(|byte| *byte = NO_TARGET);
        }
        reading.left = reading.left.saturating_add_unsigned(bytes.len() as u64);
        reading.at_work > 0 || reading.hold()
    }

    /// A request has begun.
    pub(super) fn begin<B>(self: &Arc<Self>, request: &Request<B>) -> Begun {
        let mut reading = self.reading();
        let body = if self.speaks_http2 { Length::Unknown } else { Length::of(request.headers()) };
        if self.speaks_http2 {
            reading.left = 0;
        } else {
            reading.left = reading.left.saturating_sub(head_bytes(request));
        }
        if body == Length::Nothing {
            reading.settle(self.speaks_http2);
        } else {
            reading.at_work += 1;
            let _less = reading.held.keep(0);
        }
        drop(reading);
        Begun { heads: Arc::clone(self), body }
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reading {
    fn hold(&mut self) -> bool {
        let counted = usize::try_from(self.left.saturating_sub(FREE)).unwrap_or(0);
        self.held.keep(counted)
    }

    /// What is left belongs to the next request.
    fn settle(&mut self, speaks_http2: bool) {
        if (0..SLACK).contains(&self.left) {
            self.left = 0;
        }
        self.is_in_line = !speaks_http2 && self.left == 0;
        // One that is too much by now is refused when it goes on.
        let _fits_or_not = self.hold();
    }
}

impl Begun {
    /// Whether nobody can say where the next request begins: the connection must end with this one's answer.
    pub(super) fn is_last(&self) -> bool {
        self.body == Length::Unknown && !self.heads.speaks_http2
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let mut reading = self.heads.reading();
        match self.body {
            Length::Nothing => return,
            Length::Known(bytes) => reading.left = reading.left.saturating_sub(bytes),
            Length::Unknown => reading.left = 0,
        }
        reading.at_work -= 1;
        if reading.at_work == 0 {
            reading.settle(self.heads.speaks_http2);
        }
    }
}

impl Length {
    fn of(headers: &HeaderMap) -> Self {
        if headers.contains_key(TRANSFER_ENCODING) {
            return Self::Unknown;
        }
        let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        match length.map(str::parse) {
            None | Some(Ok(0)) => Self::Nothing,
            Some(Ok(bytes)) => Self::Known(bytes),
            // The library refuses it.
            Some(Err(_)) => Self::Unknown,
        }
    }
}

/// What a head takes on the wire, but for spaces that do not count.
fn head_bytes<B>(request: &Request<B>) -> i64 {
    let line = request.method().as_str().len() + " ".len() + " HTTP/1.1\r\n".len() + "\r\n".len();
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let header = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
        name.as_str().len() + ": \r\n".len() + value.len()
    };
    let headers: usize = request.headers().iter().map(header).sum();
    i64::try_from(line + target + headers).unwrap_or(i64::MAX)
}
