//! Logs: one JSON object a line, on standard error.

use super::writer;
use std::io;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;

/// Logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error("expected a filter such as info or warn,api=debug: {0}")]
    Filter(#[from] ParseError),
    /// There is no thread to write the lines.
    #[error("no thread for the log: {0}")]
    Thread(#[from] io::Error),
}

/// Starts logging what `filter` lets through, for example `info` or `warn,api=debug`. Panics are
/// logged as well, in the span of the request that they end. Called once, first of all; a second
/// call changes nothing. [`flush_logs`](super::flush_logs) belongs at the end of the process.
///
/// # Errors
/// [`LogError`].
pub fn init_logs(filter: &str) -> Result<(), LogError> {
    let subscriber = subscriber(filter, writer::to_stderr()?)?;
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            let location = panic.location().map(ToString::to_string).unwrap_or_default();
            let payload = panic.payload();
            let text = payload.downcast_ref::<&str>().copied();
            let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
            let message = text.unwrap_or("no message");
            tracing::error!(panic.location = location, panic.message = message, "a task panicked");
        }));
    }
    Ok(())
}

/// Every line names the request that it belongs to, in its span.
pub(crate) fn subscriber<W>(
    filter: &str,
    writer: W,
) -> Result<impl Subscriber + Send + Sync, LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder().parse(filter)?;
    Ok(tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_writer(writer)
        .finish())
}
