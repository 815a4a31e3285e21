//! Records between two members, and on disk. All numbers are little endian.
//!
//! `ask`: `count u16, (key 32, number u64) each, records`. `records`: `(length u16, bytes) each`, to the end.

use fedshield_protocol::ids::IdentityKey;
use libp2p::PeerId;

use crate::key::{identity_key_of, peer_id_of};
use crate::limits::{MAX_MEMBERS, MAX_RECORD_BYTES};

/// A member tells its own record and asks for what is newer than what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) have: Vec<(PeerId, u64)>,
    pub(crate) records: Vec<Vec<u8>>,
}

impl Ask {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let keys = self.have.iter().filter_map(|(peer, n)| Some((identity_key_of(peer)?, *n)));
        let keys: Vec<(IdentityKey, u64)> = keys.take(MAX_MEMBERS).collect();
        let mut out = (keys.len() as u16).to_le_bytes().to_vec();
        for (key, number) in keys {
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend(encode_records(self.records.iter().map(Vec::as_slice)));
        out
    }

    /// None if the bytes are no ask.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (count, mut rest) = bytes.split_first_chunk::<2>()?;
        let count = usize::from(u16::from_le_bytes(*count));
        if count > MAX_MEMBERS {
            return None;
        }
        let mut have = Vec::with_capacity(count);
        for _ in 0..count {
            let (key, after) = rest.split_first_chunk::<32>()?;
            let (number, after) = after.split_first_chunk::<8>()?;
            if let Some(peer) = peer_id_of(&IdentityKey(*key)) {
                have.push((peer, u64::from_le_bytes(*number)));
            }
            rest = after;
        }
        Some(Self { have, records: decode_records(rest)? })
    }
}

/// Records one after the other.
pub(crate) fn encode_records<'a>(records: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for record in records.into_iter().take(MAX_MEMBERS) {
        if let Ok(length) = u16::try_from(record.len()) {
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(record);
        }
    }
    out
}

/// None if the bytes are no such list, or if there are more or longer ones than a federation has.
pub(crate) fn decode_records(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_le_bytes(*length));
        if length > MAX_RECORD_BYTES || records.len() >= MAX_MEMBERS {
            return None;
        }
        let (record, rest) = rest.split_at_checked(length)?;
        records.push(record.to_vec());
        bytes = rest;
    }
    Some(records)
}

#[cfg(test)]
mod tests {
    use libp2p::identity::Keypair;
    use proptest::prelude::*;

    use super::*;
    use crate::limits::{MAX_ADDRESSES_ANSWER_BYTES, MAX_ADDRESSES_ASK_BYTES};

    #[test]
    fn an_ask_survives_the_wire() {
        let peer = |_| Keypair::generate_ed25519().public().to_peer_id();
        let have: Vec<(PeerId, u64)> = (0..3).map(peer).zip([0, 7, u64::MAX]).collect();
        let ask = Ask { have, records: vec![vec![1, 2, 3], vec![]] };
        assert_eq!(Ask::decode(&ask.encode()), Some(ask));
    }

    #[test]
    fn the_largest_federation_fits_and_no_more_is_taken() {
        let full = vec![vec![7; MAX_RECORD_BYTES]; MAX_MEMBERS];
        let bytes = encode_records(full.iter().map(Vec::as_slice));
        assert!(bytes.len() <= MAX_ADDRESSES_ANSWER_BYTES);
        assert_eq!(decode_records(&bytes), Some(full));
        let longest = Ask { have: vec![], records: vec![vec![7; MAX_RECORD_BYTES]] }.encode();
        assert!(longest.len() + 40 * MAX_MEMBERS <= MAX_ADDRESSES_ASK_BYTES);
        assert_eq!(decode_records(&vec![0; 2 * (MAX_MEMBERS + 1)]), None);
        assert_eq!(decode_records(&[0xff, 0xff, 0]), None);
        assert_eq!(decode_records(&[5, 0, 1]), None);
        assert_eq!(Ask::decode(&[0xff, 0xff]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = Ask::decode(&bytes);
            let _ = decode_records(&bytes);
        }
    }
}
