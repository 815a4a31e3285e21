//! Digests, a distinct type for each kind of content, so that none can be mistaken for another.

use std::fmt;

/// Declares a digest of 32 bytes.
macro_rules! digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Takes 32 bytes for this digest: the caller knows what they are the digest of.
            pub const fn new(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes, as on the wire.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), blake3::Hash::from(self.0).to_hex())
            }
        }
    };
}

digest!(
    /// The digest by which a ciphertext is committed to: of its bytes, or the root of its chunks.
    CiphertextDigest
);
digest!(
    /// The digest by which a [`ContributorSet`](crate::ContributorSet) lists a contributor's
    /// commitment. It binds the whole commitment, the digest of the ciphertext included.
    CommitmentDigest
);
digest!(
    /// H(round, opening) for one [`ShareOpening`](crate::ShareOpening): what a
    /// [`ShareCommitment`](crate::ShareCommitment) publishes for each member.
    ShareDigest
);
digest!(
    /// Names a round and the contributors of its sum with their commitments: U.
    SetId
);
digest!(
    /// The digest of an opened sum: set, values and nonce. Equal at all members.
    SumDigest
);
digest!(
    /// The digest of the sum of the contributors' nonces: material for the beacon.
    NonceDigest
);
