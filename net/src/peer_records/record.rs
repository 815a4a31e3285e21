//! One signed peer record: libp2p's RFC 0003, in the encoding that all libp2p implementations read.

use libp2p::core::{PeerRecord, SignedEnvelope};
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};

use crate::address_book::check_dial;
use crate::error::StartError;
use crate::limits::{MAX_RECORD_ADDRESSES, MAX_RECORD_BYTES};

/// The domain separation string and payload type that go-libp2p and js-libp2p use.
const DOMAIN: &str = "libp2p-peer-record";
const PAYLOAD_TYPE: &[u8] = &[0x03, 0x01];

/// Why a record was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    /// Longer than [`MAX_RECORD_BYTES`].
    #[error("{length} bytes are over the limit of {MAX_RECORD_BYTES}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// No signed peer record, or signed by another key than that of the peer it describes.
    #[error("not a peer record under its member's own signature: {0}")]
    Signature(String),
    /// More than [`MAX_RECORD_ADDRESSES`] addresses.
    #[error("{count} addresses are over the limit of {MAX_RECORD_ADDRESSES}")]
    TooMany {
        /// Number of addresses.
        count: usize,
    },
    /// It describes a peer that is not a member.
    #[error("it describes a node that is not a member")]
    NotAMember,
    /// Its member is over [`RECORD_RATE`](crate::limits::RECORD_RATE).
    #[error("its member changes its addresses too often")]
    RateLimited,
}

/// A record whose signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignedRecord {
    pub(crate) peer: PeerId,
    /// Sequence number: the record with the greatest one replaces the others.
    pub(crate) seq: u64,
    /// Those of its addresses that pass [`check_dial`], at most [`MAX_RECORD_ADDRESSES`].
    pub(crate) addresses: Vec<Multiaddr>,
    /// The signed envelope, as it is sent.
    pub(crate) bytes: Vec<u8>,
}

impl SignedRecord {
    /// Signs our own addresses. The library would use the clock as the sequence number; ours also
    /// grows when the clock goes back.
    ///
    /// # Errors
    /// [`StartError::Setup`] if the library cannot sign.
    pub(crate) fn sign(
        pair: &Keypair,
        seq: u64,
        addresses: &[Multiaddr],
    ) -> Result<Self, StartError> {
        let peer = pair.public().to_peer_id();
        let addresses: Vec<Multiaddr> = addresses
            .iter()
            .filter(|address| check_dial(address).is_ok())
            .take(MAX_RECORD_ADDRESSES)
            .cloned()
            .collect();
        let payload = payload(&peer, seq, &addresses);
        let envelope = SignedEnvelope::new(pair, DOMAIN.into(), PAYLOAD_TYPE.to_vec(), payload)
            .map_err(|error| StartError::Setup(error.to_string()))?;
        Ok(Self { peer, seq, addresses, bytes: envelope.into_protobuf_encoding() })
    }

    /// Decodes and verifies untrusted bytes.
    ///
    /// # Errors
    /// Too long, too many addresses, or not validly signed.
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
        // A newer version may support more transports: addresses that cannot be dialled here are
        // left out, and the bytes are forwarded unchanged.
        let addresses = record.addresses().iter().filter(|address| check_dial(address).is_ok());
        Ok(Self {
            peer: record.peer_id(),
            seq: record.seq(),
            addresses: addresses.cloned().collect(),
            bytes: bytes.to_vec(),
        })
    }
}

/// The protobuf message `PeerRecord` of RFC 0003.
fn payload(peer: &PeerId, seq: u64, addresses: &[Multiaddr]) -> Vec<u8> {
    let mut out = Vec::new();
    field(&mut out, 1, &peer.to_bytes());
    // Field 2, a varint.
    out.push(2 << 3);
    varint(&mut out, seq);
    for address in addresses {
        let mut info = Vec::new();
        field(&mut info, 1, address.as_ref());
        field(&mut out, 3, &info);
    }
    out
}

