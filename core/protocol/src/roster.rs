//! Who the members are and how their signatures are checked.

use crate::ids::{Digest, MemberIndex, Round};
use crate::limits::MAX_DIRECT_BYTES;
use crate::manifest::{Rules, ValidManifest};
use crate::sign::{Signature, Signatures};
use crate::wire::codec::{self, CodecError};
use crate::wire::{Body, Scope, Signed};

/// The members' keys with a way to check signatures.
#[derive(Clone, Copy)]
pub struct Roster<'a> {
    manifest: &'a ValidManifest,
    signatures: &'a dyn Signatures,
}

impl<'a> Roster<'a> {
    /// The members of `manifest`.
    #[must_use]
    pub const fn new(manifest: &'a ValidManifest, signatures: &'a dyn Signatures) -> Self {
        Self { manifest, signatures }
    }

    /// The numbers of the federation.
    #[must_use]
    pub const fn rules(&self) -> &'a Rules {
        self.manifest.rules()
    }

    /// The manifest.
    #[must_use]
    pub const fn manifest(&self) -> &'a ValidManifest {
        self.manifest
    }

    /// Where signatures of `round` belong.
    #[must_use]
    pub const fn scope(&self, round: Round) -> Scope {
        Scope { federation: self.manifest.federation(), epoch: self.manifest.epoch(), round }
    }

    /// Whether `signature` is by `member` under `body` in `round`.
    #[must_use]
    pub fn is_signed_by(
        &self,
        round: Round,
        member: MemberIndex,
        body: &Body,
        signature: &Signature,
    ) -> bool {
        let Some(key) = self.manifest.key_of(member) else { return false };
        self.digest(round, member, body)
            .is_ok_and(|digest| self.signatures.verify(key, &digest, signature))
    }

    /// The digest that `member` signs to send `body` in `round`.
    ///
    /// # Errors
    /// [`CodecError::TooLong`].
    pub fn digest(
        &self,
        round: Round,
        member: MemberIndex,
        body: &Body,
    ) -> Result<Digest, CodecError> {
        let bytes = codec::encode(body.kind(), body, MAX_DIRECT_BYTES)?;
        let scope = self.scope(round);
        Ok(scope.with_parts(member, body.label(), &bytes, |parts| self.signatures.digest(parts)))
    }

    /// Whether a message is by its sender; `bytes` are those that it was decoded from.
    #[must_use]
    pub fn is_by_sender(&self, signed: &Signed, bytes: &[u8]) -> bool {
        let Some(key) = self.manifest.key_of(signed.sender) else { return false };
        // What was decoded encodes back to the same bytes, so its body need not be encoded again.
        let Some(body) = signed.body_bytes(bytes) else { return false };
        let (scope, signatures) = (self.scope(signed.round), self.signatures);
        let digest = scope
            .with_parts(signed.sender, signed.body.label(), body, |parts| signatures.digest(parts));
        signatures.verify(key, &digest, &signed.signature)
    }
}
