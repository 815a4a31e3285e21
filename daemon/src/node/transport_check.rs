//! The check of the transports in `doctor`: QUIC agrees on its keys by a post-quantum exchange, TCP
//! with Noise does not.

use crate::control::api::{Check, MemberView, Verdict};

/// Whether this node listens on QUIC, announces that, and members are connected over it.
pub(super) fn check(listen: &[String], told: &[String], members: &[MemberView]) -> Check {
    let over_quic = |addresses: &[String]| addresses.iter().any(|it| it.ends_with("/quic-v1"));
    let mut faults = Vec::new();
    let mut hints = Vec::new();
    if !listen.is_empty() && !over_quic(listen) {
        faults.push("this node listens over TCP only".to_owned());
        hints.push(
            "add \"/ip4/0.0.0.0/udp/7000/quic-v1\" (your port) to `listen`, open that UDP port in the firewall and restart",
        );
    } else if !told.is_empty() && !over_quic(told) {
        faults.push(format!(
            "others are told no QUIC address of this node, only {}",
            told.join(", ")
        ));
        hints.push(
            "add the same host with /udp/PORT/quic-v1 to `external_addresses`, and forward that UDP port",
        );
    }
    let is_on_tcp = |member: &&MemberView| {
        !member.connections.is_empty() && member.connections.iter().all(|it| !it.post_quantum)
    };
    let names: Vec<&str> =
        members.iter().filter(is_on_tcp).map(|member| member.name.as_str()).collect();
    if !names.is_empty() {
        faults.push(format!("connected over TCP, not QUIC: {}", names.join(", ")));
        hints.push(
            "let UDP pass between this machine and theirs, in both firewalls; connections are moved to QUIC by themselves",
        );
    }
    let (name, fine) = ("transport".to_owned(), faults.is_empty());
    if fine {
        let message =
            "QUIC, with a post-quantum key exchange, where others are connected".to_owned();
        return Check { name, verdict: Verdict::Ok, message, hint: None };
    }
    let message = format!(
        "{}: what passes over TCP can be recorded today and read by whoever has a quantum \
         computer later; the updates themselves travel encrypted with post-quantum cryptography \
         in any case",
        faults.join("; ")
    );
    Check { name, verdict: Verdict::Warning, message, hint: Some(hints.join("; ")) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fedshield_protocol::ids::{IdentityKey, MemberIndex};

    use super::*;
    use crate::control::api::{ConnectionView, TransportKind};

    fn member(name: &str, connections: &[bool]) -> MemberView {
        let connection = |post_quantum: &bool| ConnectionView {
            address: String::new(),
            dialled: true,
            transport: if *post_quantum { TransportKind::Quic } else { TransportKind::Tcp },
            post_quantum: *post_quantum,
        };
        MemberView {
            name: name.into(),
            connections: connections.iter().map(connection).collect(),
            ..MemberView::new(MemberIndex(0), IdentityKey([1; 32]))
        }
    }

    #[test]
    fn tcp_alone_is_warned_of_with_what_to_do() {
        let (quic, tcp) = (
            ["/ip4/192.0.2.1/udp/7000/quic-v1".to_owned()],
            ["/ip4/192.0.2.1/tcp/7000".to_owned()],
        );
        let members =
            [member("bank", &[true, false]), member("clinic", &[]), member("lab", &[true])];
        assert_eq!(check(&quic, &quic, &members).verdict, Verdict::Ok);
        assert_eq!(check(&[], &[], &[]).verdict, Verdict::Ok, "a node that only dials");
        for (listen, told, members, word, hint) in [
            (&tcp, &tcp, &members[..], "listens over TCP only", "open that UDP port"),
            (&quic, &tcp, &members[..], "told no QUIC address", "external_addresses"),
            (&quic, &quic, &[member("mine", &[false])][..], "TCP, not QUIC: mine", "let UDP pass"),
        ] {
            let check = check(listen, told, members);
            assert_eq!(check.verdict, Verdict::Warning);
            assert!(check.message.contains(word), "{check:?}");
            assert!(check.hint.unwrap().contains(hint));
        }
    }
}
