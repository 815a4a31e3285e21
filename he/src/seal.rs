//! Sealed key shares: HPKE (RFC 9180), base mode, with the hybrid KEM X-Wing (X25519 and
//! ML-KEM-768; Barbosa et al., ePrint 2024/039), HKDF-SHA256 and ChaCha20-Poly1305.
//!
//! ```text
//! share 1120 encapsulated key, sealed bytes, 16 tag
//! info  "fedshield-he v1 sealed share"
//! aad   32 manifest digest, 8 round, 2 length of the preset name and the name, 2 dealer,
//!       32 digest of the receiver's sealing key, 2 receiver, 32 digest of the ciphertext
//! ```

use std::fmt;

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, setup_receiver};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::commitment::ShareCommitment;
use crate::context::RoundContext;
use crate::error::{Error, Fault};
use crate::hedge::hedged_rng;
use crate::share::KeyShare;
use crate::share_opening::ShareOpening;
use crate::sharing::ShareIndex;

const INFO: &[u8] = b"fedshield-he v1 sealed share";

/// Bytes of a public sealing key.
pub const SEALING_PUBLIC_LEN: usize = 1216;
/// Bytes of the secret that a sealing key pair is derived from.
pub const SEALING_SECRET_LEN: usize = 32;
/// Bytes of a sealed share besides its content: encapsulated key and tag.
const SEALING_OVERHEAD: usize = 1120 + 16;
const ENCAPSULATED_LEN: usize = 1120;

/// A member's public sealing key for one round.
#[derive(Clone, PartialEq, Eq)]
pub struct SealingPublicKey(<XWing as Kem>::PublicKey);

impl SealingPublicKey {
    /// Reads the key of `member` as published.
    ///
    /// # Errors
    /// [`Error::Remote`] names the member.
    pub fn from_bytes(member: ShareIndex, bytes: &[u8]) -> Result<Self, Error> {
        <XWing as Kem>::PublicKey::from_bytes(bytes)
            .map(Self)
            .map_err(|_| Error::remote(member, "sealing key", Fault::SealingKey))
    }

    /// The 1216 bytes to publish.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes().to_vec()
    }

    /// Names the key in 32 bytes.
    fn digest(&self) -> [u8; 32] {
        blake3::derive_key("fedshield-he v1 sealing key", &self.to_bytes())
    }
}

impl fmt::Debug for SealingPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingPublicKey({})", blake3::Hash::from(self.digest()).to_hex())
    }
}

/// A member's sealing key pair for one round. Erased on drop. Every copy must be dropped when the
/// round ends, so that nobody can open sealed shares that others have stored.
pub struct SealingKeyPair {
    secret: Zeroizing<[u8; SEALING_SECRET_LEN]>,
    public: SealingPublicKey,
}

impl SealingKeyPair {
    /// A fresh key pair.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut secret = Zeroizing::new([0; SEALING_SECRET_LEN]);
        rng.fill_bytes(secret.as_mut_slice());
        Self::from_secret(&secret)
    }

    /// Restores the key pair from the secret that [`secret`](Self::secret) returned.
    pub fn from_secret(secret: &[u8; SEALING_SECRET_LEN]) -> Self {
        let private = private_key(secret);
        Self {
            secret: Zeroizing::new(*secret),
            public: SealingPublicKey(XWing::sk_to_pk(&private)),
        }
    }

    /// The 32 secret bytes, to be kept encrypted at rest.
    pub fn secret(&self) -> Zeroizing<[u8; SEALING_SECRET_LEN]> {
        self.secret.clone()
    }

    /// The key to publish.
    pub fn public(&self) -> &SealingPublicKey {
        &self.public
    }
}

impl fmt::Debug for SealingKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKeyPair({:?}, ..)", self.public)
    }
}

/// Any 32 bytes are a secret of X-Wing: its decoder checks the length only.
fn private_key(secret: &[u8; SEALING_SECRET_LEN]) -> <XWing as Kem>::PrivateKey {
    match <XWing as Kem>::PrivateKey::from_bytes(secret) {
        Ok(key) => key,
        Err(_) => unreachable!("a secret of X-Wing is any 32 bytes"),
    }
}

