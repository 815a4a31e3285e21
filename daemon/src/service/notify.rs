//! Telling systemd how it goes (Type=notify, WatchdogSec). Without systemd nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::control::api::{NodeStatus, Severity, word};

/// Tells systemd that the daemon runs and answers on its control socket. It may still wait for something; that is what
/// [`tell_status`] says and `/readyz` is for.
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

/// Keeps `systemctl status` up to date: what the node waits for or what is wrong, the worst first, or what it does. Ends
/// with the node.
pub async fn tell_status(mut status: watch::Receiver<NodeStatus>) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let mut told = String::new();
    loop {
        let line = status_line(&status.borrow_and_update());
        if line != told {
            notify_status(&line);
            told = line;
        }
        if status.changed().await.is_err() {
            return;
        }
    }
}

fn status_line(status: &NodeStatus) -> String {
    let worst = status
        .conditions
        .iter()
        .rev()
        .filter(|condition| condition.severity > Severity::Notice)
        .max_by_key(|condition| condition.severity);
    // A line end would begin another field of the message.
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    match (worst, &status.machine) {
        (Some(condition), _) => one_line(&condition.message),
        (None, Some(machine)) => format!("round {}, {}", machine.round, word(&machine.phase)),
        (None, None) => word(&status.state),
    }
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

#[cfg(test)]
mod tests {
    use fedshield_protocol::ids::IdentityKey;

    use super::*;
    use crate::control::api::Condition;

    #[test]
    fn systemd_is_told_the_worst_of_what_holds_on_one_line() {
        let mut status = NodeStatus::starting("a", IdentityKey([1; 32]));
        assert_eq!(status_line(&status), "idle");
        for (name, severity, message) in [
            ("a", Severity::Notice, "good to know"),
            ("b", Severity::Blocking, "the model is\nmissing"),
            ("c", Severity::Warning, "the dashboard has no address"),
        ] {
            status.conditions.push(Condition::new(name, severity, message));
        }
        assert_eq!(status_line(&status), "the model is missing");
    }
}
