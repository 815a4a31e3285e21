//! Signatures of the simulation: anyone in it could make anybody's, and nobody does. A hash would cost a third of a run.

use std::collections::BTreeMap;
use std::sync::Arc;

use fedshield_protocol::ids::{Digest, IdentityKey};
use fedshield_protocol::sign::{Signature, Signatures};

use super::fast_hash::FastHash;

/// The secrets of all members.
pub(crate) type Secrets = Arc<BTreeMap<IdentityKey, [u8; 32]>>;

/// One member's way to sign and to check all others.
pub(crate) struct SimSigner {
    pub(crate) own: [u8; 32],
    pub(crate) secrets: Secrets,
}

/// What was signed, hidden under the secret, and the secret: different for different members and digests.
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
    /// Nobody in the simulation looks for collisions: 64 bits tell its statements apart.
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
