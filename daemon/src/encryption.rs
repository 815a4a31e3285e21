//! The protocol's members, rules and digests as the encryption's types, and back. Nothing else
//! converts them.

use fedshield_he::{
    CiphertextDigest, CommitmentDigest, NonceDigest, RobustSharing, ShareIndex, Sharing, SumDigest,
};
use fedshield_protocol::ids::{self, MemberIndex};
use fedshield_protocol::manifest::Rules;
use fedshield_protocol::object::ObjectRef;

/// A member's share index, the point at which its key shares are evaluated: its position in the
/// manifest plus one.
#[must_use]
pub const fn share_index(member: MemberIndex) -> ShareIndex {
    ShareIndex::from_position(member.0)
}

/// The member with this share index.
#[must_use]
pub const fn member_index(index: ShareIndex) -> MemberIndex {
    MemberIndex(index.position())
}

/// The parameters of key sharing under these rules.
///
/// # Errors
/// [`fedshield_he::Error::Argument`], which cannot happen for the rules of a valid manifest.
pub fn sharing(rules: &Rules) -> Result<RobustSharing, fedshield_he::Error> {
    RobustSharing::new(Sharing::new(rules.threshold, rules.member_count)?, rules.max_faulty)
}

/// The digest by which sets list a commitment: the digest of the signed message.
#[must_use]
pub const fn commitment_digest(commitment: ids::CommitmentDigest) -> CommitmentDigest {
    CommitmentDigest::new(commitment.0)
}

/// The digest by which a ciphertext is committed to: the root of its chunks.
#[must_use]
pub const fn ciphertext_digest(ciphertext: &ObjectRef) -> CiphertextDigest {
    CiphertextDigest::new(ciphertext.root.0)
}

/// The digest of an opened sum, as members agree on it.
pub(crate) const fn sum_digest(sum: SumDigest) -> ids::SumDigest {
    ids::SumDigest(*sum.as_bytes())
}

/// The digest of the sum of the contributors' nonces, as the beacon uses it.
pub(crate) const fn nonce_digest(nonce: NonceDigest) -> ids::NonceDigest {
    ids::NonceDigest(*nonce.as_bytes())
}
