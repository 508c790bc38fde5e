//! An answer on its way: counted for as long as it is in memory, and ended when its client does not take it.

use super::budget::{Held, Share};
use super::patient::SEND_PATIENCE;
use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use slab::Slab;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// What is handed over at once. Every so many bytes are progress, so this bounds how slowly a client of HTTP/2 may
/// take an answer: in ten seconds so many.
const SLICE: usize = 16 * 1024;

/// What a stream without an end counts as: the pieces that it holds.
const STREAM_BYTES: usize = 64 * 1024;

/// The requests of one HTTP/2 connection. HTTP/1 has one at a time, and what it does not take stalls the connection
/// itself.
pub(super) struct Requests {
    began: Instant,
    open: Mutex<Open>,
}

struct Open {
    /// Requests whose answer has not been handed over.
    at_work: usize,
    /// Answers that their client has not taken.
    answers: Slab<Weak<Sending>>,
    last_change: Instant,
}

/// What the requests of a connection say of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Activity {
    /// There has been nothing to do for so long.
    Idle(Duration),
    /// A client does not take its answer.
    Stalled,
    Busy,
}

impl Requests {
    pub(super) fn new() -> Arc<Self> {
        let now = Instant::now();
        let open = Open { at_work: 0, answers: Slab::new(), last_change: now };
        Arc::new(Self { began: now, open: Mutex::new(open) })
    }

    pub(super) fn begin(self: &Arc<Self>) -> AtWork {
        self.open().at_work += 1;
        AtWork(Arc::clone(self))
    }

    pub(super) fn activity(&self) -> Activity {
        let open = self.open();
        let is_idle = open.at_work == 0 && open.answers.is_empty();
        let idle = is_idle.then(|| open.last_change.elapsed());
        let answers: Vec<_> =
            open.answers.iter().filter_map(|(_, answer)| answer.upgrade()).collect();
        // Ours may be the last hold on one that has just been taken, and to let it go takes the lock.
        drop(open);
        match idle {
            Some(time) => Activity::Idle(time),
            None if answers.iter().any(|answer| answer.is_stalled(self.now())) => Activity::Stalled,
            None => Activity::Busy,
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A request until its answer has been handed over.
pub(super) struct AtWork(Arc<Requests>);

impl Drop for AtWork {
    fn drop(&mut self) {
        let mut open = self.0.open();
        open.at_work -= 1;
        open.last_change = Instant::now();
    }
}

/// What is known of an answer as long as a byte of it is in memory.
struct Sending {
    _held: Held,
    /// Where it is listed, on HTTP/2.
    listed: Option<(Arc<Requests>, usize)>,
    /// When the client last took something, in milliseconds of the connection.
    progress: AtomicU64,
    /// Slices that the client has not taken.
    handed_over: AtomicU32,
    /// The rest is not there yet: whoever waits does not wait for the client.
    waits_for_us: AtomicBool,
}

impl Sending {
    fn new(held: Held, requests: Option<&Arc<Requests>>) -> Arc<Self> {
        Arc::new_cyclic(|this| {
            let listed = requests.map(|requests| {
                (Arc::clone(requests), requests.open().answers.insert(Weak::clone(this)))
            });
            Self {
                _held: held,
                progress: AtomicU64::new(requests.map_or(0, |requests| requests.now())),
                listed,
                handed_over: AtomicU32::new(0),
                waits_for_us: AtomicBool::new(false),
            }
        })
    }

    fn is_stalled(&self, now: u64) -> bool {
        let waits_for_us = self.waits_for_us.load(Ordering::Relaxed)
            && self.handed_over.load(Ordering::Relaxed) == 0;
        let since = now.saturating_sub(self.progress.load(Ordering::Relaxed));
        !waits_for_us && u128::from(since) >= SEND_PATIENCE.as_millis()
    }

    fn moves(&self) {
        if let Some((requests, _)) = &self.listed {
            self.progress.store(requests.now(), Ordering::Relaxed);
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if let Some((requests, key)) = &self.listed {
            let mut open = requests.open();
            open.answers.remove(*key);
            open.last_change = Instant::now();
        }
    }
}

/// Bytes of an answer until they were sent.
struct Slice {
    bytes: Bytes,
    sending: Arc<Sending>,
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Slice {
    fn drop(&mut self) {
        self.sending.handed_over.fetch_sub(1, Ordering::Relaxed);
        self.sending.moves();
    }
}

/// The body of an answer, handed over slice by slice.
pub(super) struct Answer {
    body: Body,
    /// What the body gave and is not handed over.
    rest: Bytes,
    /// None: it is empty.
    sending: Option<Arc<Sending>>,
    _at_work: Option<AtWork>,
}

impl Answer {
    /// Counts a body as what its client has in flight; the body back when that is too much.
    pub(super) fn new(
        body: Body,
        share: &Arc<Share>,
        at_work: Option<AtWork>,
    ) -> Result<Self, Option<AtWork>> {
        let bytes = body
            .size_hint()
            .exact()
            .map_or(STREAM_BYTES, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        let sending = match (bytes, share.hold(bytes)) {
            (0, _) => None,
            (_, None) => return Err(at_work),
            (_, Some(held)) => {
                Some(Sending::new(held, at_work.as_ref().map(|AtWork(requests)| requests)))
            }
        };
        Ok(Self { body, rest: Bytes::new(), sending, _at_work: at_work })
    }

    /// A short answer that always has room.
    pub(super) fn uncounted(body: Body, at_work: Option<AtWork>) -> Self {
        Self { body, rest: Bytes::new(), sending: None, _at_work: at_work }
    }

    fn hand_over(&mut self) -> Frame<Bytes> {
        let bytes = self.rest.split_to(self.rest.len().min(SLICE));
        let Some(sending) = &self.sending else { return Frame::data(bytes) };
        sending.handed_over.fetch_add(1, Ordering::Relaxed);
        sending.waits_for_us.store(false, Ordering::Relaxed);
        sending.moves();
        Frame::data(Bytes::from_owner(Slice { bytes, sending: Arc::clone(sending) }))
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        loop {
            if !self.rest.is_empty() {
                return Poll::Ready(Some(Ok(self.hand_over())));
            }
            let frame = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => {
                    if let Some(sending) = &self.sending {
                        sending.waits_for_us.store(true, Ordering::Relaxed);
                    }
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(ended) => return Poll::Ready(ended),
            };
            match frame.into_data() {
                Ok(bytes) => self.rest = bytes,
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        let mut hint = self.body.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::super::budget::Budget;
    use super::*;

    /// An answer may be taken by another thread at the very moment at which its connection is looked at.
    #[test]
    fn an_answer_that_ends_while_it_is_looked_at_holds_nobody_up() {
        let (requests, share) = (Requests::new(), Budget::in_flight().share());
        let (done, ended) = std::sync::mpsc::channel();
        let looked_at = Arc::clone(&requests);
        std::thread::spawn(move || {
            for _ in 0..100_000 {
                let answer = Answer::new(Body::from("x"), &share, Some(looked_at.begin()));
                drop(answer);
            }
            done.send(())
        });
        let looking = Arc::clone(&requests);
        std::thread::spawn(move || {
            // The other one has the other reference.
            while Arc::strong_count(&looking) > 2 {
                std::hint::black_box(looking.activity());
            }
        });
        ended.recv_timeout(Duration::from_secs(60)).expect("nobody waits for themselves");
    }
}