/// Seals an opening to its receiver; the result may be public. `commitment` is the one that the
/// opening belongs to.
///
/// # Errors
/// [`Error::Argument`] when the receiver's key cannot be used.
pub fn seal_share(
    context: &RoundContext,
    commitment: &ShareCommitment,
    opening: &ShareOpening,
    receiver_key: &SealingPublicKey,
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, Error> {
    let fail = |_| Error::argument("receiver key", "sealing failed");
    let aad = associated_data(context, commitment, opening.receiver(), receiver_key);
    let plain = opening.to_bytes(context);
    let mut rng = hedged_rng(context, "fedshield-he v1 sealing seed", rng, |hasher| {
        hasher.update(&aad).update(&plain);
    });
    let (encapsulated, mut sender) = hpke::setup_sender_with_rng::<
        ChaCha20Poly1305,
        HkdfSha256,
        XWing,
    >(&OpModeS::Base, &receiver_key.0, INFO, &mut rng)
    .map_err(fail)?;
    let mut sealed = encapsulated.to_bytes().to_vec();
    sealed.extend(sender.seal(&plain, &aad).map_err(fail)?);
    Ok(sealed)
}

/// Opens what the dealer of `commitment` sealed to `receiver` and verifies it: digest and
/// low-degree test.
///
/// # Errors
/// [`Error::Remote`] names the dealer; it is a reason for a complaint.
pub fn open_share(
    context: &RoundContext,
    commitment: &ShareCommitment,
    receiver: ShareIndex,
    keys: &SealingKeyPair,
    sealed: &[u8],
) -> Result<KeyShare, Error> {
    let bytes = unseal(context, commitment, receiver, keys, sealed)?;
    ShareOpening::from_bytes(context, commitment, receiver, &bytes)?.verify(context, commitment)
}

/// Bytes of a sealed share in this round: 1210 + 2 N.
pub fn sealed_len(context: &RoundContext) -> usize {
    ShareOpening::len_bytes(context) + SEALING_OVERHEAD
}

fn unseal(
    context: &RoundContext,
    commitment: &ShareCommitment,
    receiver: ShareIndex,
    keys: &SealingKeyPair,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let fail = |fault| Error::remote(commitment.dealer(), "sealed share", fault);
    match sealed.len().cmp(&sealed_len(context)) {
        std::cmp::Ordering::Less => return Err(fail(Fault::Truncated)),
        std::cmp::Ordering::Greater => return Err(fail(Fault::Oversized)),
        std::cmp::Ordering::Equal => {}
    }
    let (encapsulated, sealed) = sealed.split_at(ENCAPSULATED_LEN);
    let encapsulated =
        <XWing as Kem>::EncappedKey::from_bytes(encapsulated).map_err(|_| fail(Fault::Sealed))?;
    let mut opener = setup_receiver::<ChaCha20Poly1305, HkdfSha256, XWing>(
        &OpModeR::Base,
        &private_key(&keys.secret),
        &encapsulated,
        INFO,
    )
    .map_err(|_| fail(Fault::Sealed))?;
    let aad = associated_data(context, commitment, receiver, &keys.public);
    opener.open(sealed, &aad).map(Zeroizing::new).map_err(|_| fail(Fault::Sealed))
}

fn associated_data(
    context: &RoundContext,
    commitment: &ShareCommitment,
    receiver: ShareIndex,
    receiver_key: &SealingPublicKey,
) -> Vec<u8> {
    let name = context.preset().name().as_bytes();
    let mut aad = Vec::with_capacity(128 + name.len());
    aad.extend_from_slice(context.manifest_digest());
    aad.extend_from_slice(&context.round().to_le_bytes());
    aad.extend_from_slice(&(name.len() as u16).to_le_bytes());
    aad.extend_from_slice(name);
    aad.extend_from_slice(&commitment.dealer().get().to_le_bytes());
    aad.extend_from_slice(&receiver_key.digest());
    aad.extend_from_slice(&receiver.get().to_le_bytes());
    aad.extend_from_slice(commitment.ciphertext().as_bytes());
    aad
}
