//! Which addresses a node announces: in invites, in the manifest, and under its signature after
//! that.

use std::collections::BTreeMap;
use std::net::IpAddr;

use fedshield_net::{AddressScope, Multiaddr, scope_of};
use fedshield_protocol::limits::MAX_ADDRESSES;

use super::interfaces::Interfaces;

/// The addresses that this node announces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Announced {
    /// Most useful first, at most [`MAX_ADDRESSES`].
    pub addresses: Vec<String>,
    /// Usable addresses beyond [`MAX_ADDRESSES`], not announced.
    pub left_out: Vec<String>,
}

/// What to announce: the operator's own list, or what the node listens on. The transports of one IP
/// address stay together. The interface of the default route comes first, bridges and containers
/// last; within one kind of interface, the address with the widest scope. Loopback is left out if
/// there is anything better, and link-local always, because it is meaningless without the name of
/// an interface.
#[must_use]
pub fn announced(
    listening: &[Multiaddr],
    external: &[String],
    interfaces: &Interfaces,
) -> Announced {
    if !external.is_empty() {
        let (told, left_out) = external.split_at(external.len().min(MAX_ADDRESSES));
        return Announced { addresses: told.to_vec(), left_out: left_out.to_vec() };
    }
    let mut usable: Vec<_> = listening.iter().map(|a| (scope_of(a), ip_of(a), a)).collect();
    usable.retain(|(scope, ..)| *scope != AddressScope::Link);
    if usable.iter().any(|(scope, ..)| *scope > AddressScope::Host) {
        usable.retain(|(scope, ..)| *scope > AddressScope::Host);
    }
    // An address that the kernel does not use for new connections is announced only if there is no
    // other.
    if usable.iter().any(|(_, ip, _)| !ip.is_some_and(|ip| interfaces.is_unusable(&ip))) {
        usable.retain(|(_, ip, _)| !ip.is_some_and(|ip| interfaces.is_unusable(&ip)));
    }
    // Grouped by IP address; among equal ranks the operator's order is kept.
    let mut groups: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for (place, (scope, ip, address)) in usable.iter().enumerate() {
        let first = usable.iter().position(|(_, other, _)| other == ip).unwrap_or(place);
        let text = address.to_string();
        let group = groups.entry((interfaces.rank(*ip, *scope), first)).or_default();
        if !group.contains(&text) {
            group.push(text);
        }
    }
    let mut told = Announced::default();
    for mut group in groups.into_values() {
        // Others dial QUIC first, so it comes first.
        group.sort_by_key(|text| !text.ends_with("/quic-v1"));
        let room = MAX_ADDRESSES - told.addresses.len();
        // Announcing half of a pair would exclude members that have only the other transport.
        let fits = group.len() <= room || told.addresses.is_empty();
        let (taken, left) = group.split_at(if fits { group.len().min(room) } else { 0 });
        told.addresses.extend_from_slice(taken);
        told.left_out.extend_from_slice(left);
    }
    told
}

fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    // The text of a multiaddress names its kind first: /ip4/10.0.0.7/tcp/7000.
    address.to_string().split('/').nth(2)?.parse().ok()
}

/// Whether none of `addresses` can be reached from another machine.
#[must_use]
pub fn are_only_here(addresses: &[String]) -> bool {
    let scope =
        |text: &String| text.parse().map_or(AddressScope::Host, |a: Multiaddr| scope_of(&a));
    addresses.iter().all(|address| scope(address) == AddressScope::Host)
}

/// What is wrong with an invite that carries these addresses.
pub(super) fn warning(told: &Announced) -> Option<String> {
    if are_only_here(&told.addresses) {
        return Some(format!(
            "only this machine can use this invite, because it carries no other address than {}; for members elsewhere \
             set `external_addresses` in config.toml to an address that they can dial (or `listen` to one of this \
             machine), restart the daemon and invite again",
            told.addresses.join(", ")
        ));
    }
    left_out(told)
}

