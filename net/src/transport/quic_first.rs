//! QUIC is preferred to TCP, because its key exchange is post-quantum: traffic recorded today
//! cannot be decrypted by a later quantum computer.
//!
//! All addresses of a member are dialled concurrently and the first that answers wins, as in Happy
//! Eyeballs (RFC 8305). QUIC gets a head start; where UDP is blocked a dial takes that much longer,
//! and nothing else changes.

use std::collections::HashMap;

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use crate::limits::{MAX_MEMBERS, QUIC_HEAD_START};

/// Whether `address` is a QUIC address: connections over it use a post-quantum key exchange.
#[must_use]
pub fn is_quic(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, Protocol::QuicV1))
}

/// Interleaves QUIC addresses with the others, QUIC first, each in its given order. Only a few
/// addresses are dialled at once, so many dead ones of one transport must not delay those of the
/// other.
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

/// Delays a dial over TCP if the same node is being dialled over QUIC; see [`QUIC_HEAD_START`].
#[derive(Debug, Default)]
pub(super) struct QuicHeadStart {
    /// When nodes were last dialled over QUIC; at most `2 * MAX_MEMBERS` entries.
    begun: HashMap<PeerId, Instant>,
}

impl QuicHeadStart {
    /// The earliest time at which `address` may be dialled; none if that is now.
    pub(super) fn not_before(&mut self, address: &Multiaddr, now: Instant) -> Option<Instant> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn all(texts: &[&str]) -> Vec<Multiaddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn quic_goes_first_and_addresses_are_interleaved() {
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
    fn only_the_node_that_is_dialled_over_quic_is_delayed_over_tcp() {
        let (peer, now) = (PeerId::random(), Instant::now());
        let mut head_start = QuicHeadStart::default();
        let at =
            |text: &str, peer: PeerId| text.parse::<Multiaddr>().unwrap().with(Protocol::P2p(peer));
        let (quic, tcp) = ("/ip4/10.0.0.1/udp/1/quic-v1", "/ip4/10.0.0.1/tcp/1");
        assert_eq!(head_start.not_before(&at(tcp, peer), now), None);
        assert_eq!(head_start.not_before(&at(quic, peer), now), None);
        let over = now + QUIC_HEAD_START;
        assert_eq!(head_start.not_before(&at(tcp, peer), now), Some(over));
        assert_eq!(head_start.not_before(&at(tcp, PeerId::random()), now), None);
        assert_eq!(head_start.not_before(&at(tcp, peer), over), None);
        for _ in 0..10_000 {
            head_start.not_before(&at(quic, PeerId::random()), now);
        }
        assert!(head_start.begun.len() <= 2 * MAX_MEMBERS);
    }
}
