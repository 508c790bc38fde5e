//! How a process is told to stop.

use tokio_util::sync::CancellationToken;

/// Cancelled by SIGTERM or Ctrl-C. A second one ends the process at once. Must be called within a Tokio
/// runtime.
///
/// # Errors
/// When signals cannot be heard.
pub fn told_to_stop() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        for told_before in [false, true] {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            if told_before {
                std::process::exit(130);
            }
            token.cancel();
        }
    });
    Ok(stop)
}
