//! combine: the summed key from any `threshold` partial decryptions, robustly, and with it the sum.
//!
//! Any `threshold` answers interpolate to some K, so a K is accepted only when every coefficient is
//! at most 42 |U| and the residuals of the opened sum lie within their bound (see `open`). The
//! answers that decoding (`decode`) leaves are tried first; if they open nothing, sets of answers
//! (`subsets`) are. The first block decides (it always has all N coefficients; docs/CRYPTO.md
//! states how reliably). All later blocks are then opened and checked too, in the same pass, and a
//! failure there is the ciphertexts' fault, not the answers'.

use std::io::BufRead;

use crate::ciphertext::BlockReader;
use crate::context::RoundContext;
use crate::culprits::{Answers, judge};
use crate::decode::{Decoded, decode};
use crate::decrypt::{Opener, SumSummary};
use crate::error::{Error, Fault};
use crate::field::{F65521, to_signed};
use crate::key::OpenedKey;
use crate::open::BlockOpening;
use crate::params::Preset;
use crate::partial_decrypt::PartialDecryption;
use crate::set::ContributorSet;
use crate::shamir::{interpolate, lagrange};
use crate::shape::SumShape;
use crate::sharing::RobustSharing;
use crate::subsets::Subsets;

/// The accepted key, a summary of the sum that it opens (without the values), and a verdict on the
/// other answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CombinedSum {
    /// The accepted summed key.
    pub key: OpenedKey,
    /// What the sum holds besides its values.
    pub summary: SumSummary,
    /// Verdict on the answers that do not lie on the polynomial of the accepted ones.
    pub answers: Answers,
}

/// Finds the summed key from partial decryptions, opens the whole aggregate with it and hands the
/// sums of the values to `sink`, in order. The aggregate is read once from its beginning, and every
/// residual is checked. The sink gets nothing before a key is accepted, and what it got must be
/// used only if this returns `Ok`.
///
/// Expected noise: the residual of a coefficient is the error of the sum, with standard deviation
/// 6.4 sqrt(|U|), plus its centred truncation. Residuals above [`Preset::residual_bound_x2`] are
/// refused; honest noise exceeds it with probability below 2^-86.
///
/// At least `threshold` answers are needed, and at most `max_faulty` members may be faulty. Among
/// `a` answers, up to `(a - threshold) / 2` arbitrarily wrong ones are tolerated, up to
/// `a - threshold - 1` if their errors are independent, and up to `a - threshold` arbitrary ones if
/// n is at most 16. Beyond that, opening is attempted without a guarantee. See [`Answers`] for when
/// the culprits are named.
///
/// # Errors
/// [`Error::NotOpened`] when no set of answers is accepted: wait for more answers.
/// [`Error::Residual`] when the key opens the first block but not another one. [`Error::Remote`]
/// for a member that answered twice, for another set or another aggregate. Errors of the sink are
/// passed on.
pub fn combine(
    context: &RoundContext,
    set: &ContributorSet,
    sharing: RobustSharing,
    answers: &[PartialDecryption],
    shape: SumShape,
    aggregate: impl BufRead,
    mut sink: impl FnMut(&[i64]) -> std::io::Result<()>,
) -> Result<CombinedSum, Error> {
    let mut answers: Vec<&PartialDecryption> = answers.iter().collect();
    answers.sort_by_key(|answer| answer.member);
    check_answers(context, set, &answers)?;
    let mut blocks = BlockReader::aggregate(context, set, shape.value_count, aggregate)?;
    let degree = context.preset().ring_degree();
    let mut first = vec![0; degree];
    blocks.add_block(context, 0, &mut first)?;
    let mut check = Check::new(context, set, first);
    let (chosen, key) = search(&mut check, set, sharing.threshold().into(), &answers)?;

    let mut first = check.first;
    let mut opener = Opener::new(context, set, (blocks.layout(), shape), &key);
    sink(opener.block(0, &mut first)?)?;
    let summary = opener.read_from(1, blocks, sink)?;
    let answers = judge(&answers, &chosen, sharing);
    Ok(CombinedSum { key: OpenedKey::new(set.id(), key), summary, answers })
}

