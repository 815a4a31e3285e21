//! The tokenizer of a model, from `tokenizer.json` or from GGUF metadata.

use std::path::Path;
use std::sync::Arc;

use tokenizers::Tokenizer;

use crate::{Result, TrainError};

/// Text to token ids and back. Cheap to clone.
#[derive(Clone)]
pub struct TextTokenizer {
    inner: Arc<Tokenizer>,
    /// Put before every sequence, if the model wants it.
    pub bos: Option<u32>,
    /// Tokens that end an answer; the first one is appended to training responses.
    pub eos: Vec<u32>,
    /// The model's own chat template (Jinja), if it has one.
    pub chat_template: Option<String>,
    /// Bytes of the longest token that was added to the vocabulary: it is found in a text as a whole or not at all.
    pub(super) longest_added: usize,
}

impl TextTokenizer {
    /// Wraps a tokenizer; `bos` and `eos` come from the model's configuration.
    pub fn new(inner: Tokenizer, bos: Option<u32>, eos: Vec<u32>) -> Self {
        let added = inner.get_added_vocabulary().get_vocab();
        let longest_added = added.keys().map(String::len).max().unwrap_or(0);
        Self { inner: Arc::new(inner), bos, eos, chat_template: None, longest_added }
    }

    /// Reads a `tokenizer.json`.
    pub fn from_file(path: &Path, bos: Option<u32>, eos: Vec<u32>) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(TrainError::io(path))?;
        Self::from_bytes(&bytes, bos, eos).map_err(|e| TrainError::format(path, e.to_string()))
    }

    /// Reads the bytes of a `tokenizer.json`.
    pub fn from_bytes(bytes: &[u8], bos: Option<u32>, eos: Vec<u32>) -> Result<Self> {
        let mut inner =
            Tokenizer::from_bytes(bytes).map_err(|e| TrainError::Tokenizer(e.to_string()))?;
        // Files from other trainings may cut or pad silently; lengths are decided here alone.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|e| TrainError::Tokenizer(e.to_string()))?;
        Ok(Self::new(inner, bos, eos))
    }

    /// Token ids of `text`, without any token added before or after. The library needs some 300 bytes of memory for each
    /// byte of text: of text that may be long, ask for [`Self::encode_first`].
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self
            .inner
            .encode_fast(text, false)
            .map_err(|e| TrainError::Tokenizer(e.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of `ids`, special tokens included if `special`.
    pub fn decode(&self, ids: &[u32], special: bool) -> Result<String> {
        self.inner.decode(ids, !special).map_err(|e| TrainError::Tokenizer(e.to_string()))
    }

    /// The id of a token by its exact spelling.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The spelling of a token.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Number of tokens, added ones included.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Whether `id` ends an answer.
    pub fn is_end(&self, id: u32) -> bool {
        self.eos.contains(&id)
    }

    /// The text of a `tokenizer.json` that builds the same tokenizer.
    pub fn to_json(&self) -> Result<String> {
        self.inner.to_string(false).map_err(|e| TrainError::Tokenizer(e.to_string()))
    }
}
