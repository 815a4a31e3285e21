//! The encoding of records between two members and on disk. All integers are little endian.
//!
//! Request: `count u16, (key 32, sequence number u64) each, records`. Records: `(length u16,
//! envelope) each`, to the end.

use fedshield_protocol::ids::IdentityKey;
use libp2p::PeerId;

use crate::key::{identity_key_of, peer_id_of};
use crate::limits::{MAX_MEMBERS, MAX_RECORD_BYTES};

/// A request for records that are newer than those `known`, with the requester's own record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordRequest {
    pub(crate) known: Vec<(PeerId, u64)>,
    pub(crate) records: Vec<Vec<u8>>,
}

impl RecordRequest {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let keys = self.known.iter().filter_map(|(peer, n)| Some((identity_key_of(peer)?, *n)));
        let keys: Vec<(IdentityKey, u64)> = keys.take(MAX_MEMBERS).collect();
        let mut out = (keys.len() as u16).to_le_bytes().to_vec();
        for (key, number) in keys {
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend(encode_records(self.records.iter().map(Vec::as_slice)));
        out
    }

    /// None if the bytes are not a request.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (count, mut rest) = bytes.split_first_chunk::<2>()?;
        let count = usize::from(u16::from_le_bytes(*count));
        if count > MAX_MEMBERS {
            return None;
        }
        let mut known = Vec::with_capacity(count);
        for _ in 0..count {
            let (key, after) = rest.split_first_chunk::<32>()?;
            let (number, after) = after.split_first_chunk::<8>()?;
            if let Some(peer) = peer_id_of(&IdentityKey(*key)) {
                known.push((peer, u64::from_le_bytes(*number)));
            }
            rest = after;
        }
        Some(Self { known, records: decode_records(rest)? })
    }
}

/// Encodes at most [`MAX_MEMBERS`] records.
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

/// Decodes records without verifying them; none if the bytes are malformed or over [`MAX_MEMBERS`]
/// or [`MAX_RECORD_BYTES`].
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
    use crate::limits::{MAX_RECORD_REQUEST_BYTES, MAX_RECORD_RESPONSE_BYTES};

    #[test]
    fn a_request_survives_encoding() {
        let peer = |_| Keypair::generate_ed25519().public().to_peer_id();
        let known: Vec<(PeerId, u64)> = (0..3).map(peer).zip([0, 7, u64::MAX]).collect();
        let request = RecordRequest { known, records: vec![vec![1, 2, 3], vec![]] };
        assert_eq!(RecordRequest::decode(&request.encode()), Some(request));
    }

    #[test]
    fn the_largest_federation_fits_and_more_is_refused() {
        let full = vec![vec![7; MAX_RECORD_BYTES]; MAX_MEMBERS];
        let bytes = encode_records(full.iter().map(Vec::as_slice));
        assert!(bytes.len() <= MAX_RECORD_RESPONSE_BYTES);
        assert_eq!(decode_records(&bytes), Some(full));
        let longest =
            RecordRequest { known: vec![], records: vec![vec![7; MAX_RECORD_BYTES]] }.encode();
        assert!(longest.len() + 40 * MAX_MEMBERS <= MAX_RECORD_REQUEST_BYTES);
        assert_eq!(decode_records(&vec![0; 2 * (MAX_MEMBERS + 1)]), None);
        assert_eq!(decode_records(&[0xff, 0xff, 0]), None);
        assert_eq!(decode_records(&[5, 0, 1]), None);
        assert_eq!(RecordRequest::decode(&[0xff, 0xff]), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_make_the_decoder_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            let _ = RecordRequest::decode(&bytes);
            let _ = decode_records(&bytes);
        }
    }
}
