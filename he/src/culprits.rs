//! Which members gave wrong answers, as far as the answers themselves prove it.
//!
//! K is accepted by its own check, but K alone does not fix the polynomial of the answers: two
//! faulty members among those whose answers opened it can shift their answers together so that K
//! stays right and honest answers of others no longer fit. A polynomial of degree below t through K
//! that agrees with t - 1 honest answers is the true one. So when at least t - 1 + f answers agree,
//! at most f of which are wrong, it is the true one, and every answer off it is wrong. With fewer,
//! the explanations cannot be told apart (each needs at most f faulty members), and nobody is
//! named: ADR 0020.

use crate::field::F65521;
use crate::partial_decrypt::PartialDecryption;
use crate::shamir::{interpolate, lagrange};
use crate::sharing::{RobustSharing, ShareIndex};

/// The answers that do not fit the accepted ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answers {
    /// All answers lie on one polynomial.
    Consistent,
    /// These members' answers are proven wrong, given that at most `max_faulty` members are faulty.
    Culprits(Vec<ShareIndex>),
    /// These members' answers do not fit those that opened the key, but too few answers agree to
    /// prove whose are wrong. No evidence against anyone.
    Disputed(Vec<ShareIndex>),
}

/// Compares every answer with the polynomial through the chosen ones, in all coefficients.
pub(crate) fn judge(
    answers: &[&PartialDecryption],
    chosen: &[usize],
    sharing: RobustSharing,
) -> Answers {
    let base: Vec<&PartialDecryption> =
        chosen.iter().filter_map(|&p| answers.get(p).copied()).collect();
    let points: Vec<u16> = base.iter().map(|a| a.member.get()).collect();
    let mut off = Vec::new();
    for answer in answers {
        let point = answer.member.get();
        if points.contains(&point) {
            continue;
        }
        let weights = lagrange::<F65521>(&points, point);
        let through_base =
            |c: usize| interpolate::<F65521>(&weights, base.iter().map(|a| a.values[c]));
        let mut values = answer.values.iter().enumerate();
        if values.any(|(c, &v)| through_base(c) != u32::from(v)) {
            off.push(answer.member);
        }
    }
    let agreeing = answers.len() - off.len();
    if off.is_empty() {
        Answers::Consistent
    } else if agreeing >= sharing.proving_answers() {
        Answers::Culprits(off)
    } else {
        Answers::Disputed(off)
    }
}
