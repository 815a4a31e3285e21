//! One member's addresses under its signature: libp2p's signed peer record (RFC 0003), in the form that all libp2p
//! implementations read.

use libp2p::core::{PeerRecord, SignedEnvelope};
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};

use crate::address_book::check_dial;
use crate::error::StartError;
use crate::limits::{MAX_RECORD_ADDRESSES, MAX_RECORD_BYTES};

/// Of the signed peer records of go-libp2p and js-libp2p.
const DOMAIN: &str = "libp2p-peer-record";
const PAYLOAD_TYPE: &[u8] = &[0x03, 0x01];

/// Why bytes are no record that counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Longer than any record.
    #[error("{length} bytes are over the limit of {MAX_RECORD_BYTES}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// No signed record, or signed by another key than that of the peer it is about.
    #[error("not a record under its member's own signature: {0}")]
    Signature(String),
    /// More addresses than a member may have.
    #[error("{count} addresses are over the limit of {MAX_RECORD_ADDRESSES}")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// About a peer that is not a member.
    #[error("about a node that is not a member")]
    Outsider,
    /// Its author changes its record all the time.
    #[error("its member changes its addresses too often")]
    TooOften,
}

/// A record whose signature was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) peer: PeerId,
    /// The greater number counts.
    pub(crate) number: u64,
    /// Those of its addresses that can be dialled from elsewhere, at most [`MAX_RECORD_ADDRESSES`].
    pub(crate) addresses: Vec<Multiaddr>,
    /// As it travels.
    pub(crate) bytes: Vec<u8>,
}

impl Record {
    /// Signs our own addresses. The library would take the clock for the number; ours grows whatever the clock does.
    pub(crate) fn sign(
        pair: &Keypair,
        number: u64,
        addresses: &[Multiaddr],
    ) -> Result<Self, StartError> {
        let peer = pair.public().to_peer_id();
        let addresses: Vec<Multiaddr> = addresses
            .iter()
            .filter(|address| check_dial(address).is_ok())
            .take(MAX_RECORD_ADDRESSES)
            .cloned()
            .collect();
        let payload = payload(&peer, number, &addresses);
        let envelope = SignedEnvelope::new(pair, DOMAIN.into(), PAYLOAD_TYPE.to_vec(), payload)
            .map_err(|error| StartError::Setup(error.to_string()))?;
        Ok(Self { peer, number, addresses, bytes: envelope.into_protobuf_encoding() })
    }

    /// Reads what came from anywhere.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(RecordError::TooLong { length: bytes.len() });
        }
        let wrong = |error: &dyn std::fmt::Display| RecordError::Signature(error.to_string());
        let envelope = SignedEnvelope::from_protobuf_encoding(bytes).map_err(|e| wrong(&e))?;
        let record =
            PeerRecord::from_signed_envelope_interop(envelope).map_err(|error| wrong(&error))?;
        let count = record.addresses().len();
        if count > MAX_RECORD_ADDRESSES {
            return Err(RecordError::TooMany { count });
        }
        // A newer version may speak more transports than this one: what cannot be dialled here is passed on all the same.
        let addresses = record.addresses().iter().filter(|address| check_dial(address).is_ok());
        Ok(Self {
            peer: record.peer_id(),
            number: record.seq(),
            addresses: addresses.cloned().collect(),
            bytes: bytes.to_vec(),
        })
    }
}

/// The protobuf message `PeerRecord` of RFC 0003.
fn payload(peer: &PeerId, number: u64, addresses: &[Multiaddr]) -> Vec<u8> {
    let mut out = Vec::new();
    field(&mut out, 1, &peer.to_bytes());
    // Field 2, a plain number.
    out.push(2 << 3);
    varint(&mut out, number);
    for address in addresses {
        let mut info = Vec::new();
        field(&mut info, 1, address.as_ref());
        field(&mut out, 3, &info);
    }
    out
}

