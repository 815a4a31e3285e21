//! Which addresses of a node the others are told, in invites and in the manifest.

use fedshield_net::{Multiaddr, Reach, reach_of};
use fedshield_protocol::limits::MAX_ADDRESSES;

/// What to announce: the operator's own list, or what the node listens on, the farthest reach first. Loopback is left
/// out if there is anything better, and link-local always, because it means nothing without the name of an interface.
#[must_use]
pub fn announced(listening: &[Multiaddr], external: &[String]) -> Vec<String> {
    if !external.is_empty() {
        return external.to_vec();
    }
    let mut addresses: Vec<_> = listening.iter().map(|a| (reach_of(a), a)).collect();
    addresses.retain(|(reach, _)| *reach != Reach::Link);
    if addresses.iter().any(|(reach, _)| *reach > Reach::Machine) {
        addresses.retain(|(reach, _)| *reach > Reach::Machine);
    }
    // Stable: what the operator listens on first stays first.
    addresses.sort_by_key(|(reach, _)| std::cmp::Reverse(*reach));
    addresses.into_iter().take(MAX_ADDRESSES).map(|(_, address)| address.to_string()).collect()
}

/// Whether none of `addresses` is of use to another machine.
#[must_use]
pub fn are_only_here(addresses: &[String]) -> bool {
    let reach = |text: &String| text.parse().map_or(Reach::Machine, |a: Multiaddr| reach_of(&a));
    addresses.iter().all(|address| reach(address) == Reach::Machine)
}

/// What is wrong with an invite that carries `addresses`.
pub(super) fn warning(addresses: &[String]) -> Option<String> {
    are_only_here(addresses).then(|| {
        format!(
            "only this machine can use this invite, because it carries no other address than {}; for members elsewhere \
             set `external_addresses` in config.toml to an address that they can dial (or `listen` to one of this \
             machine), restart the daemon and invite again",
            addresses.join(", ")
        )
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(listening: &[&str]) -> Vec<String> {
        let listening: Vec<Multiaddr> = listening.iter().map(|a| a.parse().unwrap()).collect();
        announced(&listening, &[])
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
        assert_eq!(announced(&["/ip4/10.0.0.7/tcp/7000".parse().unwrap()], &external), external);
    }

    #[test]
    fn no_more_are_announced_than_a_manifest_takes() {
        let many: Vec<String> = (1..20).map(|k| format!("/ip4/10.0.0.{k}/tcp/7000")).collect();
        assert_eq!(of(&many.iter().map(String::as_str).collect::<Vec<_>>()), many[..MAX_ADDRESSES]);
    }

    #[test]
    fn an_invite_for_this_machine_only_is_told_apart() {
        let here = "/ip4/127.0.0.1/tcp/7000".to_owned();
        assert!(warning(std::slice::from_ref(&here)).unwrap().contains("external_addresses"));
        assert_eq!(warning(&[here, "/ip4/10.0.0.7/tcp/7000".to_owned()]), None);
    }
}
