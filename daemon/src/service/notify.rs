//! Notifying systemd (Type=notify, WatchdogSec). Does nothing without systemd.

use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;

use crate::control::api::{NodeStatus, Severity, word};

/// Tells systemd that the daemon runs and answers on its control socket. It may still be waiting
/// for something, which [`report_status`] and `/readyz` report.
pub fn notify_ready() {
    tell(|message| message.ready = true);
}

/// One line for `systemctl status`.
fn notify_status(line: &str) {
    tell(|message| message.status = Some(line.to_owned()));
}

/// Tells systemd that the daemon is stopping on purpose; waits only a moment for the notification
/// to be sent.
pub fn notify_stopping() {
    tell(|message| message.stopping = true);
    if let Some(Some(mailbox)) = MAILBOX.get() {
        mailbox.wait_until_sent(STOPPING_LIMIT);
    }
}

/// Keeps `systemctl status` up to date: what the node waits for or what is wrong, the worst first,
/// or what it does. Returns when the node ends.
pub async fn report_status(mut status: watch::Receiver<NodeStatus>) {
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
    // A line break would begin another field of the message.
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    match (worst, &status.machine) {
        (Some(condition), _) => one_line(&condition.message),
        (None, Some(machine)) => format!("round {}, {}", machine.round, word(&machine.activity)),
        (None, None) => word(&status.state),
    }
}

/// The watchdog's keep-alive. The host calls [`Self::beat`] from its loop; systemd restarts a
/// daemon whose loop hangs.
#[derive(Debug)]
pub struct Watchdog {
    interval: Option<Duration>,
}

impl Watchdog {
    /// Reads the interval that systemd has set.
    #[must_use]
    pub fn from_environment() -> Self {
        // Half of the interval: one late beat must not be fatal.
        Self { interval: sd_notify::watchdog_enabled().map(|whole| whole / 2) }
    }

    /// The interval between calls of [`Self::beat`]; `None` without a watchdog.
    #[must_use]
    pub const fn interval(&self) -> Option<Duration> {
        self.interval
    }

    /// Reports that the loop is alive.
    pub fn beat(&self) {
        if self.interval.is_some() {
            tell(|message| message.watchdog = true);
        }
    }
}

/// How long stopping waits for a service manager that does not read.
const STOPPING_LIMIT: Duration = Duration::from_secs(1);

/// `None` without a service manager.
static MAILBOX: OnceLock<Option<&'static Mailbox>> = OnceLock::new();

/// Leaves a message for the service manager and never blocks: if it is not read, the newest message
/// of each kind is kept.
fn tell(change: impl FnOnce(&mut Message)) {
    let mailbox = MAILBOX.get_or_init(|| {
        std::env::var_os("NOTIFY_SOCKET")?;
        let mailbox: &'static Mailbox = Box::leak(Box::default());
        let send = || mailbox.deliver();
        // Never joined: it may be blocked for ever.
        std::thread::Builder::new().name("notify".into()).spawn(send).ok().map(|_| mailbox)
    });
    if let Some(mailbox) = mailbox {
        change(&mut mailbox.lock().message);
        mailbox.changed.notify_all();
    }
}

/// Notifications that have not been sent yet.
#[derive(Debug, Default, PartialEq)]
struct Message {
    ready: bool,
    status: Option<String>,
    stopping: bool,
    watchdog: bool,
}

#[derive(Default)]
struct Contents {
    message: Message,
    /// Whether a message is being sent.
    sending: bool,
}

#[derive(Default)]
struct Mailbox {
    contents: Mutex<Contents>,
    changed: Condvar,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deliver(&self) {
        loop {
            let mut contents = self.lock();
            contents.sending = false;
            self.changed.notify_all();
            let idle = |contents: &mut Contents| contents.message == Message::default();
            let waited = self.changed.wait_while(contents, idle);
            let mut contents = waited.unwrap_or_else(PoisonError::into_inner);
            let message = std::mem::take(&mut contents.message);
            contents.sending = true;
            drop(contents);
            message.send();
        }
    }

    fn wait_until_sent(&self, limit: Duration) {
        let unsent =
            |contents: &mut Contents| contents.sending || contents.message != Message::default();
        drop(self.changed.wait_timeout_while(self.lock(), limit, unsent));
    }
}

impl Message {
    fn send(&self) {
        let mut state = Vec::new();
        state.extend(self.ready.then_some(NotifyState::Ready));
        state.extend(self.status.as_deref().map(NotifyState::Status));
        state.extend(self.stopping.then_some(NotifyState::Stopping));
        state.extend(self.watchdog.then_some(NotifyState::Watchdog));
        if let Err(error) = sd_notify::notify(&state) {
            tracing::debug!(%error, "systemd was not told");
        }
    }
}

#[cfg(test)]
mod tests {
    use fedshield_protocol::ids::IdentityKey;

    use super::*;
    use crate::control::api::Condition;

    #[test]
    fn systemd_gets_the_worst_condition_on_one_line() {
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
