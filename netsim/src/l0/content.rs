//! Simulated objects: the bytes of an object encode its meaning, so that jobs and checkers can read
//! it.

use fedshield_protocol::ids::{
    Beacon, CommitmentDigest, Digest, LayoutDigest, MemberIndex, NonceDigest, Round, SumDigest,
};
use fedshield_protocol::object::ObjectRef;
use serde::{Deserialize, Serialize};

/// An update before encryption. A member sends the same vector again in later rounds until it is
/// spent or the disk is lost, and never afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Vector {
    /// The contributor.
    pub member: MemberIndex,
    /// Number of this update among those of the contributor.
    pub number: u32,
}

/// Length in bytes to which contents of fixed length are padded.
pub(crate) const CONTENT_BYTES: usize = 64;

/// The meaning of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// An encrypted update; `salt` makes each encryption different.
    Ciphertext {
        /// The plaintext.
        vector: Vector,
        /// Different for every encryption.
        salt: u64,
    },
    /// A sealed key share.
    Share {
        /// The member that dealt it.
        dealer: MemberIndex,
        /// The member that it is sealed for.
        receiver: MemberIndex,
        /// The salt of the encryption whose key it shares.
        salt: u64,
        /// Whether it opens to the share that was committed to.
        valid: bool,
        /// The sealing key that it is sealed to.
        key: Vec<u8>,
    },
    /// A sum of ciphertexts.
    Aggregate {
        /// Roots of the ciphertexts that were added, sorted.
        parts: Vec<Digest>,
        /// The plaintext vectors, sorted.
        vectors: Vec<Vector>,
    },
    /// A partial decryption.
    Partial {
        /// The member that computed it.
        member: MemberIndex,
        /// The set that it is for, by commitment digests.
        set: Vec<CommitmentDigest>,
        /// Whether it is correct.
        correct: bool,
    },
    /// A summed key.
    Key {
        /// The set whose keys were summed, by commitment digests.
        set: Vec<CommitmentDigest>,
        /// Whether it is the correct key.
        correct: bool,
    },
    /// A global adapter.
    Adapter {
        /// The round that it was applied in.
        round: Round,
        /// The adapter before.
        before: Option<Digest>,
        /// The sum that was added.
        sum: SumDigest,
    },
}

impl Content {
    /// The object's bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        // A plain enum can always be encoded; the padding makes all ciphertexts equally long.
        let mut bytes = postcard::to_allocvec(self).unwrap_or_default();
        bytes.resize(bytes.len().max(CONTENT_BYTES), 0);
        bytes
    }

    /// The object's name.
    #[must_use]
    pub fn object(&self) -> ObjectRef {
        ObjectRef::of(&self.bytes())
    }

    /// Reads an object's bytes.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}

fn hash(context: &str, parts: &impl Serialize) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    hasher.update(&postcard::to_allocvec(parts).unwrap_or_default());
    *hasher.finalize().as_bytes()
}

/// The digest of the sum of some vectors.
#[must_use]
pub fn sum_of(vectors: &[Vector]) -> SumDigest {
    let mut sorted = vectors.to_vec();
    sorted.sort_unstable();
    SumDigest(hash("fedshield simulation sum", &sorted))
}

/// The digest of the opened sum of nonces.
#[must_use]
pub(crate) fn nonce_of(sum: &SumDigest) -> NonceDigest {
    NonceDigest(hash("fedshield simulation nonce", sum))
}

/// The layout of the slots in a round: the same for all honest members.
#[must_use]
pub(crate) fn layout_of(beacon: &Beacon) -> LayoutDigest {
    LayoutDigest(hash("fedshield simulation layout", beacon))
}

/// The layout by which a member says that it has stopped improving.
#[must_use]
pub(crate) fn stalled_layout_of(beacon: &Beacon) -> LayoutDigest {
    LayoutDigest(hash("fedshield simulation stalled layout", beacon))
}

/// Whether the honest members have stopped improving in a round: all of them or none.
#[must_use]
pub(crate) const fn is_stalled(round: Round) -> bool {
    round.0 % 2 == 1
}

/// One opened sum in sixteen is out of range and rejected by everyone.
#[must_use]
pub(crate) fn is_in_range(sum: &SumDigest) -> bool {
    sum.as_bytes().first().is_none_or(|byte| byte % 16 != 0)
}
