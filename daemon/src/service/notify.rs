//! Telling systemd how it goes (Type=notify, WatchdogSec). Without systemd nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

/// Tells systemd that the daemon listens and has its state back.
pub fn notify_ready() {
    send(&[NotifyState::Ready]);
}

/// One line for `systemctl status`.
pub fn notify_status(line: &str) {
    send(&[NotifyState::Status(line)]);
}

/// Tells systemd that the daemon is stopping on purpose.
pub fn notify_stopping() {
    send(&[NotifyState::Stopping]);
}

/// The watchdog's pulse. The host calls [`Self::beat`] from its loop; a loop that hangs is restarted by systemd.
#[derive(Debug)]
pub struct Heartbeat {
    interval: Option<Duration>,
}

impl Heartbeat {
    /// Reads what systemd asks for.
    #[must_use]
    pub fn from_environment() -> Self {
        // Half of it: one late beat must not be fatal.
        Self { interval: sd_notify::watchdog_enabled().map(|whole| whole / 2) }
    }

    /// How often to [`Self::beat`]; `None` without a watchdog.
    #[must_use]
    pub const fn interval(&self) -> Option<Duration> {
        self.interval
    }

    /// The loop is alive.
    pub fn beat(&self) {
        if self.interval.is_some() {
            send(&[NotifyState::Watchdog]);
        }
    }

    /// Waits until the next beat is due; for ever without a watchdog, or until `stop`.
    pub async fn due(&self, stop: &CancellationToken) {
        match self.interval {
            Some(interval) => tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = stop.cancelled() => {}
            },
            None => stop.cancelled().await,
        }
    }
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd was not told");
    }
}
