//! Logs: one JSON object a line, on standard error.

use std::io;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// The filter cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("GOMALL_LOG: expected a filter such as info or warn,api=debug: {0}")]
pub struct InvalidFilter(#[from] ParseError);

/// Starts logging what `filter` lets through, for example `info` or `warn,api=debug`. Panics are
/// logged as well, in the span of the request that they end. Called once, first of all; a second
/// call changes nothing.
///
/// # Errors
/// [`InvalidFilter`].
pub fn init_logs(filter: &str) -> Result<(), InvalidFilter> {
    let filter = EnvFilter::builder().parse(filter)?;
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .finish();
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
