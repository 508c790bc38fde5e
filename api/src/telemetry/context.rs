//! What every log line, event and error of one request has in common.

use crate::http::{Problem, Unguarded};
use axum::http::{Extensions, HeaderMap};
use std::fmt;
use tokio::task::JoinHandle;
use tracing::Instrument;
use uuid::Uuid;

tokio::task_local! {
    /// The request that the current task serves.
    static REQUEST: RequestContext;
}

/// One request's identity: in its extensions for handlers, around its task for logs and errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestContext {
    /// Ours, new for every request; the correlation id of all events that it leads to.
    pub request_id: Uuid,
    /// The trace that the request belongs to; the caller's if it named one.
    pub trace: TraceContext,
}

impl RequestContext {
    /// The context of a request with these headers: the caller's trace goes on if `traceparent` is
    /// valid, else one begins. `request_id` and `span_id` must be new.
    #[must_use]
    pub fn new(headers: &HeaderMap, request_id: Uuid, span_id: u64) -> Self {
        let mut values = headers.get_all("traceparent").iter();
        let (first, more) = (values.next(), values.next());
        let received = first.filter(|_| more.is_none()).and_then(|value| value.to_str().ok());
        let trace = match received.and_then(TraceContext::parse) {
            Some(caller) => TraceContext { span_id, ..caller },
            None => TraceContext { trace_id: request_id.as_u128(), span_id, flags: 0 },
        };
        Self { request_id, trace }
    }

    /// The context of the request with these extensions.
    ///
    /// # Errors
    /// 500 on a router that is not wrapped by the edge.
    pub fn of(extensions: &Extensions) -> Result<&Self, Problem> {
        extensions.get().ok_or_else(|| Problem::internal(&Unguarded))
    }

    /// Runs `work` as this request's.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        REQUEST.scope(self, work).await
    }
}

/// Runs `work` in a task of its own that goes on when whoever waits for it does not, as part of the
/// request that the current task serves.
pub fn spawn<F>(work: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    match REQUEST.try_with(RequestContext::clone) {
        Ok(request) => tokio::spawn(request.scope(work).in_current_span()),
        Err(_) => tokio::spawn(work.in_current_span()),
    }
}

/// The trace id of the request that the current task serves; empty outside of one.
#[must_use]
pub fn trace_id() -> String {
    REQUEST.try_with(|request| request.trace.trace_id()).unwrap_or_default()
}

/// A position in a distributed trace (W3C Trace Context, version 00).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

impl TraceContext {
    /// Reads a `traceparent`. Versions above 00 are read by their first four fields, as the
    /// standard asks.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split('-');
        let version = hex(fields.next()?, 2)?;
        let trace_id = hex(fields.next()?, 32)?;
        let span_id = u64::try_from(hex(fields.next()?, 16)?).ok()?;
        let flags = u8::try_from(hex(fields.next()?, 2)?).ok()?;
        let has_more = fields.next().is_some();
        let acceptable = version != 0xff && !(version == 0 && has_more);
        (acceptable && trace_id != 0 && span_id != 0).then_some(Self { trace_id, span_id, flags })
    }

    /// 32 hexadecimal digits in lower case.
    #[must_use]
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }
}

/// The `traceparent` to hand on.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

/// `digits` hexadecimal digits in lower case.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (text.len() == digits && text.bytes().all(is_hex))
        .then(|| u128::from_str_radix(text, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_valid_traceparent_goes_on_under_a_span_of_ours() {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", HeaderValue::from_static(PARENT));
        let context = RequestContext::new(&headers, Uuid::from_u128(7), 9);
        assert_eq!(
            context.trace.to_string(),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000009-01"
        );
    }

    #[test]
    fn an_invalid_traceparent_begins_a_trace() {
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(bad), None, "{bad}");
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", HeaderValue::from_static(bad));
            let context = RequestContext::new(&headers, Uuid::from_u128(7), 9);
            assert_eq!(
                context.trace.to_string(),
                "00-00000000000000000000000000000007-0000000000000009-00"
            );
        }
    }

    #[test]
    fn a_later_version_is_read_by_its_first_fields() {
        let later = format!("cc{}-what-else", &PARENT[2..]);
        assert_eq!(TraceContext::parse(&later), TraceContext::parse(PARENT));
    }
}
