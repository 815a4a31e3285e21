//! Conversion between a member's 32-byte identity key and libp2p's PeerId.

use fedshield_protocol::ids::IdentityKey;
use libp2p::PeerId;
use libp2p::identity::{self, ed25519};

/// The PeerId of an identity key; none if the bytes are not a valid ed25519 public key.
#[must_use]
pub fn peer_id_of(key: &IdentityKey) -> Option<PeerId> {
    let public = ed25519::PublicKey::try_from_bytes(key.as_bytes()).ok()?;
    Some(identity::PublicKey::from(public).to_peer_id())
}

/// The identity key in a PeerId; none if it belongs to another kind of key.
#[must_use]
pub fn identity_key_of(peer: &PeerId) -> Option<IdentityKey> {
    // A PeerId of an ed25519 key holds the key itself, under the "identity" multihash (code 0).
    let hash = peer.as_ref();
    if hash.code() != 0 {
        return None;
    }
    let public = identity::PublicKey::try_decode_protobuf(hash.digest()).ok()?;
    Some(IdentityKey(public.try_into_ed25519().ok()?.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_peer_ids_convert_both_ways() {
        let pair = identity::Keypair::generate_ed25519();
        let peer = pair.public().to_peer_id();
        let key = identity_key_of(&peer).unwrap();
        assert_eq!(peer_id_of(&key), Some(peer));
    }

    #[test]
    fn other_keys_and_non_points_are_refused() {
        assert_eq!(identity_key_of(&PeerId::random()), None);
        let mut rejected = 0;
        for byte in 0..=255 {
            let mut bytes = [byte; 32];
            bytes[31] = 0x7f;
            rejected += usize::from(peer_id_of(&IdentityKey(bytes)).is_none());
        }
        assert!(rejected > 0);
    }
}
