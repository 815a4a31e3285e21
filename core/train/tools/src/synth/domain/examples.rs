//! The examples of a domain, and the files that ship.

use std::collections::HashSet;

use super::Domain;
use crate::synth::choice::Choice;
use crate::synth::example::Example;

/// Examples in each shipped file: more than 400 to train on and more than 60 to evaluate on, when
/// a seventh of them is held out.
pub const SHIPPED_EXAMPLES: usize = 560;

/// The seed of the shipped files.
pub const SHIPPED_SEED: u64 = 2026;

impl Domain {
    /// Generates `count` examples; the same arguments give the same examples.
    ///
    /// Every answer and every question occurs once. So however the examples are divided into
    /// training and held-out ones, no held-out example shares its full answer with a training one.
    pub fn examples(self, seed: u64, count: usize) -> Vec<Example> {
        let mut choice = Choice::labelled(seed, self.name());
        let mut answers = HashSet::new();
        let mut questions = HashSet::new();
        let mut examples = Vec::with_capacity(count);
        // Each domain has more than 10,000 different answers, so a repeat is rare and the loop is
        // short.
        while examples.len() < count {
            let example = self.example(&mut choice);
            let question = (example.instruction.clone(), example.input.clone());
            if !answers.contains(&example.output) && questions.insert(question) {
                answers.insert(example.output.clone());
                examples.push(example);
            }
        }
        examples
    }

    /// The examples of the shipped file.
    pub fn shipped(self) -> Vec<Example> {
        self.examples(SHIPPED_SEED, SHIPPED_EXAMPLES)
    }
}

/// The examples as JSONL in the Alpaca form, one line each.
pub fn to_jsonl(examples: &[Example]) -> String {
    examples.iter().map(|e| e.to_json_line() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fedshield_train::data::{FieldMap, is_held_out, read_examples};

    #[test]
    fn the_same_seed_gives_the_same_examples() {
        for domain in Domain::ALL {
            assert_eq!(domain.examples(7, 30), domain.examples(7, 30));
            assert_ne!(domain.examples(7, 30), domain.examples(8, 30));
        }
    }

    #[test]
    fn no_two_shipped_examples_share_an_answer_or_a_question() {
        let all: Vec<Example> = Domain::ALL.into_iter().flat_map(Domain::shipped).collect();
        let answers: HashSet<&str> = all.iter().map(|e| e.output.as_str()).collect();
        let questions: HashSet<String> = all.iter().map(Example::prompt).collect();
        assert_eq!(answers.len(), all.len());
        assert_eq!(questions.len(), all.len());
    }

    #[test]
    fn the_shipped_files_are_these_examples_and_split_into_enough_of_each() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/domains");
        for domain in Domain::ALL {
            let path = folder.join(format!("{}.jsonl", domain.name()));
            let shipped = std::fs::read_to_string(&path).expect("the shipped file is there");
            let name = path.display();
            assert_eq!(
                shipped,
                to_jsonl(&domain.shipped()),
                "{name} is not what the generator makes"
            );
            let read = read_examples(&path, &FieldMap::default()).expect("the shipped file reads");
            let held_out = read.iter().filter(|e| is_held_out(e, 0.15)).count();
            assert!(held_out >= 60 && read.len() - held_out >= 400, "{name}: {held_out} held out");
        }
    }
}