/// Which addresses exceed the limit and are not announced, and what to do about it.
#[must_use]
pub fn left_out(told: &Announced) -> Option<String> {
    if told.left_out.is_empty() {
        return None;
    }
    Some(format!(
        "others are told {MAX_ADDRESSES} addresses at most, so not {}; if one of these is the one that they can dial, name \
         it in `external_addresses` in config.toml",
        told.left_out.join(", ")
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parsed(listening: &[&str]) -> Vec<Multiaddr> {
        listening.iter().map(|a| a.parse().unwrap()).collect()
    }

    fn of(listening: &[&str]) -> Vec<String> {
        announced(&parsed(listening), &[], &Interfaces::default()).addresses
    }

    #[test]
    fn loopback_is_announced_only_alone() {
        let loopback = ["/ip4/127.0.0.1/tcp/7000", "/ip6/::1/tcp/7000"];
        assert_eq!(of(&loopback), loopback);
        assert_eq!(
            of(&[
                "/ip4/127.0.0.1/tcp/7000",
                "/ip4/10.0.0.7/tcp/7000",
                "/ip6/fe80::7/tcp/7000",
                "/ip4/198.51.100.7/tcp/7000",
            ]),
            ["/ip4/198.51.100.7/tcp/7000", "/ip4/10.0.0.7/tcp/7000"],
        );
        let external = ["/dns4/bank.example/tcp/7000".to_owned()];
        let told =
            announced(&parsed(&["/ip4/10.0.0.7/tcp/7000"]), &external, &Interfaces::default());
        assert_eq!(told.addresses, external);
    }

    #[test]
    fn no_more_are_announced_than_a_manifest_takes_and_the_rest_is_named() {
        let many: Vec<String> = (1..20).map(|k| format!("/ip4/10.0.0.{k}/tcp/7000")).collect();
        let texts: Vec<&str> = many.iter().map(String::as_str).collect();
        for told in [
            announced(&parsed(&texts), &[], &Interfaces::default()),
            announced(&[], &many, &Interfaces::default()),
        ] {
            assert_eq!(told.addresses, many[..MAX_ADDRESSES]);
            assert_eq!(told.left_out, many[MAX_ADDRESSES..]);
            let warning = warning(&told).unwrap();
            assert!(warning.contains("/ip4/10.0.0.19/tcp/7000"), "{warning}");
            assert!(warning.contains("external_addresses"), "{warning}");
        }
    }

    /// A host with a bridge for each of its projects, as libp2p reports it: all of TCP and all of
    /// QUIC, in any order.
    #[test]
    fn on_a_machine_with_many_bridges_others_are_told_of_the_one_that_leads_out() {
        let mut names: Vec<(String, String)> = (0..12)
            .map(|k| {
                (
                    format!("172.{}.0.1", 17 + k),
                    if k == 0 { "docker0".into() } else { format!("br-{k}") },
                )
            })
            .collect();
        for (ip, name) in [
            ("192.168.122.1", "virbr0"),
            ("10.8.0.2", "wg0"),
            ("10.1.2.3", "eth0"),
            ("2001:db8::7", "eth0"),
            ("2001:db8::8", "eth0"),
            ("fd00::7", "eth0"),
        ] {
            names.push((ip.into(), name.into()));
        }
        let named: Vec<(&str, &str)> =
            names.iter().map(|(i, n)| (i.as_str(), n.as_str())).collect();
        let interfaces = Interfaces::from_names(&named, "eth0", &["2001:db8::8"]);
        let kind = |ip: &str| if ip.contains(':') { "ip6" } else { "ip4" };
        let quic = names.iter().map(|(ip, _)| format!("/{}/{ip}/udp/7000/quic-v1", kind(ip)));
        let tcp = names.iter().map(|(ip, _)| format!("/{}/{ip}/tcp/7000", kind(ip)));
        let listening: Vec<String> = quic.chain(tcp).collect();
        let listening: Vec<&str> = listening.iter().map(String::as_str).collect();
        let told = announced(&parsed(&listening), &[], &interfaces);
        let pair = |ip: &str| {
            let start = format!("/{}/{ip}", kind(ip));
            [format!("{start}/udp/7000/quic-v1"), format!("{start}/tcp/7000")]
        };
        let expected = ["2001:db8::7", "2001:db8::8", "10.1.2.3", "fd00::7"].map(pair).concat();
        assert_eq!(told.addresses, expected);
        assert_eq!(told.left_out.len(), listening.len() - MAX_ADDRESSES);
        assert!(told.left_out[0].contains("/10.8.0.2/"), "a tunnel before any bridge: {told:?}");
    }

    #[test]
    fn a_pair_is_not_torn_for_the_last_place() {
        let pairs = (1..5).flat_map(|k| {
            [format!("/ip4/10.0.0.{k}/tcp/7000"), format!("/ip4/10.0.0.{k}/udp/7000/quic-v1")]
        });
        let listening: Vec<String> =
            ["/ip4/10.0.0.9/tcp/7000".into()].into_iter().chain(pairs).collect();
        let texts: Vec<&str> = listening.iter().map(String::as_str).collect();
        let told = announced(&parsed(&texts), &[], &Interfaces::default());
        // QUIC before TCP wherever a machine has both.
        let expected = [0, 2, 1, 4, 3, 6, 5].map(|place: usize| listening[place].clone());
        assert_eq!(told.addresses, expected);
        assert_eq!(told.left_out, [listening[8].clone(), listening[7].clone()]);
    }

    #[test]
    fn an_invite_for_this_machine_only_is_told_apart() {
        let told = |addresses: &[&str]| Announced {
            addresses: addresses.iter().map(|a| (*a).to_owned()).collect(),
            left_out: vec![],
        };
        let here = "/ip4/127.0.0.1/tcp/7000";
        assert!(warning(&told(&[here])).unwrap().contains("external_addresses"));
        assert_eq!(warning(&told(&[here, "/ip4/10.0.0.7/tcp/7000"])), None);
    }
}
