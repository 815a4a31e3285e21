//! share: the one-time key, split among all members with Shamir's scheme, and the commitment to the
//! shares.
//!
//! Each of the N key coefficients is the constant of a polynomial over F_65521 of degree below the
//! threshold; member m gets the values at m, with its values of eight mask polynomials and a salt.
//! The commitment holds the digest of these for every member, and the answers of the low-degree
//! test (see `low_degree`).

use std::fmt;

use rand_core::{CryptoRng, Rng};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::commitment::ShareCommitment;
use crate::context::RoundContext;
use crate::digest::{CiphertextDigest, CommitmentDigest};
use crate::encrypt::OneTimeKey;
use crate::error::Error;
use crate::field::{self, F65521};
use crate::hedge::hedged_rng;
use crate::low_degree::{self, REPETITIONS};
use crate::shamir::evaluate;
use crate::share_opening::ShareOpening;
use crate::sharing::{ShareIndex, Sharing};

/// `[k]_m`, the values that one member got from one dealer: N field elements, verified against the
/// commitment. Only [`ShareOpening::verify`] makes one.
///
/// # Security
///
/// A secret of the member; erased on drop. It MUST NOT leave the member: what it releases is the
/// sum over the decided set ([`partial_decrypt`](crate::partial_decrypt)).
pub struct KeyShare {
    pub(crate) dealer: ShareIndex,
    pub(crate) receiver: ShareIndex,
    pub(crate) commitment: CommitmentDigest,
    pub(crate) round_tag: [u8; 32],
    pub(crate) values: Zeroizing<Vec<u16>>,
}

impl ZeroizeOnDrop for KeyShare {}

impl fmt::Debug for KeyShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyShare({} -> {}, ..)", self.dealer, self.receiver)
    }
}

/// What a dealer keeps of sharing a key: the opening of each member's share commitment.
///
/// # Security
///
/// Any `threshold` of the openings reveal the key, and with it the update; all are erased on drop.
/// The package MUST NOT be sent, printed, or stored other than encrypted at rest. What is published
/// is the [`ShareCommitment`]; what each member gets is its own opening, sealed
/// ([`seal_share`](crate::seal_share)).
pub struct SecretPackage {
    /// In the order of the share indices.
    openings: Vec<ShareOpening>,
}

impl ZeroizeOnDrop for SecretPackage {}

impl SecretPackage {
    /// What `receiver` gets, if there is such a member.
    pub fn opening_for(&self, receiver: ShareIndex) -> Option<&ShareOpening> {
        self.openings.get(usize::from(receiver.position()))
    }

    /// The openings of all members, ascending by receiver.
    pub fn openings(&self) -> &[ShareOpening] {
        &self.openings
    }
}

impl fmt::Debug for SecretPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretPackage({} openings, ..)", self.openings.len())
    }
}

/// Shares a key among the members, so that any `threshold` of them can answer for it. Returns what
/// is published and what is kept. `ciphertext` is the digest by which the ciphertext of the key is
/// committed to.
///
/// # Errors
/// [`Error::Preset`] when the preset does not hold the members, [`Error::Argument`] when `dealer`
/// is none of them.
pub fn share(
    context: &RoundContext,
    dealer: ShareIndex,
    sharing: Sharing,
    key: &OneTimeKey,
    ciphertext: CiphertextDigest,
    rng: &mut impl CryptoRng,
) -> Result<(ShareCommitment, SecretPackage), Error> {
    context.preset().check_members(sharing.members())?;
    if !sharing.holds(dealer) {
        return Err(Error::argument("dealer", "not a member of the sharing"));
    }
    let degree = key.coefficients().len();
    let mut rng = hedged_rng(context, "fedshield-he v1 dealing seed", rng, |hasher| {
        for number in [dealer.get(), sharing.threshold(), sharing.members()] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(ciphertext.as_bytes()).update(bytemuck::cast_slice(key.coefficients()));
    });
    let mut secret = || -> Zeroizing<[u8; 32]> {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(bytes.as_mut_slice());
        bytes
    };
    // Row d holds the coefficients of X^d: first the N key polynomials, then the mask polynomials.
    let width = degree + REPETITIONS;
    let mut rows = field::uniform(&secret(), width * usize::from(sharing.threshold()));
    for (constant, &c) in rows.iter_mut().zip(key.coefficients()) {
        *constant = field::from_signed(c);
    }
    let openings: Vec<ShareOpening> = sharing
        .indices()
        .map(|receiver| {
            let salt = secret();
            let values = evaluate::<F65521>(&rows, width, receiver.get());
            ShareOpening::new(dealer, receiver, salt, values, degree)
        })
        .collect();
    let digests = openings.iter().map(|opening| opening.digest(context)).collect();
    let mut commitment = ShareCommitment::unproven(dealer, sharing, ciphertext, digests);
    commitment.low_degree =
        low_degree::answer(&commitment.challenge_stream(context), &rows, width, degree);
    Ok((commitment, SecretPackage { openings }))
}
