//! Resolves the names in addresses (`/dns`, `/dns4`, `/dns6`) at each dial, by the operating
//! system's resolver.
//!
//! `getaddrinfo` reads `/etc/hosts`, `/etc/resolv.conf` and `/etc/nsswitch.conf` again when they
//! change, and a machine without any of them can still dial IP addresses.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::limits::{MAX_NAME_LOOKUPS, MAX_NAME_RESULTS, NAME_LOOKUP_TIMEOUT};
use crate::state::StatePublisher;

/// The system's list of name servers.
const RESOLVER_FILE: &str = "/etc/resolv.conf";

/// Which of the IP addresses behind a name are dialled.
pub(super) type IpFilter = fn(&IpAddr) -> bool;

/// Resolves names; clones share the permits.
#[derive(Clone)]
pub(crate) struct Resolver {
    /// One permit for each lookup: it blocks a thread until the system gives up, however long a
    /// name server takes.
    permits: Arc<Semaphore>,
    resolver_file: Arc<Path>,
    state: StatePublisher,
}

impl Resolver {
    pub(crate) fn new(state: StatePublisher) -> Self {
        Self::with_file(state, RESOLVER_FILE.into())
    }

    fn with_file(state: StatePublisher, resolver_file: PathBuf) -> Self {
        let permits = Arc::new(Semaphore::new(MAX_NAME_LOOKUPS));
        Self { permits, resolver_file: resolver_file.into(), state }
    }

    /// The IP addresses behind `name` that pass `filter`, at most [`MAX_NAME_RESULTS`].
    ///
    /// # Errors
    /// The system's error, with what is wrong with its list of name servers; or that no address
    /// passes.
    pub(super) async fn resolve(&self, name: &str, filter: IpFilter) -> io::Result<Vec<IpAddr>> {
        let found = match timeout(NAME_LOOKUP_TIMEOUT, self.ask_system(name)).await {
            Ok(found) => found,
            Err(_) => {
                let reason = format!("no answer within {} s", NAME_LOOKUP_TIMEOUT.as_secs());
                Err(io::Error::new(io::ErrorKind::TimedOut, reason))
            }
        };
        match found {
            Ok(all) => {
                self.state.set_resolver_error(None);
                let mut ips: Vec<IpAddr> = all.into_iter().filter(filter).collect();
                ips.dedup();
                ips.truncate(MAX_NAME_RESULTS);
                if ips.is_empty() {
                    let reason = format!("the name {name} has no address of this kind");
                    return Err(io::Error::new(io::ErrorKind::NotFound, reason));
                }
                Ok(ips)
            }
            Err(error) => {
                let why = unusable(&self.resolver_file);
                if let Some(why) = &why {
                    self.state.set_resolver_error(Some(why.clone()));
                }
                let why = why.map(|why| format!("; {why}")).unwrap_or_default();
                let reason = format!("cannot look up the name {name}: {error}{why}");
                Err(io::Error::new(error.kind(), reason))
            }
        }
    }

    async fn ask_system(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let closed = |_| io::Error::other("the lookup was dropped");
        let permit = self.permits.clone().acquire_owned().await.map_err(closed)?;
        let name = name.to_owned();
        let asked = tokio::task::spawn_blocking(move || {
            let found = (name.as_str(), 0).to_socket_addrs();
            drop(permit);
            found.map(|found| found.map(|address| address.ip()).collect())
        });
        asked.await.map_err(io::Error::other)?
    }
}

/// What is wrong with the list of name servers in `file`, if anything.
fn unusable(file: &Path) -> Option<String> {
    let has_server =
        |text: &str| text.lines().any(|line| line.split_whitespace().next() == Some("nameserver"));
    match std::fs::read_to_string(file) {
        Ok(text) if has_server(&text) => None,
        Ok(_) => Some(format!("{} names no name server", file.display())),
        Err(error) => Some(format!("{} cannot be read: {error}", file.display())),
    }
}

/// The name that an address begins with, and the kind of IP address that it asks for.
pub(super) fn name_in(address: &Multiaddr) -> Option<(String, IpFilter)> {
    match address.iter().next()? {
        Protocol::Dns(name) => Some((name.into_owned(), |_| true)),
        Protocol::Dns4(name) => Some((name.into_owned(), IpAddr::is_ipv4)),
        Protocol::Dns6(name) => Some((name.into_owned(), IpAddr::is_ipv6)),
        _ => None,
    }
}

/// The address with `ip` in place of the name that it begins with.
pub(super) fn with_ip(address: &Multiaddr, ip: IpAddr) -> Multiaddr {
    std::iter::once(Protocol::from(ip)).chain(address.iter().skip(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failed_lookup_reports_an_unusable_resolver_file() {
        let folder = std::env::temp_dir().join(format!("fedshield-names-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("resolv.conf");
        let state = StatePublisher::default();
        let resolver = Resolver::with_file(state.clone(), file.clone());
        // `.invalid` never has an address (RFC 6761), whatever resolver this machine has.
        let ask = async || resolver.resolve("fedshield.invalid", |_| true).await.unwrap_err();
        let missing = ask().await.to_string();
        assert!(missing.contains("resolv.conf cannot be read: No such file"), "{missing}");
        assert!(state.read().resolver_error.is_some());
        std::fs::write(&file, "# nothing\noptions ndots:1\n").unwrap();
        let empty = ask().await.to_string();
        assert!(empty.contains("resolv.conf names no name server"), "{empty}");
        std::fs::write(&file, "nameserver 192.0.2.1\n").unwrap();
        let served = ask().await.to_string();
        assert!(
            served.contains("fedshield.invalid") && !served.contains("resolv.conf"),
            "{served}"
        );
        assert_eq!(
            resolver.resolve("127.0.0.1", |_| true).await.unwrap(),
            [IpAddr::from([127, 0, 0, 1])]
        );
        assert_eq!(state.read().resolver_error, None, "cleared by a lookup that worked");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn only_the_name_is_replaced() {
        let address: Multiaddr = "/dns4/bank.example/udp/7/quic-v1".parse().unwrap();
        let (name, filter) = name_in(&address).unwrap();
        assert_eq!(name, "bank.example");
        assert!(filter(&IpAddr::from([1, 2, 3, 4])) && !filter(&IpAddr::from([0u16; 8])));
        let dialled = with_ip(&address, IpAddr::from([1, 2, 3, 4]));
        assert_eq!(dialled.to_string(), "/ip4/1.2.3.4/udp/7/quic-v1");
        assert!(name_in(&dialled).is_none());
    }
}
