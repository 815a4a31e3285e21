//! share: the one-time key, split among all members with Shamir's scheme, and the commitment to it.
//!
//! For each of the N key coefficients a polynomial of degree below the threshold over F_65521, its constant
//! the coefficient; member m gets the values at m. With them go its values of eight mask polynomials and a
//! salt; the commitment holds the digest of that for every member, and the answers of the low-degree
//! test (see `low_degree`).

use std::fmt;

use rand_core::{CryptoRng, Rng};
use zeroize::Zeroizing;

use crate::commitment::ShareCommitment;
use crate::context::RoundContext;
use crate::encrypt::OneTimeKey;
use crate::error::Error;
use crate::field::{self, F65521};
use crate::hedge::hedged_rng;
use crate::low_degree::{self, REPETITIONS};
use crate::preimage::Preimage;
use crate::shamir::evaluate;

/// The values that one member got from one contributor, checked against the commitment. A secret
/// until the member has released its partial decryption; erased on drop.
pub struct Share {
    pub(crate) sender: u16,
    pub(crate) receiver: u16,
    pub(crate) commitment: [u8; 32],
    pub(crate) round_tag: [u8; 32],
    pub(crate) values: Zeroizing<Vec<u16>>,
}

impl Share {
    /// Share index of the contributor.
    pub fn sender(&self) -> u16 {
        self.sender
    }

    /// Share index of the member whose share this is.
    pub fn receiver(&self) -> u16 {
        self.receiver
    }

    /// Name of the commitment it was checked against.
    pub fn commitment(&self) -> &[u8; 32] {
        &self.commitment
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share({} -> {}, ..)", self.sender, self.receiver)
    }
}

/// What dealing one key gives: what is published, and what each member gets in secret.
#[derive(Debug)]
pub struct Dealing {
    /// Published.
    pub commitment: ShareCommitment,
    /// One for each member, in the order of the share indices. Sealed to the member; shown in clear only
    /// to answer a complaint of that member.
    pub preimages: Vec<Preimage>,
}

/// Splits a key among `members` members so that any `threshold` of them can answer for it.
/// `ciphertext_digest` is the digest by which the ciphertext is committed to (of its bytes, or the root
/// of its chunks).
///
/// # Errors
/// [`Error::Argument`] when the numbers make no sense, [`Error::Preset`] when the preset does not hold
/// the members.
pub fn deal(
    context: &RoundContext,
    sender: u16,
    (threshold, members): (u16, u16),
    key: &OneTimeKey,
    ciphertext_digest: &[u8; 32],
    rng: &mut impl CryptoRng,
) -> Result<Dealing, Error> {
    context.preset().check_members(members)?;
    if threshold < 2 || threshold > members {
        return Err(Error::argument("threshold", "not in 2 ..= members"));
    }
    if sender == 0 || sender > members {
        return Err(Error::argument("sender", "not a share index"));
    }
    let degree = key.coefficients().len();
    let mut rng = hedged_rng(context, "fedshield-he v1 dealing seed", rng, |hasher| {
        for number in [sender, threshold, members] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(ciphertext_digest).update(bytemuck::cast_slice(key.coefficients()));
    });
    let mut secret = || -> Zeroizing<[u8; 32]> {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(bytes.as_mut_slice());
        bytes
    };
    // Row d holds the coefficients of X^d: first the N key polynomials, then the mask polynomials.
    let width = degree + REPETITIONS;
    let mut rows = field::uniform(&secret(), width * usize::from(threshold));
    for (constant, &c) in rows.iter_mut().zip(key.coefficients()) {
        *constant = field::from_signed(c);
    }
    let preimages: Vec<Preimage> = (1..=members)
        .map(|receiver| {
            let salt = secret();
            let values = evaluate::<F65521>(&rows, width, receiver);
            Preimage::new(sender, receiver, &salt, values, degree)
        })
        .collect();
    let digests = preimages.iter().map(|p| p.digest(context)).collect();
    let mut commitment = ShareCommitment::unproven(sender, threshold, *ciphertext_digest, digests);
    commitment.low_degree =
        low_degree::answer(&commitment.challenge_stream(context), &rows, width, degree);
    Ok(Dealing { commitment, preimages })
}
