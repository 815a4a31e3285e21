//! The general corpus: an endless stream of short documents.

use super::choice::Choice;
use super::{prose, records, tasks};

/// One document of the corpus.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The text, without an end-of-text mark.
    pub text: String,
    /// The surprise of the choices that made it, in nats: on average an upper bound of its entropy,
    /// because different choices can make the same text.
    pub nats: f64,
}

/// An endless, deterministic stream of documents. Two streams with different seeds share documents
/// only by chance, so one can serve for training and another for testing.
#[derive(Clone, Debug)]
pub struct Corpus {
    choice: Choice,
}

impl Corpus {
    /// The stream of one seed.
    pub fn new(seed: u64) -> Self {
        Corpus { choice: Choice::labelled(seed, "corpus") }
    }

    fn document(&mut self) -> Document {
        let before = self.choice.nats();
        let text = match self.choice.below(20) {
            0..4 => prose::paragraph(&mut self.choice),
            4 => records::remark(&mut self.choice),
            _ => {
                let example = tasks::task(&mut self.choice);
                example.prompt() + &example.output
            }
        };
        Document { text, nats: self.choice.nats() - before }
    }
}

impl Iterator for Corpus {
    type Item = Document;

    fn next(&mut self) -> Option<Document> {
        Some(self.document())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_corpus() {
        let first: Vec<Document> = Corpus::new(4).take(50).collect();
        let again: Vec<Document> = Corpus::new(4).take(50).collect();
        assert_eq!(first, again);
        assert_ne!(first, Corpus::new(5).take(50).collect::<Vec<_>>());
    }

    #[test]
    fn documents_are_short_plain_ascii_with_some_surprise() {
        for document in Corpus::new(6).take(2000) {
            assert!(document.text.is_ascii() && !document.text.is_empty(), "{}", document.text);
            assert!(document.text.len() < 900 && document.nats > 1.0, "{}", document.text);
        }
    }
}
