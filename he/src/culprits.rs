//! Who lied, as far as the answers themselves prove it.
//!
//! K is settled by its own check, but K alone does not settle the polynomial of the answers: two liars
//! among the answers that opened it can shift their answers together so that K stays right and honest
//! answers of others fall off. A polynomial of degree below t through K that agrees with t - 1 honest
//! answers is the true one. So when at least t - 1 + f answers agree, f of them at most being lies, it
//! is the true one, and every answer off it is a lie. With fewer, nobody can tell (both explanations need at
//! most f liars), and nobody is named. See docs/adr on the naming of culprits.

use crate::field::F65521;
use crate::partial::PartialDecryption;
use crate::shamir::{interpolate, lagrange};

/// The answers that do not fit the accepted ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answers {
    /// All answers lie on one polynomial.
    Consistent,
    /// These members' answers are proven wrong, given that at most `max_faulty` members lie.
    Culprits(Vec<u16>),
    /// These members' answers do not fit those that opened the key, but too few answers agree to
    /// prove who lied. No evidence against anyone.
    Disputed(Vec<u16>),
}

/// Compares every answer with the polynomial through the chosen ones, in all coefficients.
pub(crate) fn judge(
    answers: &[&PartialDecryption],
    chosen: &[usize],
    threshold: u16,
    max_faulty: u16,
) -> Answers {
    let base: Vec<&PartialDecryption> =
        chosen.iter().filter_map(|&p| answers.get(p).copied()).collect();
    let points: Vec<u16> = base.iter().map(|a| a.share_index).collect();
    let mut off = Vec::new();
    for answer in answers {
        if points.contains(&answer.share_index) {
            continue;
        }
        let weights = lagrange::<F65521>(&points, answer.share_index);
        let through_base =
            |c: usize| interpolate::<F65521>(&weights, base.iter().map(|a| a.values[c]));
        let mut values = answer.values.iter().enumerate();
        if values.any(|(c, &v)| through_base(c) != u32::from(v)) {
            off.push(answer.share_index);
        }
    }
    let agreeing = answers.len() - off.len();
    if off.is_empty() {
        Answers::Consistent
    } else if agreeing + 1 >= usize::from(threshold) + usize::from(max_faulty) {
        Answers::Culprits(off)
    } else {
        Answers::Disputed(off)
    }
}
