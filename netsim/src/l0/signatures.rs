//! Signatures of the simulation: a keyed hash that anyone in the simulation can recompute.

use std::collections::BTreeMap;
use std::sync::Arc;

use fedshield_protocol::ids::{Digest, IdentityKey};
use fedshield_protocol::sign::{Signature, Signatures};

/// The secrets of all members.
pub(crate) type Secrets = Arc<BTreeMap<IdentityKey, [u8; 32]>>;

/// One member's way to sign and to check all others.
pub(crate) struct KeyedHash {
    pub(crate) own: [u8; 32],
    pub(crate) secrets: Secrets,
}

fn tag(secret: &[u8; 32], digest: &Digest) -> Signature {
    let mut bytes = [0; 64];
    blake3::Hasher::new_keyed(secret).update(digest.as_bytes()).finalize_xof().fill(&mut bytes);
    Signature::from_slice(&bytes).unwrap_or_default()
}

impl Signatures for KeyedHash {
    fn sign(&self, digest: &Digest) -> Signature {
        tag(&self.own, digest)
    }

    fn verify(&self, key: &IdentityKey, digest: &Digest, signature: &Signature) -> bool {
        self.secrets.get(key).is_some_and(|secret| tag(secret, digest) == *signature)
    }
}