/// A length-delimited field.
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

    pub(in crate::peer_records) fn address(port: u16) -> Multiaddr {
        format!("/ip4/10.0.0.7/tcp/{port}").parse().unwrap()
    }

    #[test]
    fn a_record_survives_the_wire_and_is_what_the_library_makes() {
        let pair = Keypair::generate_ed25519();
        for seq in [0, 1, 127, 128, 1 << 40, u64::MAX] {
            let addresses = vec![address(1), "/dns4/bank.example/udp/7/quic-v1".parse().unwrap()];
            let record = SignedRecord::sign(&pair, seq, &addresses).unwrap();
            assert_eq!(SignedRecord::read(&record.bytes).unwrap(), record);
            assert_eq!((record.seq, &record.addresses), (seq, &addresses));
        }
        // The library's own record for the same clock has the same bytes.
        let library = PeerRecord::new_interop(&pair, vec![address(1)]).unwrap();
        let ours = SignedRecord::sign(&pair, library.seq(), &[address(1)]).unwrap();
        assert_eq!(library.into_signed_envelope().into_protobuf_encoding(), ours.bytes);
    }

    #[test]
    fn a_record_signed_by_another_key_is_refused() {
        let (mallory, victim) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
        let payload = payload(&victim.public().to_peer_id(), 7, &[address(1)]);
        let forged =
            SignedEnvelope::new(&mallory, DOMAIN.into(), PAYLOAD_TYPE.to_vec(), payload).unwrap();
        let error = SignedRecord::read(&forged.into_protobuf_encoding()).unwrap_err();
        assert!(matches!(error, RecordError::Signature(_)), "{error}");
    }

    #[test]
    fn an_oversized_record_is_refused_whatever_its_signature() {
        let pair = Keypair::generate_ed25519();
        let many: Vec<Multiaddr> = (1..100).map(address).collect();
        let signed = |addresses: &[Multiaddr]| {
            let payload = payload(&pair.public().to_peer_id(), 7, addresses);
            let (domain, kind) = (DOMAIN.to_owned(), PAYLOAD_TYPE.to_vec());
            SignedEnvelope::new(&pair, domain, kind, payload).unwrap().into_protobuf_encoding()
        };
        let error = SignedRecord::read(&signed(&many)).unwrap_err();
        assert_eq!(error, RecordError::TooMany { count: 99 });
        let names = vec![format!("/dns4/{}/tcp/7", "a".repeat(250)).parse().unwrap(); 20];
        let error = SignedRecord::read(&signed(&names)).unwrap_err();
        assert!(matches!(error, RecordError::TooLong { .. }), "{error}");
        // A record that we sign is always within the limits.
        assert_eq!(
            SignedRecord::sign(&pair, 1, &many).unwrap().addresses.len(),
            MAX_RECORD_ADDRESSES
        );
        let long = vec![format!("/dns4/{}/tcp/7", "a".repeat(240)).parse().unwrap(); 20];
        let own = SignedRecord::sign(&pair, u64::MAX, &long).unwrap();
        assert!(own.bytes.len() <= MAX_RECORD_BYTES, "{}", own.bytes.len());
        assert_eq!(SignedRecord::read(&own.bytes).unwrap(), own);
    }

    #[test]
    fn addresses_that_cannot_be_dialled_are_left_out() {
        let pair = Keypair::generate_ed25519();
        let nowhere = ["/ip4/169.254.169.254/tcp/80", "/ip6/fe80::1/tcp/7", "/memory/7"];
        let mut addresses: Vec<Multiaddr> = nowhere.iter().map(|a| a.parse().unwrap()).collect();
        addresses.push(address(1));
        let payload = payload(&pair.public().to_peer_id(), 7, &addresses);
        let (domain, kind) = (DOMAIN.to_owned(), PAYLOAD_TYPE.to_vec());
        let signed = SignedEnvelope::new(&pair, domain, kind, payload).unwrap();
        let read = SignedRecord::read(&signed.into_protobuf_encoding()).unwrap();
        assert_eq!(read.addresses, [address(1)]);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_make_the_decoder_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            at in any::<prop::sample::Index>(),
            flip in 1u8..,
        ) {
            prop_assert!(SignedRecord::read(&bytes).is_err());
            let mut pair = [7; 32];
            let pair = Keypair::ed25519_from_bytes(&mut pair[..]).unwrap();
            let mut record = SignedRecord::sign(&pair, 7, &[address(1)]).unwrap().bytes;
            let at = at.index(record.len());
            record[at] ^= flip;
            // Protobuf may ignore the flipped bits; then the record must read as before.
            if let Ok(read) = SignedRecord::read(&record) {
                prop_assert_eq!((read.seq, read.addresses), (7, vec![address(1)]));
            }
        }
    }
}
