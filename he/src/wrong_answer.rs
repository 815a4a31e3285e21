//! Whether an answer is wrong, for verifiers that did not take part: from the opened key and
//! others' answers alone, without the aggregate and without the contributors' commitments.
//!
//! The key is taken as given: the caller knows that a quorum has certified it. With t - 1 + f
//! answers of different members on one polynomial of degree below t with it, t - 1 of them honest,
//! that polynomial is the true one, and an answer off it is wrong ([`Answers`](crate::Answers) says
//! why fewer do not suffice).

use crate::context::RoundContext;
use crate::error::{Error, Fault};
use crate::field::{F65521, from_signed};
use crate::key::OpenedKey;
use crate::partial_decrypt::PartialDecryption;
use crate::shamir::{interpolate, lagrange};
use crate::sharing::{RobustSharing, ShareIndex};

/// A member's answer as it was released: bytes that are a [`PartialDecryption`], or are to be
/// proven not to be one.
#[derive(Debug, Clone, Copy)]
pub struct ReleasedAnswer<'a> {
    /// The member that signed it.
    pub member: ShareIndex,
    /// What it signed.
    pub bytes: &'a [u8],
}

/// Whether `accused` is proven to be a wrong answer: one that is off the polynomial through the key
/// and the `agreeing` answers, or no answer for the key's set at all. `key` is an [`OpenedKey`] in
/// bytes.
///
/// # Errors
/// [`Error::Argument`] if fewer than `threshold - 1 + max_faulty` members agree, or not all of them
/// do; [`Error::Remote`] for a key or an agreeing answer that cannot be read.
pub fn is_wrong_answer(
    context: &RoundContext,
    key: &[u8],
    sharing: RobustSharing,
    agreeing: &[ReleasedAnswer<'_>],
    accused: ReleasedAnswer<'_>,
) -> Result<bool, Error> {
    let (_, key) = OpenedKey::of_any_set(context, key)?;
    let set = key.set();
    // The key is the polynomial's value at 0.
    let mut points = vec![0];
    let mut columns: Vec<Vec<u16>> =
        vec![key.coefficients().iter().map(|&c| from_signed(c)).collect()];
    for answer in agreeing {
        let point = answer.member.get();
        let possible = point <= context.preset().members() && answer.member != accused.member;
        if !possible || points.contains(&point) {
            let fault = Fault::WrongMember(point);
            return Err(Error::remote(answer.member, "partial decryption", fault));
        }
        points.push(point);
        let read = PartialDecryption::from_bytes(context, answer.member, set, answer.bytes)?;
        columns.push(read.values);
    }
    if agreeing.len() < sharing.proving_answers() {
        return Err(Error::argument("agreeing", "too few answers to prove another one wrong"));
    }
    let threshold = usize::from(sharing.threshold());
    let (base, rest) = points.split_at(threshold);
    let through = |point: u16, values: &[u16]| {
        let weights = lagrange::<F65521>(base, point);
        (0..values.len()).all(|c| {
            let known = columns.iter().take(threshold).map(|column| column[c]);
            interpolate::<F65521>(&weights, known) == u32::from(values[c])
        })
    };
    if !rest.iter().zip(&columns[threshold..]).all(|(point, column)| through(*point, column)) {
        return Err(Error::argument("agreeing", "these answers do not agree with the key"));
    }
    match PartialDecryption::from_bytes(context, accused.member, set, accused.bytes) {
        Ok(answer) => Ok(!through(accused.member.get(), &answer.values)),
        Err(_) => Ok(true),
    }
}
