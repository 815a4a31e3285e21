//! Examples with their tokens, as kept in memory.

use std::borrow::Cow;
use std::sync::Arc;

use super::example::{Chat, Example};
use super::packed::PackedSequence;
use crate::model::TokenSequence;

/// An example, or a part of one that ends with an answer, with its tokens.
#[derive(Clone, Debug)]
pub struct TokenizedExample {
    /// The whole example; its parts share it.
    pub example: Arc<Example>,
    /// Number of its turns that this sequence contains.
    pub turns: usize,
    /// Its tokens and loss mask, packed.
    pub packed: PackedSequence,
}

impl TokenizedExample {
    /// An example that consists of one sequence.
    pub fn whole(example: Example, sequence: &TokenSequence) -> Self {
        let turns = example.turns().len();
        Self { example: Arc::new(example), turns, packed: PackedSequence::new(sequence) }
    }

    /// Its tokens and loss mask.
    pub fn sequence(&self) -> TokenSequence {
        self.packed.unpack()
    }

    /// The example as far as this sequence contains it: it ends with the answer that is learned.
    pub fn shown(&self) -> Cow<'_, Example> {
        match &*self.example {
            Example::Chat(chat) if chat.turns.len() > self.turns => {
                let turns = chat.turns.iter().take(self.turns).cloned().collect();
                Cow::Owned(Example::Chat(Chat { turns, ..chat.clone() }))
            }
            whole => Cow::Borrowed(whole),
        }
    }
}
