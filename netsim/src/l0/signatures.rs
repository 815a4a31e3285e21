//! Simulated signatures: they can be forged from one example, which no simulated member does. A
//! hash would take a third of the time of a run.

use std::collections::BTreeMap;
use std::sync::Arc;

use fedshield_protocol::ids::{Digest, IdentityKey};
use fedshield_protocol::sign::{Signature, Signatures};

use super::fast_hash::FastHash;

/// The secrets of all members.
pub(crate) type Secrets = Arc<BTreeMap<IdentityKey, [u8; 32]>>;

/// Signs as one member and verifies the signatures of all.
pub(crate) struct SimSigner {
    pub(crate) own: [u8; 32],
    pub(crate) secrets: Secrets,
}

/// The digest XORed with the secret, then the secret: distinct for distinct members and digests.
fn tag(secret: &[u8; 32], digest: &Digest) -> Signature {
    let mut bytes = [0; 64];
    let (hidden, by) = bytes.split_at_mut(32);
    for ((hidden, secret), digest) in hidden.iter_mut().zip(secret).zip(digest.as_bytes()) {
        *hidden = secret ^ digest;
    }
    by.copy_from_slice(secret);
    Signature::from_slice(&bytes).unwrap_or_default()
}

impl Signatures for SimSigner {
    /// No simulated member searches for collisions, so 64 bits are enough.
    fn digest(&self, parts: &[&[u8]]) -> Digest {
        let mut hash = FastHash::default();
        parts.iter().for_each(|part| hash.bytes(part));
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&hash.finish().to_le_bytes());
        Digest(digest)
    }

    fn sign(&self, digest: &Digest) -> Signature {
        tag(&self.own, digest)
    }

    fn verify(&self, key: &IdentityKey, digest: &Digest, signature: &Signature) -> bool {
        self.secrets.get(key).is_some_and(|secret| tag(secret, digest) == *signature)
    }
}
