//! The checkpoint of what a start need not verify again: how many records of the ledger have been
//! verified, and the digest of the last one.
//!
//! It is in the index, authenticated under a key derived from the identity. So an attacker who can
//! write the home but cannot open the identity cannot make the node treat records as verified that
//! it has never seen. Such an attacker can change what the digests of the records do not cover
//! (their signatures and certificates) and recompute the checksums: a start does not notice that,
//! but `ledger verify` and `doctor` do, and so does every member that is sent these records.

use fedshield_protocol::ids::RecordDigest;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

const MAC_BYTES: usize = 32;

/// The key that authenticates a node's checkpoint.
#[derive(Clone)]
pub struct CheckpointKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for CheckpointKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CheckpointKey(redacted)")
    }
}

/// What has been verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    /// How many records, from the first on.
    pub(super) records: u64,
    /// Digest of the last one.
    pub(super) head: RecordDigest,
}

impl CheckpointKey {
    /// The key of the identity with this seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(Zeroizing::new(blake3::derive_key("fedshield v1 ledger checkpoint", seed)))
    }

    pub(super) fn encode(&self, checkpoint: &Checkpoint) -> Vec<u8> {
        // Encoding a number and a digest cannot fail; empty bytes are no checkpoint.
        let mut bytes = postcard::to_allocvec(checkpoint).unwrap_or_default();
        let mac = self.mac(&bytes);
        bytes.extend_from_slice(mac.as_bytes());
        bytes
    }

    pub(super) fn decode(&self, bytes: &[u8]) -> Option<Checkpoint> {
        let at = bytes.len().checked_sub(MAC_BYTES)?;
        let (body, mac) = bytes.split_at_checked(at)?;
        let mac: [u8; MAC_BYTES] = mac.try_into().ok()?;
        // Compared in constant time by blake3.
        if self.mac(body) != blake3::Hash::from_bytes(mac) {
            return None;
        }
        postcard::from_bytes(body).ok()
    }

    fn mac(&self, bytes: &[u8]) -> blake3::Hash {
        blake3::keyed_hash(&self.0, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_identity_that_made_a_checkpoint_opens_it() {
        let [own, other] = [1, 2].map(|byte| CheckpointKey::from_seed(&[byte; 32]));
        let checkpoint = Checkpoint { records: 5_000, head: RecordDigest([7; 32]) };
        let encoded = own.encode(&checkpoint);
        assert_eq!(own.decode(&encoded), Some(checkpoint));
        assert_eq!(other.decode(&encoded), None);
        for at in 0..encoded.len() {
            let mut changed = encoded.clone();
            changed[at] ^= 1;
            assert_eq!(own.decode(&changed), None);
            assert_eq!(own.decode(&encoded[..at]), None);
        }
    }
}
