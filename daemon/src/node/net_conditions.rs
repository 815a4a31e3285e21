//! Conditions from problems that the network finds: a second copy of an identity, announcements
//! that do not get through, and connections or files that fail for lack of descriptors.

use std::time::{Duration, Instant};

use fedshield_net::{NetHealth, RefusedOrigin};
use fedshield_protocol::ids::IdentityKey;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::net_metrics::name_of;
use crate::conditions::Conditions;
use crate::control::api::{Condition, Severity};
use crate::descriptors::{self, Budget};
use crate::founding::FoundingView;

/// The pause between two checks, if nothing changes.
const PAUSE: Duration = Duration::from_secs(5);
/// A node that has received no announcement for this long cannot take part.
const SILENCE_BLOCKS: Duration = Duration::from_secs(60);

/// Keeps the conditions up to date until `stop`.
pub(super) async fn watch(
    board: Conditions,
    mut health: watch::Receiver<NetHealth>,
    founding: watch::Receiver<FoundingView>,
    budget: Budget,
    stop: CancellationToken,
) {
    let mut silent_since = None;
    loop {
        let seen = health.borrow_and_update().clone();
        let name = |key: &IdentityKey| name_of(&founding.borrow(), key);
        silent_since = seen.is_mesh_empty.then(|| silent_since.unwrap_or_else(Instant::now));
        let silent_for = silent_since.map(|since| since.elapsed());
        board.show("second-copy", seen.has_duplicate.then(second_copy));
        board.show("member-runs-twice", twice(&seen.duplicated, name));
        board.show("no-announcements", silent_for.map(no_announcements));
        board.show("announcements-do-not-pass", one_way(&seen, name));
        board.show("connections-refused", seen.refuses_connections.then(|| refused(&seen, budget)));
        board.show("connection-flood", flood(&seen.refused_origins));
        board.show("member-does-not-read", slow(&seen.slow_readers, name));
        board.show(
            "descriptors",
            of_descriptors(budget, seen.out_of_descriptors, descriptors::in_use),
        );
        tokio::select! {
            () = stop.cancelled() => return,
            changed = health.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

fn names(keys: &[IdentityKey], name: impl Fn(&IdentityKey) -> String) -> String {
    keys.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn second_copy() -> Condition {
    let message = "a second copy of this node is running: another process has proven to other members that it holds this \
         node's identity key, so the two would contradict each other";
    Condition::new("second-copy", Severity::Blocking, message).with_hint(
        "stop one of the two (look for a copied home, a restored snapshot, a second container or \
         unit); the one that keeps running is ready again within minutes. If nobody here runs a \
         second one, the key has been stolen: stop this node \
         and tell the other members",
    )
}

fn twice(doubled: &[IdentityKey], name: impl Fn(&IdentityKey) -> String) -> Option<Condition> {
    if doubled.is_empty() {
        return None;
    }
    let message = format!(
        "two processes use the identity key of {} at the same time: what that member signs may \
         contradict itself",
        names(doubled, name)
    );
    let hint = "tell its operator to stop one of the two: a copied home, a restored snapshot, a second container";
    Some(Condition::new("member-runs-twice", Severity::Warning, message).with_hint(hint))
}

fn no_announcements(silent_for: Duration) -> Condition {
    let blocks = silent_for >= SILENCE_BLOCKS;
    let severity = if blocks { Severity::Blocking } else { Severity::Warning };
    let message = "members are connected, but no announcements pass between them and this node; \
                   the connections are being re-established";
    Condition::new("no-announcements", severity, message).with_hint(
        "this resolves itself, usually within two minutes; if it persists, restart this node and \
         send the logs of both sides",
    )
}

fn one_way(health: &NetHealth, name: impl Fn(&IdentityKey) -> String) -> Option<Condition> {
    let mut parts = Vec::new();
    if !health.not_receiving.is_empty() {
        parts.push(format!("this node's do not reach {}", names(&health.not_receiving, &name)));
    }
    if !health.not_received.is_empty() {
        parts.push(format!("none arrive from {}", names(&health.not_received, &name)));
    }
    if parts.is_empty() {
        return None;
    }
    let message = format!("announcements do not pass over open connections: {}", parts.join("; "));
    let hint = "subscriptions are sent again and then the connection is re-established, by \
                itself; if it persists, restart the node that is named and send the logs of both \
                sides";
    Some(Condition::new("announcements-do-not-pass", Severity::Warning, message).with_hint(hint))
}

fn refused(health: &NetHealth, budget: Budget) -> Condition {
    let most = health.max_connections;
    let message = format!(
        "connections of other nodes are refused, or closed before they are authenticated: at most \
         {most} may be open at \
         once, and fewer may be unfinished, with an open file limit of {}",
        limit_text(budget.limit)
    );
    let hint = if budget.limit < descriptors::ENOUGH {
        raise_hint()
    } else {
        "somebody opens more connections than a federation needs: look at who connects (`ss -tn`), and let only \
         members' addresses through the firewall"
            .to_owned()
    };
    Condition::new("connections-refused", Severity::Warning, message).with_hint(hint)
}

/// The condition that names origins whose connections were refused: idle, or more than their slots.
fn flood(origins: &[RefusedOrigin]) -> Option<Condition> {
    if origins.is_empty() {
        return None;
    }
    let one = |it: &RefusedOrigin| format!("{} from {}", it.count, it.origin);
    let all = origins.iter().map(one).collect::<Vec<_>>().join(", ");
    let message = format!(
        "connections that were not authenticated were refused or closed: {all}; members can still \
         connect, because each origin has slots of its own"
    );
    let hint = "if that address is a reverse proxy of yours, name it in `shared_origins` in config.toml and restart; if \
                nobody knows it, block it in the firewall";
    Some(Condition::new("connection-flood", Severity::Warning, message).with_hint(hint))
}

fn slow(keys: &[IdentityKey], name: impl Fn(&IdentityKey) -> String) -> Option<Condition> {
    if keys.is_empty() {
        return None;
    }
    let message = format!(
        "{} does not read messages as fast as they are sent: the oldest ones to it are dropped, \
         those to others are not delayed",
        names(keys, name)
    );
    let hint = "what was dropped is sent again when it asks; if this persists, its operator \
                should check the load of that machine and its network link";
    Some(Condition::new("member-does-not-read", Severity::Warning, message).with_hint(hint))
}

fn of_descriptors(
    budget: Budget,
    accept_failed: bool,
    in_use: impl Fn() -> std::io::Result<u64>,
) -> Option<Condition> {
    let limit = limit_text(budget.limit);
    let (severity, message) = match in_use() {
        Err(error) if descriptors::is_exhausted(&error) => (
            Severity::Blocking,
            format!("no file can be opened: all {limit} descriptors are in use"),
        ),
        Ok(used) if used >= budget.limit / 10 * 9 => (
            Severity::Warning,
            format!("{used} of {limit} descriptors are in use: soon no file can be opened"),
        ),
        _ if accept_failed => (
            Severity::Warning,
            format!("the system had no descriptor for a connection a moment ago (limit {limit})"),
        ),
        _ if budget.limit < descriptors::FEWEST => (
            Severity::Warning,
            format!(
                "the limit of open files is {limit}: too low to keep a reserve for the journal; at least {} are needed",
                descriptors::FEWEST
            ),
        ),
        _ if budget.limit < descriptors::ENOUGH => (
            Severity::Notice,
            format!(
                "the limit of open files is {limit}: fewer connections are accepted than with {}",
                descriptors::ENOUGH
            ),
        ),
        _ => return None,
    };
    Some(Condition::new("descriptors", severity, message).with_hint(raise_hint()))
}

fn raise_hint() -> String {
    "raise the limit: `LimitNOFILE=65536` in the unit, `--ulimit nofile=65536` for a container, `ulimit -n 65536` in a \
     shell, then restart"
        .to_owned()
}

fn limit_text(limit: u64) -> String {
    if limit == u64::MAX { "no limit".to_owned() } else { limit.to_string() }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn shown(limit: u64, used: io::Result<u64>, accept_failed: bool) -> Option<(Severity, String)> {
        let used = std::cell::Cell::new(Some(used));
        let condition =
            of_descriptors(Budget::of(limit), accept_failed, || used.take().expect("one look"))?;
        assert!(condition.hint.is_some_and(|hint| hint.contains("LimitNOFILE=")));
        Some((condition.severity, condition.message))
    }

    #[test]
    fn a_limit_is_named_as_soon_as_it_matters() {
        assert_eq!(shown(65_536, Ok(60), false), None);
        assert_eq!(shown(u64::MAX, Ok(60), false), None);
        assert_eq!(shown(1024, Ok(60), false).unwrap().0, Severity::Notice);
        let (severity, message) = shown(128, Ok(60), false).unwrap();
        assert!(severity == Severity::Warning && message.contains("128"), "{message}");
        let (severity, message) = shown(1024, Ok(1000), false).unwrap();
        assert!(severity == Severity::Warning && message.contains("1000 of 1024"), "{message}");
        assert_eq!(shown(65_536, Ok(60), true).unwrap().0, Severity::Warning);
        let full = Err(io::Error::from_raw_os_error(24));
        assert_eq!(shown(1024, full, false).unwrap().0, Severity::Blocking);
        // Without /proc the number is unknown, and no condition is set.
        assert_eq!(shown(65_536, Err(io::ErrorKind::NotFound.into()), false), None);
    }

    #[test]
    fn copies_block_and_others_copies_warn_by_name() {
        assert_eq!(second_copy().severity, Severity::Blocking);
        assert_eq!(twice(&[], |_| String::new()), None);
        let keys = [IdentityKey([1; 32]), IdentityKey([2; 32])];
        let shown = twice(&keys, |key| format!("bank-{}", key.as_bytes()[0])).unwrap();
        assert_eq!(shown.severity, Severity::Warning);
        assert!(shown.message.contains("bank-1, bank-2"), "{}", shown.message);
    }

    #[test]
    fn a_flood_names_its_origin_and_a_slow_reader_its_name() {
        assert_eq!((flood(&[]), slow(&[], |_| String::new())), (None, None));
        let origin = RefusedOrigin { origin: "203.0.113.7".into(), count: 312 };
        let shown = flood(&[origin]).unwrap();
        assert!(shown.message.contains("312 from 203.0.113.7"), "{}", shown.message);
        assert!(shown.hint.unwrap().contains("shared_origins"));
        let shown = slow(&[IdentityKey([1; 32])], |_| "clinic".into()).unwrap();
        assert!(shown.message.starts_with("clinic does not read"), "{}", shown.message);
    }

    #[test]
    fn silence_blocks_only_when_it_lasts() {
        assert_eq!(no_announcements(Duration::from_secs(1)).severity, Severity::Warning);
        assert_eq!(no_announcements(SILENCE_BLOCKS).severity, Severity::Blocking);
    }
}
