//! QUIC before TCP: its key exchange is post-quantum, so what is recorded today is not read when quantum computers come.
//!
//! All addresses of a member are dialled together and the first answer decides. QUIC has a head start: where UDP is blocked
//! a dial takes that much longer, and nothing else changes.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::{BoxFuture, FutureExt};
use libp2p::core::Transport;
use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use tokio::time::{Instant, sleep_until};

use crate::limits::{MAX_MEMBERS, QUIC_HEAD_START};

/// Whether a connection to or from `address` runs over QUIC, and its key exchange is post-quantum therefore.
#[must_use]
pub fn is_quic(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, Protocol::QuicV1))
}

/// QUIC and the others in turn, each in the order that they have: many dead addresses of one transport must not keep those
/// of the other waiting, because only so many are tried at once.
pub(crate) fn quic_first(addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
    let (quic, others): (Vec<_>, Vec<_>) = addresses.into_iter().partition(is_quic);
    let (mut quic, mut others) = (quic.into_iter(), others.into_iter());
    let mut ordered = Vec::with_capacity(quic.len() + others.len());
    loop {
        let pair = [quic.next(), others.next()];
        if pair.iter().all(Option::is_none) {
            return ordered;
        }
        ordered.extend(pair.into_iter().flatten());
    }
}

/// A transport that holds a dial over TCP back for a moment if the same node is being dialled over QUIC.
pub(crate) struct QuicFirst<T> {
    inner: T,
    /// When nodes were last dialled over QUIC.
    begun: HashMap<PeerId, Instant>,
}

impl<T> QuicFirst<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self { inner, begun: HashMap::new() }
    }

    /// From when on `address` may be dialled.
    fn not_before(&mut self, address: &Multiaddr, now: Instant) -> Option<Instant> {
        let Some(Protocol::P2p(peer)) = address.iter().last() else { return None };
        if is_quic(address) {
            if self.begun.len() >= 2 * MAX_MEMBERS {
                self.begun.retain(|_, at| now.saturating_duration_since(*at) < QUIC_HEAD_START);
            }
            if self.begun.len() < 2 * MAX_MEMBERS {
                self.begun.insert(peer, now);
            }
            return None;
        }
        let begun = *self.begun.get(&peer)?;
        Some(begun + QUIC_HEAD_START).filter(|at| *at > now)
    }
}

impl<T> Transport for QuicFirst<T>
where
    T: Transport<Error = io::Error> + Unpin,
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
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        let not_before = self.not_before(&address, Instant::now());
        let dial = self.inner.dial(address, options)?;
        Ok(match not_before {
            // Nothing is sent before the first poll.
            Some(at) => sleep_until(at).then(|()| dial).boxed(),
            None => dial.boxed(),
        })
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(texts: &[&str]) -> Vec<Multiaddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn quic_goes_first_and_neither_transport_waits_for_all_of_the_other() {
        let given = all(&[
            "/ip4/10.0.0.1/tcp/1",
            "/ip4/10.0.0.2/tcp/1",
            "/ip4/10.0.0.1/udp/1/quic-v1",
            "/ip4/10.0.0.2/udp/1/quic-v1",
            "/ip4/10.0.0.3/udp/1/quic-v1",
        ]);
        let expected = [2, 0, 3, 1, 4].map(|place: usize| given[place].clone());
        assert_eq!(quic_first(given.clone()), expected);
        assert_eq!(quic_first(given[..2].to_vec()), given[..2]);
    }

    #[test]
    fn only_the_node_that_is_dialled_over_quic_is_waited_for() {
        let (peer, now) = (PeerId::random(), Instant::now());
        let mut prefer = QuicFirst::new(());
        let at =
            |text: &str, peer: PeerId| text.parse::<Multiaddr>().unwrap().with(Protocol::P2p(peer));
        let (quic, tcp) = ("/ip4/10.0.0.1/udp/1/quic-v1", "/ip4/10.0.0.1/tcp/1");
        assert_eq!(prefer.not_before(&at(tcp, peer), now), None);
        assert_eq!(prefer.not_before(&at(quic, peer), now), None);
        let head_start = now + QUIC_HEAD_START;
        assert_eq!(prefer.not_before(&at(tcp, peer), now), Some(head_start));
        assert_eq!(prefer.not_before(&at(tcp, PeerId::random()), now), None);
        assert_eq!(prefer.not_before(&at(tcp, peer), head_start), None);
        for _ in 0..10_000 {
            prefer.not_before(&at(quic, PeerId::random()), now);
        }
        assert!(prefer.begun.len() <= 2 * MAX_MEMBERS);
    }
}
