//! Whether an answer is wrong, for whoever was not there: from the opened key and others' answers alone, without the
//! aggregate and without the contributors' commitments.
//!
//! The key is taken as given: whoever calls has a quorum's word for it. With t - 1 + f answers of different members on one
//! polynomial of degree below t with it, t - 1 of them honest, that polynomial is the true one, and an answer off it is a
//! lie ([`Answers`](crate::Answers) says why fewer do not do).

use crate::context::RoundContext;
use crate::error::{Error, Fault};
use crate::field::{F65521, Field};
use crate::params::{Preset, SHARE_MODULUS};
use crate::shamir::{interpolate, lagrange};
use crate::wire::{Kind, Parser};

/// Members' answers by share index, as they were released.
pub type ReleasedAnswers<'a> = &'a [(u16, &'a [u8])];

/// Whether `accused` is proven to have released a wrong answer: one that is off the polynomial through the key and the
/// `agreeing` answers, or no answer for the key's set at all.
///
/// # Errors
/// [`Error::Argument`] if fewer than `threshold - 1 + max_faulty` members agree, or not all of them do; [`Error::Remote`] for
/// a key or an agreeing answer that cannot be read.
pub fn is_wrong_answer(
    context: &RoundContext,
    key: &[u8],
    (threshold, max_faulty): (u16, u16),
    agreeing: ReleasedAnswers<'_>,
    accused: (u16, &[u8]),
) -> Result<bool, Error> {
    let needed = usize::from(threshold) + usize::from(max_faulty);
    let (set, key) = read_key(context, key)?;
    let mut points = vec![0];
    let mut columns = vec![key];
    for (member, bytes) in agreeing {
        let possible = (1..=context.preset().members()).contains(member) && *member != accused.0;
        if !possible || points.contains(member) {
            return Err(Error::remote(*member, "partial decryption", Fault::WrongMember(*member)));
        }
        points.push(*member);
        columns.push(read_answer(context, *member, &set, bytes)?);
    }
    if agreeing.len() + 1 < needed {
        return Err(Error::argument("agreeing", "too few answers to prove another one wrong"));
    }
    let degree = usize::from(threshold);
    let (base, rest) = points.split_at(degree);
    let through = |point: u16, values: &[u16]| {
        let weights = lagrange::<F65521>(base, point);
        (0..values.len()).all(|c| {
            let known = columns.iter().take(degree).map(|column| column[c]);
            interpolate::<F65521>(&weights, known) == u32::from(values[c])
        })
    };
    if !rest.iter().zip(&columns[degree..]).all(|(point, column)| through(*point, column)) {
        return Err(Error::argument("agreeing", "these answers do not agree with the key"));
    }
    match read_answer(context, accused.0, &set, accused.1) {
        Ok(values) => Ok(!through(accused.0, &values)),
        Err(_) => Ok(true),
    }
}

/// The id of the set, and the coefficients as field elements.
fn read_key(context: &RoundContext, bytes: &[u8]) -> Result<([u8; 32], Vec<u16>), Error> {
    let mut parser = Parser::new(bytes, 0);
    let contributors = parser.header(context, Kind::OpenedKey)?;
    let set = parser.array("set")?;
    let bound = Preset::key_bound(contributors) as i32;
    let pairs = parser.take("coefficients", 2 * context.preset().ring_degree())?;
    parser.end("coefficients")?;
    let mut values = Vec::with_capacity(context.preset().ring_degree());
    for (index, pair) in pairs.chunks_exact(2).enumerate() {
        let c = i32::from(i16::from_le_bytes([pair[0], pair[1]]));
        if c.abs() > bound {
            return Err(Error::remote(0, "coefficients", Fault::OutOfRange(index as u64)));
        }
        // Below p in absolute value, so this is its representative.
        values.push(F65521::reduce((c + SHARE_MODULUS as i32) as u32) as u16);
    }
    Ok((set, values))
}

fn read_answer(
    context: &RoundContext,
    member: u16,
    set: &[u8; 32],
    bytes: &[u8],
) -> Result<Vec<u16>, Error> {
    let mut parser = Parser::new(bytes, member);
    parser.header_of(context, Kind::PartialDecryption, member)?;
    if parser.array::<32>("set")? != *set {
        return Err(Error::remote(member, "set", Fault::WrongSet));
    }
    let values = parser.elements("values", context.preset().ring_degree())?.to_vec();
    parser.end("values")?;
    Ok(values)
}
