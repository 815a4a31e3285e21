//! Who this machine is.

use std::sync::Arc;

use ed25519_dalek::SigningKey;

use crate::ids::{IdentityKey, MemberIndex};
use crate::manifest::{ManifestSignatureError, Rules, SignedManifest, ValidManifest};
use crate::roster::Roster;
use crate::sign::{Ed25519, Signatures};

/// A federation and one member's key to it.
pub struct Config {
    pub(crate) manifest: Arc<ValidManifest>,
    pub(crate) signatures: Box<dyn Signatures>,
    pub(crate) me: MemberIndex,
}

impl core::fmt::Debug for Config {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Config").field("me", &self.me).finish_non_exhaustive()
    }
}

impl Config {
    /// The member whose identity is `key`, in the federation that `signed` founds.
    ///
    /// # Errors
    /// If the manifest is not valid, not signed by every founder, or does not list the key.
    pub fn new(signed: SignedManifest, key: SigningKey) -> Result<Self, ManifestSignatureError> {
        let manifest = ValidManifest::founded(signed)?;
        let identity = IdentityKey(key.verifying_key().to_bytes());
        let me = manifest
            .member_by_key(&identity)
            .ok_or(ManifestSignatureError::NotAMember { key: identity })?;
        Ok(Self::with_signatures(Arc::new(manifest), me, Box::new(Ed25519::new(key))))
    }

    /// For simulators, which check the manifest once and bring their own signatures.
    #[must_use]
    pub fn with_signatures(
        manifest: Arc<ValidManifest>,
        me: MemberIndex,
        signatures: Box<dyn Signatures>,
    ) -> Self {
        Self { manifest, signatures, me }
    }

    /// The member.
    #[must_use]
    pub const fn me(&self) -> MemberIndex {
        self.me
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &ValidManifest {
        &self.manifest
    }

    pub(crate) fn rules(&self) -> &Rules {
        self.manifest.rules()
    }

    pub(crate) fn roster(&self) -> Roster<'_> {
        Roster::new(&self.manifest, self.signatures.as_ref())
    }

    /// Time between two heartbeats: a quarter of a view, at most five seconds.
    pub(crate) fn heartbeat_ms(&self) -> u64 {
        (self.manifest.manifest().deadlines.view_ms / 4).clamp(10, 5_000)
    }
}
