//! SIGTERM and SIGINT ask for an orderly stop.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error_code::ErrorCode;

/// A token that is cancelled at the first SIGTERM, SIGINT or SIGHUP. What runs then finishes what must not be torn and
/// returns; a second signal ends the process at once.
///
/// # Errors
/// If the system refuses the handlers.
pub fn stop_on_signals() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
                _ = hangup.recv() => "SIGHUP",
            }
        };
        let name = next().await;
        // First: whatever becomes of the log must not keep the node from stopping.
        token.cancel();
        tracing::info!(signal = name, "stopping");
        let name = next().await;
        tracing::warn!(signal = name, "ended at once");
        std::process::exit(i32::from(ErrorCode::Interrupted.exit_code()));
    });
    Ok(stop)
}
