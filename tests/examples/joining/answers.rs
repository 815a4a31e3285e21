//! Generated answers against the expected ones, as sets of what stands between commas.

use std::collections::BTreeSet;

use fedshield_train::adapter::Adapter;
use fedshield_train::data::TokenizedExample;
use fedshield_train::federated::GlobalAdapter;
use fedshield_train::text::Template;
use fedshield_train::{Sampling, Trainer};
use serde::{Deserialize, Serialize};

use crate::Outcome;
use crate::members::Member;

/// Longest answer in tokens.
const LONGEST: usize = 96;

/// One member's answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct MemberAnswers {
    pub member: String,
    /// For each question, whether the sets are equal, and their F1.
    pub each: Vec<(bool, f64)>,
}

/// Answers the questions of `asked` greedily.
pub(crate) fn score(
    trainer: &Trainer,
    adapter: Option<&GlobalAdapter>,
    template: Template,
    member: &Member,
    asked: &[TokenizedExample],
) -> Outcome<MemberAnswers> {
    let greedy = Sampling { max_tokens: LONGEST, ..Sampling::default() };
    let adapter = adapter.map(|adapter| adapter as &dyn Adapter);
    let one = |example: &TokenizedExample| {
        let shown = example.shown()?;
        let given = trainer.answer(adapter, template, &shown, &greedy)?;
        Ok(compare(&given, shown.answer()))
    };
    let each = asked.iter().map(one).collect::<Outcome<_>>()?;
    Ok(MemberAnswers { member: member.name.clone(), each })
}

/// Whether both have the same elements, and 2 |both| / (|given| + |expected|).
pub(crate) fn compare(given: &str, expected: &str) -> (bool, f64) {
    let (given, expected) = (elements(given), elements(expected));
    let both = given.intersection(&expected).count();
    let f1 = match given.len() + expected.len() {
        0 => 1.0,
        all => 2.0 * both as f64 / all as f64,
    };
    (given == expected, f1)
}

fn elements(text: &str) -> BTreeSet<&str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect()
}
