//! H: BLAKE3 in derive-key mode, one context string per use.

use std::sync::OnceLock;

use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};

use crate::ids::Digest;

/// What a digest is for. Two uses never share a context, so no digest can stand for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Digest of a manifest's canonical bytes.
    Manifest,
    /// The federation id, from the digest of the first manifest.
    Federation,
    /// The first beacon.
    Beacon,
    /// The beacon after a round that opened a sum.
    BeaconOpened,
    /// The beacon after a skipped or void round.
    BeaconSkip,
    /// Committee and proposer order.
    Committee,
    /// Bytes under an ed25519 signature.
    Signature,
    /// A commitment's body.
    Commitment,
    /// A set of commitments, U.
    Set,
    /// A value that members vote on.
    Value,
    /// A ledger record.
    Record,
    /// One chunk of an object.
    Chunk,
    /// The root over an object's chunks.
    Object,
    /// The seed of the shared pruning mask.
    Mask,
    /// The layout of an update's values.
    Layout,
    /// The order of one member's examples in one round.
    Batches,
    /// The order of the examples of training without the others, for comparison.
    LocalOnly,
}

impl Use {
    const fn context(self) -> &'static str {
        match self {
            Self::Manifest => "fedshield v1 manifest",
            Self::Federation => "fedshield v1 federation id",
            Self::Beacon => "fedshield v1 beacon",
            Self::BeaconOpened => "fedshield v1 beacon opened",
            Self::BeaconSkip => "fedshield v1 beacon skip",
            Self::Committee => "fedshield v1 committee",
            Self::Signature => "fedshield v1 signature",
            Self::Commitment => "fedshield v1 commitment",
            Self::Set => "fedshield v1 set",
            Self::Value => "fedshield v1 value",
            Self::Record => "fedshield v1 record",
            Self::Chunk => "fedshield v1 chunk",
            Self::Object => "fedshield v1 object",
            Self::Mask => "fedshield v1 mask",
            Self::Layout => "fedshield v1 update layout",
            Self::Batches => "fedshield v1 batches",
            Self::LocalOnly => "fedshield v1 local only",
        }
    }

    /// An incremental hasher for this use.
    #[must_use]
    pub fn hasher(self) -> blake3::Hasher {
        // The context is hashed once for each use, not once for each digest.
        static KEYS: [OnceLock<ContextKey>; 64] = [const { OnceLock::new() }; 64];
        match KEYS.get(self as usize) {
            Some(key) => {
                let key = key.get_or_init(|| hash_derive_key_context(self.context()));
                blake3::Hasher::new_from_context_key(key)
            }
            None => blake3::Hasher::new_derive_key(self.context()),
        }
    }

    /// The digest of `parts`, each preceded by its length in eight little-endian bytes, so that two
    /// different lists of parts never give the same input.
    #[must_use]
    pub fn digest(self, parts: &[&[u8]]) -> Digest {
        let mut hasher = self.hasher();
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Digest(*hasher.finalize().as_bytes())
    }
}
