//! SIGTERM and SIGINT request an orderly stop, SIGHUP a reload of what can be reloaded.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::error_code::ErrorCode;

/// Requests to this process by signals.
#[derive(Debug)]
pub struct Signals {
    /// Cancelled at the first SIGTERM or SIGINT. Work in progress that must not be interrupted is
    /// then finished; a second signal ends the process at once.
    pub stop: CancellationToken,
    /// One message for each SIGHUP; several in quick succession are merged.
    pub reload: mpsc::Receiver<()>,
}

/// Listens for signals. Those that were ignored when this process was started (SIGHUP under
/// `nohup`, SIGINT after a shell's `&`) stay ignored; SIGTERM is always handled.
///
/// # Errors
/// If the system refuses the handlers.
pub fn listen_to_signals() -> io::Result<Signals> {
    let ignored = Ignored::by_this_process();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = ignored.stream_unless_ignored(SignalKind::interrupt())?;
    let mut hangup = ignored.stream_unless_ignored(SignalKind::hangup())?;
    let (hung_up, reload) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                () = received(&mut interrupt) => "SIGINT",
            }
        };
        let name = next().await;
        // First, so that a problem with the log does not keep the node from stopping.
        token.cancel();
        tracing::info!(signal = name, "stopping");
        let name = next().await;
        tracing::warn!(signal = name, "ended at once");
        std::process::exit(i32::from(ErrorCode::Interrupted.exit_code()));
    });
    tokio::spawn(async move {
        loop {
            received(&mut hangup).await;
            // If the channel is full, the node will reload anyway.
            let _ = hung_up.try_send(());
        }
    });
    Ok(Signals { stop, reload })
}

/// Waits for the signal; for ever if it is ignored.
async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// The set of ignored signals, one bit each, signal 1 in the lowest.
struct Ignored(u64);

impl Ignored {
    /// As Linux reports it. Must be read before a handler is set, because that ends the ignoring.
    fn by_this_process() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self::of_status(&status)
    }

    fn of_status(status: &str) -> Self {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        Self(mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0))
    }

    fn has(&self, kind: SignalKind) -> bool {
        u32::try_from(kind.as_raw_value() - 1)
            .ok()
            .and_then(|bit| self.0.checked_shr(bit))
            .is_some_and(|mask| mask & 1 == 1)
    }

    fn stream_unless_ignored(&self, kind: SignalKind) -> io::Result<Option<Signal>> {
        if self.has(kind) { Ok(None) } else { signal(kind).map(Some) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nohup_ignores_is_seen() {
        let under =
            |mask: &str| Ignored::of_status(&format!("Name:\tx\nSigIgn:\t{mask}\nSigCgt:\tffff\n"));
        let nohup = under("0000000000001001");
        assert!(nohup.has(SignalKind::hangup()) && !nohup.has(SignalKind::interrupt()));
        assert!(under("0000000000001002").has(SignalKind::interrupt()));
        let none = Ignored::of_status("Name:\tx\n");
        assert!(!none.has(SignalKind::hangup()) && !none.has(SignalKind::terminate()));
    }
}