/// A field of bytes.
fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::addresses) fn address(port: u16) -> Multiaddr {
        format!("/ip4/10.0.0.7/tcp/{port}").parse().unwrap()
    }

    #[test]
    fn a_record_survives_the_wire_and_is_what_the_library_makes() {
        let pair = Keypair::generate_ed25519();
        for number in [0, 1, 127, 128, 1 << 40, u64::MAX] {
            let addresses = vec![address(1), "/dns4/bank.example/udp/7/quic-v1".parse().unwrap()];
            let record = Record::sign(&pair, number, &addresses).unwrap();
            assert_eq!(Record::read(&record.bytes).unwrap(), record);
            assert_eq!((record.number, &record.addresses), (number, &addresses));
        }
        // The library's own record for the same clock has the same bytes.
        let library = PeerRecord::new_interop(&pair, vec![address(1)]).unwrap();
        let ours = Record::sign(&pair, library.seq(), &[address(1)]).unwrap();
        assert_eq!(library.into_signed_envelope().into_protobuf_encoding(), ours.bytes);
    }

    #[test]
    fn nobody_signs_for_another() {
        let (mallory, victim) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
        let payload = payload(&victim.public().to_peer_id(), 7, &[address(1)]);
        let forged =
            SignedEnvelope::new(&mallory, DOMAIN.into(), PAYLOAD_TYPE.to_vec(), payload).unwrap();
        let error = Record::read(&forged.into_protobuf_encoding()).unwrap_err();
        assert!(matches!(error, RecordError::Signature(_)), "{error}");
    }

    #[test]
    fn an_oversized_record_is_refused_whatever_its_signature() {
        let pair = Keypair::generate_ed25519();
        let many: Vec<Multiaddr> = (1..100).map(address).collect();
        let sealed = |addresses: &[Multiaddr]| {
            let payload = payload(&pair.public().to_peer_id(), 7, addresses);
            let (domain, kind) = (DOMAIN.to_owned(), PAYLOAD_TYPE.to_vec());
            SignedEnvelope::new(&pair, domain, kind, payload).unwrap().into_protobuf_encoding()
        };
        let error = Record::read(&sealed(&many)).unwrap_err();
        assert_eq!(error, RecordError::TooMany { count: 99 });
        let names = vec![format!("/dns4/{}/tcp/7", "a".repeat(250)).parse().unwrap(); 20];
        let error = Record::read(&sealed(&names)).unwrap_err();
        assert!(matches!(error, RecordError::TooLong { .. }), "{error}");
        // Our own never is.
        assert_eq!(Record::sign(&pair, 1, &many).unwrap().addresses.len(), MAX_RECORD_ADDRESSES);
        let long = vec![format!("/dns4/{}/tcp/7", "a".repeat(240)).parse().unwrap(); 20];
        let own = Record::sign(&pair, u64::MAX, &long).unwrap();
        assert!(own.bytes.len() <= MAX_RECORD_BYTES, "{}", own.bytes.len());
        assert_eq!(Record::read(&own.bytes).unwrap(), own);
    }

    #[test]
    fn addresses_that_lead_nowhere_are_left_out() {
        let pair = Keypair::generate_ed25519();
        let nowhere = ["/ip4/169.254.169.254/tcp/80", "/ip6/fe80::1/tcp/7", "/memory/7"];
        let mut addresses: Vec<Multiaddr> = nowhere.iter().map(|a| a.parse().unwrap()).collect();
        addresses.push(address(1));
        let payload = payload(&pair.public().to_peer_id(), 7, &addresses);
        let (domain, kind) = (DOMAIN.to_owned(), PAYLOAD_TYPE.to_vec());
        let sealed = SignedEnvelope::new(&pair, domain, kind, payload).unwrap();
        let read = Record::read(&sealed.into_protobuf_encoding()).unwrap();
        assert_eq!(read.addresses, [address(1)]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            at in any::<prop::sample::Index>(),
            flip in 1u8..,
        ) {
            prop_assert!(Record::read(&bytes).is_err());
            let mut pair = [7; 32];
            let pair = Keypair::ed25519_from_bytes(&mut pair[..]).unwrap();
            let mut record = Record::sign(&pair, 7, &[address(1)]).unwrap().bytes;
            let at = at.index(record.len());
            record[at] ^= flip;
            // A flipped bit may be one that protobuf does not look at; then nothing may have changed.
            if let Ok(read) = Record::read(&record) {
                prop_assert_eq!((read.number, read.addresses), (7, vec![address(1)]));
            }
        }
    }
}
