//! The network interfaces of this machine, as far as they show which of its addresses others can
//! use.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;

use fedshield_net::AddressScope;

/// The kernel's list of IPv6 addresses with their flags.
const IF_INET6: &str = "/proc/net/if_inet6";
/// Flags in that list. Temporary: replaced every day. The others: not used for new connections any
/// more, or a duplicate of another machine's address.
const TEMPORARY: u32 = 0x01;
const UNUSABLE: u32 = 0x20 | 0x08;

/// Names of interfaces that programs make for machines and containers inside this one, by how they
/// begin.
const INNER: [&str; 16] = [
    "docker", "br-", "veth", "virbr", "vnet", "lxc", "lxdbr", "incusbr", "podman", "cni",
    "flannel", "cali", "cilium", "vboxnet", "vmnet", "kube",
];

/// How good an address is for others, the best first. The scope counts within interfaces of one
/// kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    kind: Kind,
    scope: Reverse<AddressScope>,
    temporary: bool,
}

/// What an interface leads to, the most useful first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// The default route: the rest of the world.
    Default,
    /// Another network, or unknown.
    Other,
    /// Machines and containers inside this one.
    Inner,
}

/// The interfaces, by the IP addresses that they have.
#[derive(Debug, Clone, Default)]
pub struct Interfaces {
    names: BTreeMap<IpAddr, String>,
    /// Names of the interfaces with a default route.
    default: Vec<String>,
    temporary: Vec<IpAddr>,
    unusable: Vec<IpAddr>,
}

impl Interfaces {
    /// The interfaces that this machine has now. What cannot be determined is treated as unknown,
    /// not as an error.
    #[must_use]
    pub fn of_this_machine() -> Self {
        let listed = if_addrs::get_if_addrs().unwrap_or_default();
        let names: BTreeMap<IpAddr, String> =
            listed.into_iter().map(|interface| (interface.ip(), interface.name)).collect();
        let default = [
            route((Ipv4Addr::UNSPECIFIED, 0).into(), (Ipv4Addr::new(198, 51, 100, 1), 9).into()),
            route(
                (Ipv6Addr::UNSPECIFIED, 0).into(),
                (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9).into(),
            ),
        ];
        let default = default.iter().flatten().filter_map(|ip| names.get(ip).cloned()).collect();
        let (temporary, unusable) = flagged(&std::fs::read_to_string(IF_INET6).unwrap_or_default());
        Self { names, default, temporary, unusable }
    }

    /// Whether the kernel would not use `ip` for new connections.
    pub(super) fn is_unusable(&self, ip: &IpAddr) -> bool {
        self.unusable.contains(ip)
    }

    pub(super) fn rank(&self, ip: Option<IpAddr>, scope: AddressScope) -> Rank {
        let kind = match ip.and_then(|ip| self.names.get(&ip)) {
            Some(name) if self.default.contains(name) => Kind::Default,
            Some(name) if is_inner(name) => Kind::Inner,
            _ => Kind::Other,
        };
        let temporary = ip.is_some_and(|ip| self.temporary.contains(&ip));
        Rank { kind, scope: Reverse(scope), temporary }
    }

    #[cfg(test)]
    pub(super) fn from_names(names: &[(&str, &str)], default: &str, temporary: &[&str]) -> Self {
        let names = names.iter().map(|(ip, name)| (ip.parse().unwrap(), (*name).to_owned()));
        let temporary = temporary.iter().map(|ip| ip.parse().unwrap()).collect();
        let (names, default) = (names.collect(), vec![default.to_owned()]);
        Self { names, default, temporary, unusable: Vec::new() }
    }
}

/// This machine's address from which `to` would be reached. Nothing is sent: `to` is an address
/// reserved for documentation.
fn route(from: SocketAddr, to: SocketAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind(from).ok()?;
    socket.connect(to).ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_loopback() && !own.is_unspecified()).then_some(own)
}

fn is_inner(name: &str) -> bool {
    // A bridge without the default route connects machines and containers inside this one.
    INNER.iter().any(|start| name.starts_with(start))
        || Path::new("/sys/class/net").join(name).join("bridge").exists()
}

/// The temporary addresses of the kernel's list, and those that it does not use. Fields of a line:
/// 32 digits, index, prefix, scope, flags, name.
fn flagged(list: &str) -> (Vec<IpAddr>, Vec<IpAddr>) {
    let (mut temporary, mut unusable) = (Vec::new(), Vec::new());
    for line in list.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [digits, _, _, _, flags, ..] = fields[..] else { continue };
        let (Ok(bits), Ok(flags)) =
            (u128::from_str_radix(digits, 16), u32::from_str_radix(flags, 16))
        else {
            continue;
        };
        let ip = IpAddr::V6(Ipv6Addr::from(bits));
        if flags & UNUSABLE != 0 {
            unusable.push(ip);
        } else if flags & TEMPORARY != 0 {
            temporary.push(ip);
        }
    }
    (temporary, unusable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_flags_are_read() {
        let list = "\
00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000007 02 40 00 80     eth0
20010db8000000000000000000000008 02 40 00 01     eth0
20010db8000000000000000000000009 02 40 00 21     eth0
20010db800000000000000000000000a 02 40 00 08     eth0
20010db800000000000000000000000b 02 40 00 40     eth0
nonsense
";
        let (temporary, unusable) = flagged(list);
        assert_eq!(temporary, ["2001:db8::8".parse::<IpAddr>().unwrap()]);
        assert_eq!(unusable.len(), 2);
    }

    #[test]
    fn this_machine_has_interfaces() {
        let here = Interfaces::of_this_machine();
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert!(here.names.contains_key(&loopback), "{here:?}");
        assert!(here.rank(None, AddressScope::Global) < here.rank(None, AddressScope::Site));
    }
}
