//! Names in addresses (`/dns`, `/dns4`, `/dns6`), looked up anew at each dial by the operating system.
//!
//! The system's own lookup reads `/etc/hosts`, `/etc/resolv.conf` and `/etc/nsswitch.conf` again when they change, and a
//! machine without any of them can still dial IP addresses.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::future::{BoxFuture, FutureExt};
use libp2p::Multiaddr;
use libp2p::core::transport::{DialOpts, ListenerId, Transport, TransportError, TransportEvent};
use libp2p::multiaddr::Protocol;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::limits::{MAX_NAME_LOOKUPS, MAX_NAME_RESULTS, NAME_LOOKUP_TIMEOUT};
use crate::state::StateBoard;

/// Where the system keeps the list of its name servers.
const RESOLVER_FILE: &str = "/etc/resolv.conf";

/// Which of the IP addresses behind a name count.
type Wanted = fn(&IpAddr) -> bool;

/// Looks names up. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Names {
    /// A lookup blocks a thread until the system gives up, however long somebody else's name server takes.
    places: Arc<Semaphore>,
    resolver_file: Arc<Path>,
    board: StateBoard,
}

impl Names {
    pub(crate) fn new(board: StateBoard) -> Self {
        Self::with_file(board, RESOLVER_FILE.into())
    }

    fn with_file(board: StateBoard, resolver_file: PathBuf) -> Self {
        let places = Arc::new(Semaphore::new(MAX_NAME_LOOKUPS));
        Self { places, resolver_file: resolver_file.into(), board }
    }

    /// The IP addresses behind `name` that `wanted` likes, at most [`MAX_NAME_RESULTS`].
    async fn look_up(&self, name: &str, wanted: Wanted) -> io::Result<Vec<IpAddr>> {
        let found = match timeout(NAME_LOOKUP_TIMEOUT, self.ask_system(name)).await {
            Ok(found) => found,
            Err(_) => {
                let reason = format!("no answer within {} s", NAME_LOOKUP_TIMEOUT.as_secs());
                Err(io::Error::new(io::ErrorKind::TimedOut, reason))
            }
        };
        match found {
            Ok(all) => {
                self.board.names(None);
                let mut ips: Vec<IpAddr> = all.into_iter().filter(wanted).collect();
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
                    self.board.names(Some(why.clone()));
                }
                let why = why.map(|why| format!("; {why}")).unwrap_or_default();
                let reason = format!("cannot look up the name {name}: {error}{why}");
                Err(io::Error::new(error.kind(), reason))
            }
        }
    }

    async fn ask_system(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let closed = |_| io::Error::other("the lookup was dropped");
        let place = self.places.clone().acquire_owned().await.map_err(closed)?;
        let name = name.to_owned();
        let asked = tokio::task::spawn_blocking(move || {
            let found = (name.as_str(), 0).to_socket_addrs();
            drop(place);
            found.map(|found| found.map(|address| address.ip()).collect())
        });
        asked.await.map_err(io::Error::other)?
    }
}

/// What is wrong with the list of name servers in `file`, if anything.
fn unusable(file: &Path) -> Option<String> {
    let names_servers =
        |text: &str| text.lines().any(|line| line.split_whitespace().next() == Some("nameserver"));
    match std::fs::read_to_string(file) {
        Ok(text) if names_servers(&text) => None,
        Ok(_) => Some(format!("{} names no name server", file.display())),
        Err(error) => Some(format!("{} cannot be read: {error}", file.display())),
    }
}

/// A transport that also takes names.
pub(crate) struct Named<T> {
    /// Shared with the dials that still look up their names.
    inner: Arc<Mutex<T>>,
    names: Names,
}

impl<T> Named<T> {
    pub(crate) fn new(inner: T, names: Names) -> Self {
        Self { inner: Arc::new(Mutex::new(inner)), names }
    }
}

impl<T> Transport for Named<T>
where
    T: Transport<Error = io::Error> + Send + Unpin + 'static,
    T::Output: 'static,
    T::Dial: Send + 'static,
{
    type Output = T::Output;
    type Error = io::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = BoxFuture<'static, io::Result<T::Output>>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        lock(&self.inner).listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        lock(&self.inner).remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        let Some((name, wanted)) = name_in(&address) else {
            return lock(&self.inner).dial(address, options).map(FutureExt::boxed);
        };
        let (inner, names) = (self.inner.clone(), self.names.clone());
        let dial = async move {
            let mut last = None;
            for ip in names.look_up(&name, wanted).await? {
                let place = with_ip(&address, ip);
                // Released before the wait.
                let dialled = lock(&inner).dial(place, options);
                let outcome = match dialled {
                    Ok(connecting) => connecting.await,
                    Err(TransportError::Other(error)) => Err(error),
                    Err(error) => Err(io::Error::other(error.to_string())),
                };
                match outcome {
                    Ok(connection) => return Ok(connection),
                    Err(error) => last = Some((ip, error)),
                }
            }
            Err(match last {
                Some((ip, error)) => {
                    io::Error::new(error.kind(), format!("{name} is {ip}: {error}"))
                }
                None => io::ErrorKind::NotFound.into(),
            })
        };
        Ok(dial.boxed())
    }

    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Pin::new(&mut *lock(&self.inner)).poll(cx)
    }
}

fn lock<T>(inner: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name that an address begins with, and which of its IP addresses count.
fn name_in(address: &Multiaddr) -> Option<(String, Wanted)> {
    match address.iter().next()? {
        Protocol::Dns(name) => Some((name.into_owned(), |_| true)),
        Protocol::Dns4(name) => Some((name.into_owned(), IpAddr::is_ipv4)),
        Protocol::Dns6(name) => Some((name.into_owned(), IpAddr::is_ipv6)),
        _ => None,
    }
}

fn with_ip(address: &Multiaddr, ip: IpAddr) -> Multiaddr {
    std::iter::once(Protocol::from(ip)).chain(address.iter().skip(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failed_lookup_names_the_file_that_is_missing_or_says_nothing() {
        let folder = std::env::temp_dir().join(format!("fedshield-names-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("resolv.conf");
        let board = StateBoard::default();
        let names = Names::with_file(board.clone(), file.clone());
        // `.invalid` never has an address (RFC 6761), whatever resolver this machine has.
        let ask = async || names.look_up("fedshield.invalid", |_| true).await.unwrap_err();
        let missing = ask().await.to_string();
        assert!(missing.contains("resolv.conf cannot be read: No such file"), "{missing}");
        assert!(board.read().names.is_some());
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
            names.look_up("127.0.0.1", |_| true).await.unwrap(),
            [IpAddr::from([127, 0, 0, 1])]
        );
        assert_eq!(board.read().names, None, "what works is not complained about");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn only_the_name_is_replaced() {
        let address: Multiaddr = "/dns4/bank.example/udp/7/quic-v1".parse().unwrap();
        let (name, wanted) = name_in(&address).unwrap();
        assert_eq!(name, "bank.example");
        assert!(wanted(&IpAddr::from([1, 2, 3, 4])) && !wanted(&IpAddr::from([0u16; 8])));
        let dialled = with_ip(&address, IpAddr::from([1, 2, 3, 4]));
        assert_eq!(dialled.to_string(), "/ip4/1.2.3.4/udp/7/quic-v1");
        assert!(name_in(&dialled).is_none());
    }
}
