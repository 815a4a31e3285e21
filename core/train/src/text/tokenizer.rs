//! The tokenizer of a model, from `tokenizer.json` or from GGUF metadata.

mod holes;

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use tokenizers::Tokenizer;

use super::date::TemplateDate;
use crate::{Result, TrainError};

/// Token ids and the bytes of the text that each covers.
type Offsets = (Vec<u32>, Vec<(usize, usize)>);

/// Converts text to token ids and back. Cheap to clone.
#[derive(Clone)]
pub struct TextTokenizer {
    inner: Arc<Tokenizer>,
    /// The token put before every sequence, if the model requires one.
    pub bos: Option<u32>,
    /// Tokens that end an answer; the first one is appended to training responses.
    pub eos: Vec<u32>,
    /// The model's own chat template (Jinja), if it has one.
    pub chat_template: Option<String>,
    /// The template for conversations with tools, if there is a separate one.
    pub tool_template: Option<String>,
    /// The date that the templates write as the current one.
    pub template_date: TemplateDate,
    /// Why the model's own templates cannot be used, if that is so.
    pub template_problem: Option<String>,
    /// Why plain text cannot be tokenised, if that is so; text that a chat template renders still
    /// can.
    pub plain_problem: Option<String>,
    /// Spellings of special tokens as templates name them: `bos_token`, `eos_token` and so on.
    pub special: Vec<(String, String)>,
    /// Number of tokens that the model has embeddings for.
    pub embedded: Option<usize>,
    /// Bytes of the longest added token: such a token is found in a text as a whole or not at all.
    pub(super) longest_added: usize,
    /// The `tokenizer.json`, if some numbers below the largest have no token: the library cannot
    /// write such a vocabulary.
    holed: Option<Arc<[u8]>>,
}

impl TextTokenizer {
    /// Wraps a tokenizer; `bos` and `eos` come from the model's configuration.
    pub fn new(inner: Tokenizer, bos: Option<u32>, eos: Vec<u32>) -> Self {
        let added = inner.get_added_vocabulary().get_vocab();
        let longest_added = added.keys().map(String::len).max().unwrap_or(0);
        let named = [("bos_token", bos), ("eos_token", eos.first().copied())];
        let spelled =
            |(name, id): (&str, Option<u32>)| Some((name.to_owned(), inner.id_to_token(id?)?));
        let special = named.into_iter().filter_map(spelled).collect();
        let (chat_template, tool_template, template_problem) = Default::default();
        Self {
            inner: Arc::new(inner),
            bos,
            eos,
            chat_template,
            tool_template,
            template_date: TemplateDate::default(),
            template_problem,
            plain_problem: None,
            special,
            embedded: None,
            longest_added,
            holed: None,
        }
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
        check_numbers(bytes, &inner)?;
        // Files may carry truncation and padding settings of their training, which apply silently;
        // lengths are decided in this crate alone.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|e| TrainError::Tokenizer(e.to_string()))?;
        let holed = holes::are_in(&inner).then(|| bytes.into());
        Ok(Self { holed, ..Self::new(inner, bos, eos) })
    }

    /// Token ids of `text`, without any token added before or after it. The library needs about 300
    /// bytes of memory for each byte of text: for text that may be long, use
    /// [`Self::encode_first`].
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self
            .inner
            .encode_fast(text, false)
            .map_err(|e| TrainError::Tokenizer(e.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Token ids of `text` and the bytes that each covers.
    pub(super) fn encode_with_offsets(&self, text: &str) -> Result<Offsets> {
        let encoding =
            self.inner.encode(text, false).map_err(|e| TrainError::Tokenizer(e.to_string()))?;
        Ok((encoding.get_ids().to_vec(), encoding.get_offsets().to_vec()))
    }

    /// The tokens that the post-processor adds before and after every text.
    pub(super) fn added_around(&self) -> Result<(Vec<u32>, Vec<u32>)> {
        let encoding =
            self.inner.encode("a", true).map_err(|e| TrainError::Tokenizer(e.to_string()))?;
        let mask = encoding.get_special_tokens_mask();
        let before = mask.iter().take_while(|special| **special == 1).count();
        let behind = mask.iter().rev().take_while(|special| **special == 1).count();
        let ids = encoding.get_ids();
        let behind = if before == ids.len() { 0 } else { behind };
        Ok((ids[..before].to_vec(), ids[ids.len() - behind..].to_vec()))
    }

    /// # Errors
    /// The first of these tokens that the model has no embedding for.
    pub(super) fn check_embedded(&self, ids: &[u32]) -> Result<()> {
        let Some(count) = self.embedded else { return Ok(()) };
        match ids.iter().find(|id| **id as usize >= count) {
            None => Ok(()),
            Some(id) => Err(TrainError::Tokenizer(format!(
                "token {:?} ({id}) is beyond the {count} tokens that the model has embeddings for",
                self.token(*id).unwrap_or_default()
            ))),
        }
    }

    /// The spelling of the special token that templates refer to by this name.
    pub fn special(&self, name: &str) -> Option<&str> {
        self.special.iter().find(|(known, _)| known == name).map(|(_, spelling)| spelling.as_str())
    }

    /// Whether this spelling is a single token wherever it occurs in a text.
    pub(super) fn is_one_token(&self, spelling: &str) -> bool {
        self.inner.get_added_vocabulary().get_vocab().contains_key(spelling)
    }

    /// The added token that a text begins with, spaces aside.
    pub(super) fn leading_added(&self, text: &str) -> Option<u32> {
        let text = text.trim_start();
        let added = self.inner.get_added_vocabulary().get_vocab();
        let found = added.iter().filter(|(spelling, _)| text.starts_with(spelling.as_str()));
        found.max_by_key(|(spelling, _)| spelling.len()).map(|(_, id)| *id)
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

    /// The contents of a `tokenizer.json` that builds the same tokenizer.
    pub fn to_json(&self) -> Result<String> {
        let bad = |e: String| TrainError::Tokenizer(e);
        match &self.holed {
            Some(bytes) => holes::to_json(bytes, &self.inner).map_err(|e| bad(e.to_string())),
            None => self.inner.to_string(false).map_err(|e| bad(e.to_string())),
        }
    }
}

/// The part of a `tokenizer.json` that numbers tokens.
#[derive(Deserialize)]
struct Numbered {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
}

/// The library numbers added tokens itself: one that is in the vocabulary, too, gets that number,
/// and any other the next free one. The model was trained with the numbers of the file.
///
/// # Errors
/// The first added token that would get another number than the file gives it.
fn check_numbers(bytes: &[u8], inner: &Tokenizer) -> Result<()> {
    let wrong = |reason: String| TrainError::Tokenizer(reason);
    let file: Numbered = serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))?;
    for AddedToken { id, content } in file.added_tokens {
        // The library leaves out an empty token.
        if content.is_empty() {
            return Err(wrong(format!("added token {id} has no text")));
        }
        let used = inner.token_to_id(&content);
        if used != Some(id) {
            let content: String = content.chars().take(60).collect();
            return Err(wrong(format!(
                "added token {content:?} has the number {id} and would be loaded as {}: give it \
                 the number that it has in the vocabulary, or the next one that is free",
                used.map_or("none".to_owned(), |used| used.to_string())
            )));
        }
    }
    Ok(())
}
