//! What a signature covers.

use super::codec::{self, CodecError};
use super::{Body, CommitmentBody};
use crate::hash::Use;
use crate::ids::{CommitmentDigest, Digest, Epoch, FederationId, MemberIndex, Round};
use crate::limits::MAX_DIRECT_BYTES;

/// Where a signature belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// The federation id.
    pub federation: FederationId,
    /// The epoch.
    pub epoch: Epoch,
    /// The round.
    pub round: Round,
}

impl Scope {
    /// The digest that `sender` signs to send `body` in this scope.
    ///
    /// # Errors
    /// [`CodecError::TooLong`].
    pub fn digest(&self, sender: MemberIndex, body: &Body) -> Result<Digest, CodecError> {
        let bytes = codec::encode(body.kind(), body, MAX_DIRECT_BYTES)?;
        Ok(self.with_parts(sender, body.label(), &bytes, |parts| Use::Signature.digest(parts)))
    }

    /// Computes the digest that `sender` signs, from the canonical bytes of a body.
    pub(crate) fn with_parts(
        &self,
        sender: MemberIndex,
        kind: &str,
        body: &[u8],
        digest: impl FnOnce(&[&[u8]]) -> Digest,
    ) -> Digest {
        digest(&[
            self.federation.as_bytes(),
            &self.epoch.0.to_le_bytes(),
            &self.round.0.to_le_bytes(),
            &sender.0.to_le_bytes(),
            kind.as_bytes(),
            body,
        ])
    }

    /// The digest by which a commitment is known: of its body, its contributor and the scope.
    ///
    /// # Errors
    /// [`CodecError::TooLong`].
    pub fn commitment(
        &self,
        contributor: MemberIndex,
        body: &CommitmentBody,
    ) -> Result<CommitmentDigest, CodecError> {
        let bytes = codec::encode("commitment", body, MAX_DIRECT_BYTES)?;
        let digest = Use::Commitment.digest(&[
            self.federation.as_bytes(),
            &self.epoch.0.to_le_bytes(),
            &self.round.0.to_le_bytes(),
            &contributor.0.to_le_bytes(),
            &bytes,
        ]);
        Ok(CommitmentDigest(digest.0))
    }
}
