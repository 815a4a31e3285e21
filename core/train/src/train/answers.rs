//! How many of a model's answers are right, where the right ones are short enough to be compared
//! word by word.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::generate::Sampling;
use super::trainer::Trainer;
use crate::adapter::Adapter;
use crate::data::TokenizedExample;
use crate::text::Template;
use crate::{Result, TrainError};

/// Which answers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortAnswers {
    /// Longest answer of the data that counts as short, in tokens.
    pub tokens: usize,
    /// Most answers that are generated and compared.
    pub most: usize,
}

/// Greedy answers against those of the data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnswerScore {
    /// Number of answers that equal the reference, apart from surrounding white space.
    pub equal: usize,
    /// Number of answers compared.
    pub compared: usize,
    /// Mean F1 of the words, from 0 to 1: twice the words in common over the words of both. A word
    /// is a run of letters and digits, in lower case (SQuAD, arXiv:1606.05250).
    pub f1: f64,
}

impl Trainer {
    /// Compares the model's answers with those of the first short ones among `examples`; `None` if
    /// none is short. `cancelled` is asked before each answer.
    ///
    /// # Errors
    /// Those of [`Self::answer`]; [`TrainError::Cancelled`].
    pub fn score_answers(
        &self,
        adapter: Option<&dyn Adapter>,
        template: Template,
        examples: &[TokenizedExample],
        wanted: ShortAnswers,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Option<AnswerScore>> {
        let mut score = AnswerScore { equal: 0, compared: 0, f1: 0.0 };
        // One token more than a short answer has, so that a longer one is not taken for equal.
        let limit = wanted.tokens + 1;
        let greedy = Sampling { max_tokens: limit, ..Sampling::default() };
        for example in examples {
            if score.compared == wanted.most {
                break;
            }
            if cancelled() {
                return Err(TrainError::Cancelled { step: score.compared });
            }
            let shown = example.shown()?;
            let reference = shown.answer();
            if self.tokenizer.encode_first(reference, limit)?.len() == limit {
                continue;
            }
            let given = self.answer(adapter, template, &shown, &greedy)?;
            score.compared += 1;
            score.equal += usize::from(given.trim() == reference.trim());
            score.f1 += f1(reference, &given);
        }
        score.f1 /= score.compared.max(1) as f64;
        Ok((score.compared > 0).then_some(score))
    }
}

/// F1 of the words of two texts; 1 if neither has any.
fn f1(reference: &str, given: &str) -> f64 {
    let mut left: HashMap<String, usize> = HashMap::new();
    let (mut wanted, mut found, mut common) = (0, 0, 0);
    for word in words(reference) {
        wanted += 1;
        *left.entry(word).or_default() += 1;
    }
    for word in words(given) {
        found += 1;
        if let Some(count) = left.get_mut(&word).filter(|count| **count > 0) {
            *count -= 1;
            common += 1;
        }
    }
    match wanted + found {
        0 => 1.0,
        both => 2.0 * f64::from(common) / f64::from(both),
    }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f1_counts_words_whatever_their_order_and_case() {
        assert_eq!(f1("interface::x11, role::program", "Role::Program, interface::X11"), 1.0);
        // Two of two words of the reference, two of four given ones: 2 * 2 / 6.
        assert!((f1("a b", "a c b d") - 2.0 / 3.0).abs() < 1e-12);
        // A word that is repeated counts as often as the reference has it.
        assert_eq!(f1("a", "a a a"), 0.5);
        assert_eq!((f1("a", ""), f1("", "a"), f1("", ".")), (0.0, 0.0, 1.0));
    }
}
