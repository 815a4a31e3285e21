//! Who the members are and how their signatures are checked.

use crate::ids::{MemberIndex, Round};
use crate::manifest::{Rules, ValidManifest};
use crate::message::{Body, Scope, Signed};
use crate::sign::{Signature, Signatures};

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

    /// Whether `member` said `body` in `round`.
    #[must_use]
    pub fn is_said(
        &self,
        round: Round,
        member: MemberIndex,
        body: &Body,
        signature: &Signature,
    ) -> bool {
        let Some(key) = self.manifest.key_of(member) else { return false };
        self.scope(round)
            .digest(member, body)
            .is_ok_and(|digest| self.signatures.verify(key, &digest, signature))
    }

    /// Whether a message is by its sender.
    #[must_use]
    pub fn is_by_sender(&self, signed: &Signed) -> bool {
        self.is_said(signed.round, signed.sender, &signed.body, &signed.signature)
    }
}
