//! Publishes where a node listens, to the operator and to the other members, whenever it changes.

use std::sync::Arc;
use std::time::Duration;

use fedshield_net::{Multiaddr, NetHandle, NetState};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::conditions::Conditions;
use crate::control::api::{Condition, NodeStatus, Severity};
use crate::founding::{Founding, Interfaces, announced, are_only_here};

/// Many interfaces change at once when a machine starts: changes within this time are handled
/// together.
const SETTLE: Duration = Duration::from_secs(1);

/// Routes and the flags of addresses change without an event: they are checked again after this
/// time.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Follows the network's state until `stop` or until the network ends.
pub(super) fn follow(
    net: NetHandle,
    founding: Founding,
    external: Vec<String>,
    status: Arc<watch::Sender<NodeStatus>>,
    stop: CancellationToken,
) {
    tokio::spawn(async move {
        let mut state = net.state();
        let board = Conditions::new(Arc::clone(&status));
        let mut last = Vec::new();
        loop {
            let now = state.borrow_and_update().clone();
            show(&board, &now);
            let listen = now.listening.iter().map(ToString::to_string).collect::<Vec<_>>();
            status.send_if_modified(|status| {
                let changed = status.listen != listen;
                status.listen.clone_from(&listen);
                changed
            });
            let told = announced(&now.listening, &external, &Interfaces::of_this_machine());
            // While its network is down a node keeps announcing its last addresses: it will most
            // likely return at them.
            let is_lost = are_only_here(&told.addresses) && !are_only_here(&last);
            if !is_lost {
                last.clone_from(&told.addresses);
                let parse = |text: &String| text.parse::<Multiaddr>().ok();
                let addresses = told.addresses.iter().filter_map(parse).collect();
                if let Err(error) = founding.set_addresses(told) {
                    tracing::error!(%error, "the draft does not have this node's new addresses");
                }
                if net.announce(addresses).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                changed = state.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    tokio::time::sleep(SETTLE).await;
                }
            }
        }
    });
}

/// Sets the conditions about listening.
fn show(board: &Conditions, state: &NetState) {
    board.show("listen", waiting(state));
    board.show("listen-repeated", repeated(state));
    board.show(
        "names",
        state.resolver_error.as_ref().map(|problem| {
            let text = format!(
                "the names of members cannot be resolved: {problem}; members at IP \
                                addresses are reached"
            );
            Condition::new("names", Severity::Warning, text).with_hint(
                "configure a name server on this machine; the file is read again at \
                            each dial",
            )
        }),
    );
    board.show(
        "address-book",
        state.records_error.as_ref().map(|problem| {
            let text = format!("the file with the members' signed addresses: {problem}");
            Condition::new("address-book", Severity::Warning, text)
                .with_hint("the other members tell them again; look at the home folder's disk")
        }),
    );
}

fn waiting(state: &NetState) -> Option<Condition> {
    if state.waiting.is_empty() {
        return None;
    }
    let one =
        |waiting: &fedshield_net::Waiting| format!("{} ({})", waiting.address, waiting.reason);
    let missing = state.waiting.iter().map(one).collect::<Vec<_>>().join(", ");
    let hint = "retried every few seconds: free the port or bring the interface up, or correct \
                `listen` in \
                config.toml and restart";
    Some(if state.listening.is_empty() {
        let text =
            format!("this node listens nowhere, so no member can dial it; it waits for {missing}");
        Condition::new("listen", Severity::Blocking, text).with_hint(hint)
    } else {
        let text = format!("not listening on {missing}; the other addresses work");
        Condition::new("listen", Severity::Warning, text).with_hint(hint)
    })
}

fn repeated(state: &NetState) -> Option<Condition> {
    if state.repeated.is_empty() {
        return None;
    }
    let one = |repeated: &fedshield_net::Repeated| {
        if repeated.address == repeated.covered_by {
            format!("{} twice", repeated.address)
        } else {
            format!("{}, which {} covers", repeated.address, repeated.covered_by)
        }
    };
    let all = state.repeated.iter().map(one).collect::<Vec<_>>().join(", and ");
    let condition =
        Condition::new("listen-repeated", Severity::Notice, format!("`listen` names {all}"));
    Some(condition.with_hint("one of them can go"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fedshield_net::{Repeated, Waiting};

    use super::*;

    fn state(listening: &[&str], waiting: &[&str]) -> NetState {
        let mut state = NetState::default();
        state.listening = listening.iter().map(|a| a.parse().unwrap()).collect();
        let wait = |address: &&str| Waiting {
            address: address.parse().unwrap(),
            reason: "no interface of this machine has its IP address".into(),
        };
        state.waiting = waiting.iter().map(wait).collect();
        state
    }

    #[test]
    fn a_node_that_listens_nowhere_is_not_ready_and_one_that_lacks_an_address_is() {
        let (here, there) = ("/ip4/127.0.0.1/tcp/1", "/ip4/192.0.2.1/tcp/1");
        assert_eq!(waiting(&state(&[here], &[])), None);
        assert_eq!(waiting(&state(&[], &[])), None, "a node that only dials");
        let warning = waiting(&state(&[here], &[there])).unwrap();
        assert_eq!(warning.severity, Severity::Warning);
        let blocking = waiting(&state(&[], &[there])).unwrap();
        assert_eq!(blocking.severity, Severity::Blocking);
        for condition in [warning, blocking] {
            assert!(condition.message.contains(there), "{condition:?}");
            assert!(condition.message.contains("no interface"), "{condition:?}");
        }
    }

    #[test]
    fn an_address_that_is_listed_twice_is_reported() {
        let mut twice = state(&["/ip4/127.0.0.1/tcp/1"], &[]);
        let address: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        twice.repeated.push(Repeated { address: address.clone(), covered_by: address });
        assert!(repeated(&twice).unwrap().message.contains("/ip4/127.0.0.1/tcp/1 twice"));
    }
}