fn check_answers(
    context: &RoundContext,
    set: &ContributorSet,
    answers: &[&PartialDecryption],
) -> Result<(), Error> {
    let mut previous = None;
    for answer in answers {
        let member = answer.member;
        let fault = if member.get() > context.preset().members() {
            Fault::WrongMember(member.get())
        } else if Some(member) == previous {
            Fault::Duplicate
        } else if answer.set != set.id() {
            Fault::WrongSet
        } else if answer.values.len() != context.preset().ring_degree() {
            Fault::Truncated
        } else {
            previous = Some(member);
            continue;
        };
        return Err(Error::remote(member, "partial decryption", fault));
    }
    Ok(())
}

/// The check of one candidate on the first block.
struct Check<'a> {
    context: &'a RoundContext,
    opening: BlockOpening,
    bound: i32,
    first: Vec<u64>,
    sums: Vec<u64>,
    products: Vec<u64>,
}

impl<'a> Check<'a> {
    fn new(context: &'a RoundContext, set: &ContributorSet, first: Vec<u64>) -> Self {
        Self {
            context,
            opening: BlockOpening::new(context.preset(), set.len()),
            bound: Preset::key_bound(set.len()) as i32,
            sums: first.clone(),
            products: first.clone(),
            first,
        }
    }

    /// The key that these answers interpolate to, if it is accepted.
    fn accept(&mut self, answers: &[&PartialDecryption]) -> Option<Vec<i32>> {
        let points: Vec<u16> = answers.iter().map(|a| a.member.get()).collect();
        let weights = lagrange::<F65521>(&points, 0);
        let mut key = Vec::with_capacity(self.first.len());
        for c in 0..self.first.len() {
            let values = answers.iter().map(|answer| answer.values[c]);
            let coefficient = to_signed(interpolate::<F65521>(&weights, values));
            if coefficient.abs() > self.bound {
                return None;
            }
            key.push(coefficient);
        }
        let multiplier = self.context.ring().multiplier(&key);
        self.sums.copy_from_slice(&self.first);
        let opening = self.opening;
        let opens = opening.open(self.context, &multiplier, 0, &mut self.sums, &mut self.products);
        opens.then_some(key)
    }
}

/// The positions of `threshold` answers whose key is accepted, and that key.
fn search(
    check: &mut Check<'_>,
    set: &ContributorSet,
    threshold: usize,
    answers: &[&PartialDecryption],
) -> Result<(Vec<usize>, Vec<i32>), Error> {
    let refused =
        |tried| Error::NotOpened { threshold: threshold as u16, answers: answers.len(), tried };
    if threshold > answers.len() {
        return Err(refused(0));
    }
    let context = check.context;
    let mut tried = 0;
    let mut accept = |positions: Vec<usize>| {
        tried += 1;
        let chosen: Vec<&PartialDecryption> = positions.iter().map(|&p| answers[p]).collect();
        check.accept(&chosen).map(|key| (positions, key)).ok_or(tried)
    };
    let decoded = decode(answers, threshold);
    let wrong = match &decoded {
        Decoded::Consistent => Some(&[][..]),
        Decoded::Wrong(positions) => Some(positions.as_slice()),
        Decoded::BeyondRadius => None,
    };
    if let Some(wrong) = wrong {
        let agreeing = (0..answers.len()).filter(|p| !wrong.contains(p));
        match accept(agreeing.take(threshold).collect()) {
            Ok(opened) => return Ok(opened),
            // If all answers agree, every set gives the same key.
            Err(tried) if wrong.is_empty() => return Err(refused(tried)),
            Err(_) => {}
        }
    }
    let mut hasher = context.hasher("fedshield-he v1 sets of answers");
    hasher.update(set.id().as_bytes());
    let mut last = 0;
    for positions in Subsets::new(hasher, answers, threshold) {
        match accept(positions) {
            Ok(opened) => return Ok(opened),
            Err(tried) => last = tried,
        }
    }
    Err(refused(last))
}
