//! Examples with their tokens, in memory or on disk.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use super::example::{Chat, Example};
use super::form::understand;
use super::packed::PackedSequence;
use super::spill::{Piece, Spill};
use crate::model::TokenSequence;
use crate::{Result, TrainError};

/// Stands in for text that is not kept.
static NO_TEXT: LazyLock<Arc<Example>> =
    LazyLock::new(|| Arc::new(Example::instruction("", "", "")));

/// The first half of the digest of an example's content: enough to tell the examples of one member
/// apart.
pub type ShortDigest = [u8; 16];

/// An example, or a part of one that ends with an answer, with its tokens. There may be millions.
#[derive(Clone, Debug)]
pub struct TokenizedExample {
    content: Content,
    digest: ShortDigest,
    turns: u32,
    tokens: u32,
}

#[derive(Clone, Debug)]
enum Content {
    Memory {
        /// The whole example; its parts share it.
        example: Arc<Example>,
        packed: PackedSequence,
    },
    Disk {
        spill: Arc<Spill>,
        packed: Piece,
        /// The record of the whole example as it was read; empty if it is not kept.
        record: Piece,
    },
}

/// Where the text of an example is kept.
#[derive(Clone)]
pub(super) enum Text {
    Memory(Arc<Example>),
    Disk(Arc<Spill>, Piece),
}

impl Text {
    /// For text that is not kept.
    pub(super) fn none() -> Self {
        Self::Memory(Arc::clone(&NO_TEXT))
    }
}

impl TokenizedExample {
    /// An example that consists of one sequence.
    pub fn whole(example: Example, sequence: &TokenSequence) -> Self {
        let (turns, digest) = (example.turns().len(), short(&example.digest()));
        let packed = PackedSequence::new(sequence);
        let tokens = count(packed.len());
        let content = Content::Memory { example: Arc::new(example), packed };
        Self { content, digest, turns: count(turns), tokens }
    }

    /// A part of an example with this digest; its tokens are put where its text is kept.
    ///
    /// # Errors
    /// An I/O error.
    pub(super) fn part(
        text: &Text,
        digest: ShortDigest,
        turns: usize,
        packed: PackedSequence,
    ) -> Result<Self> {
        let tokens = count(packed.len());
        let content = match text {
            Text::Memory(example) => Content::Memory { example: Arc::clone(example), packed },
            Text::Disk(spill, record) => Content::Disk {
                packed: spill.put(packed.bytes())?,
                record: *record,
                spill: Arc::clone(spill),
            },
        };
        Ok(Self { content, digest, turns: count(turns), tokens })
    }

    /// Number of its tokens.
    pub fn token_count(&self) -> usize {
        self.tokens as usize
    }

    /// Number of turns of its example that this sequence contains.
    pub fn turn_count(&self) -> usize {
        self.turns as usize
    }

    /// Digest of the whole example's content.
    pub fn digest(&self) -> ShortDigest {
        self.digest
    }

    /// Its tokens and loss mask.
    ///
    /// # Errors
    /// An I/O error, if they are on disk.
    pub fn sequence(&self) -> Result<TokenSequence> {
        match &self.content {
            Content::Memory { packed, .. } => Ok(packed.unpack()),
            Content::Disk { spill, packed, .. } => {
                Ok(PackedSequence::from_bytes(spill.get(*packed)?, self.tokens).unpack())
            }
        }
    }

    /// The whole example; an empty one if its text is not kept.
    ///
    /// # Errors
    /// An I/O error, if it is on disk.
    pub fn example(&self) -> Result<Arc<Example>> {
        match &self.content {
            Content::Memory { example, .. } => Ok(Arc::clone(example)),
            Content::Disk { record, .. } if record.bytes == 0 => Ok(Arc::clone(&NO_TEXT)),
            Content::Disk { spill, record, .. } => {
                let bad = |reason: String| TrainError::data(Path::new("data"), 0, reason);
                let bytes = spill.get(*record)?;
                let text = std::str::from_utf8(&bytes).map_err(|error| bad(error.to_string()))?;
                // It was understood before.
                let understood = understand(text, &spill.map).map_err(bad)?;
                Ok(Arc::new(understood.example))
            }
        }
    }

    /// The example as far as this sequence contains it: it ends with the answer that is learned.
    ///
    /// # Errors
    /// Those of [`Self::example`].
    pub fn shown(&self) -> Result<Arc<Example>> {
        let example = self.example()?;
        Ok(match &*example {
            Example::Chat(chat) if chat.turns.len() > self.turn_count() => {
                let turns = chat.turns.iter().take(self.turn_count()).cloned().collect();
                Arc::new(Example::Chat(Chat { turns, ..chat.clone() }))
            }
            _ => example,
        })
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The first half of a digest.
pub(super) fn short(digest: &[u8; 32]) -> ShortDigest {
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    half
}
