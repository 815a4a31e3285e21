//! The tokenizer of a Hugging Face folder, as transformers builds it, in GGUF metadata: byte-level
//! BPE, or SentencePiece's BPE.

mod byte_level;
mod pieces;
mod prompt;

use std::path::Path;

use serde_json::Value as Json;

use super::container::Meta;
use super::vocabulary::Vocabulary;
use crate::load::LoadedModel;
use crate::text::TextTokenizer;
use crate::{Result, TrainError};
use prompt::Prompt;

const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;
/// Metadata keys of the tokens that end an answer.
const ENDS: [&str; 3] = ["eos_token_id", "eot_token_id", "eom_token_id"];

/// The vocabulary of a model in a Hugging Face folder.
///
/// # Errors
/// A tokenizer that llama.cpp does not have, tokens without an embedding, or more kinds of end
/// tokens than GGUF has keys for.
pub(super) fn read(model: &LoadedModel, folder: &Path) -> Result<Vocabulary> {
    let path = folder.join("tokenizer.json");
    let bad = |reason: String| {
        let instead = "merge to --format safetensors instead, and use that in transformers or vLLM";
        TrainError::format(&path, format!("{reason}: {instead}"))
    };
    // transformers rebuilds some tokenizers; what counts is what it makes of the file.
    let json: Json = serde_json::from_str(&model.tokenizer.to_json()?)
        .map_err(|e| TrainError::format(&path, e.to_string()))?;
    if adds_behind(&json["post_processor"]) {
        return Err(bad("its post-processor puts a token behind the text".to_owned()));
    }
    let prompt = Prompt::new(&model.tokenizer, &json);
    let mut notes = Vec::new();
    let name = prompt.name(&general_name(model), &mut notes).map_err(bad)?;
    let mut tokens = Tokens::new(&json, model.config.vocab_size).map_err(bad)?;
    check_model(&json).map_err(bad)?;
    let own = match json["model"]["byte_fallback"] == true {
        true => pieces::metadata(&json, &mut tokens, &prompt, &mut notes),
        false => byte_level::metadata(&json),
    };
    let mut metadata = own.map_err(bad)?;
    metadata.push((key("tokens"), Meta::Texts(tokens.texts)));
    metadata.push((key("token_type"), Meta::Integers(tokens.kinds)));
    metadata.extend(special(model, folder).map_err(bad)?);
    metadata.extend(name.map(|name| ("general.name".to_owned(), Meta::Text(name))));
    Ok(Vocabulary { metadata, notes })
}

/// Refuses what llama.cpp has in no kind of BPE.
fn check_model(json: &Json) -> std::result::Result<(), String> {
    let model = &json["model"];
    if model["type"] != "BPE" {
        return Err(format!(
            "its model is of the type {}, and only BPE can be written",
            model["type"]
        ));
    }
    for name in ["dropout", "continuing_subword_prefix", "end_of_word_suffix"] {
        if !(model[name].is_null() || model[name] == "") {
            return Err(format!("its model sets `{name}`, which llama.cpp does not have"));
        }
    }
    let in_bytes = json["pre_tokenizer"].to_string().contains("\"ByteLevel\"");
    if in_bytes && model["byte_fallback"] == true {
        return Err("its model sets `byte_fallback` beside the pre-tokenizer ByteLevel, and llama.cpp has either \
                    of them alone"
            .to_owned());
    }
    Ok(())
}

fn key(name: &str) -> String {
    format!("tokenizer.ggml.{name}")
}

fn general_name(model: &LoadedModel) -> String {
    model.weights.path().file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Tokens with a meaning, and the chat template.
fn special(model: &LoadedModel, folder: &Path) -> std::result::Result<Vec<(String, Meta)>, String> {
    let tokenizer = &model.tokenizer;
    let mut metadata = vec![(key("add_bos_token"), Meta::Bool(tokenizer.bos.is_some()))];
    let bos = tokenizer.bos.or(model.config.bos_token_id);
    metadata.extend(bos.map(|id| (key("bos_token_id"), Meta::U32(id))));
    let ends = &tokenizer.eos;
    if ends.len() > ENDS.len() {
        return Err(format!("{} tokens end an answer, GGUF names {}", ends.len(), ENDS.len()));
    }
    metadata.extend(ENDS.iter().zip(ends).map(|(name, id)| (key(name), Meta::U32(*id))));
    let pad = pad_token(folder, tokenizer);
    metadata.extend(pad.map(|id| (key("padding_token_id"), Meta::U32(id))));
    let template = tokenizer.chat_template.clone();
    metadata.extend(template.map(|text| ("tokenizer.chat_template".to_owned(), Meta::Text(text))));
    Ok(metadata)
}

/// The `pad_token` of `tokenizer_config.json`.
fn pad_token(folder: &Path, tokenizer: &TextTokenizer) -> Option<u32> {
    let text = std::fs::read_to_string(folder.join("tokenizer_config.json")).ok()?;
    let json: Json = serde_json::from_str(&text).ok()?;
    let pad = &json["pad_token"];
    tokenizer.id(pad.as_str().or_else(|| pad["content"].as_str())?)
}

/// Whether a post-processor adds anything after the text.
fn adds_behind(json: &Json) -> bool {
    let inner = json["processors"].as_array().into_iter().flatten();
    let single = json["single"].as_array().into_iter().flatten();
    let mut behind = single.skip_while(|piece| piece.get("Sequence").is_none());
    inner.into_iter().any(adds_behind) || behind.nth(1).is_some()
}

/// Every token by its id, with its type; ids without a token are marked unused.
struct Tokens {
    texts: Vec<String>,
    kinds: Vec<i32>,
}

impl Tokens {
    fn new(json: &Json, vocab_size: usize) -> std::result::Result<Self, String> {
        let texts = (0..vocab_size).map(|id| format!("[PAD{id}]")).collect();
        let mut tokens = Self { texts, kinds: vec![UNUSED; vocab_size] };
        for (text, id) in json["model"]["vocab"].as_object().into_iter().flatten() {
            tokens.set(id.as_u64(), text, NORMAL)?;
        }
        for token in added(json) {
            let text = token["content"].as_str().ok_or("an added token has no text")?;
            let kind = if token["special"] == true { CONTROL } else { USER_DEFINED };
            tokens.set(token["id"].as_u64(), text, kind)?;
        }
        Ok(tokens)
    }

    fn set(&mut self, id: Option<u64>, text: &str, kind: i32) -> std::result::Result<(), String> {
        let count = self.texts.len();
        let place = id.and_then(|id| usize::try_from(id).ok());
        let place = place.and_then(|id| self.texts.get_mut(id).zip(self.kinds.get_mut(id)));
        let (own, own_kind) = place
            .ok_or_else(|| format!("token {text:?} lies beyond the embedding's {count} rows"))?;
        (*own, *own_kind) = (text.to_owned(), kind);
        Ok(())
    }
}

fn added(json: &Json) -> impl Iterator<Item = &Json> {
    json["added_tokens"].as_array().into_iter().flatten()
}

/// The pairs that are joined, first the most important.
fn merges(json: &Json) -> std::result::Result<Vec<[&str; 2]>, String> {
    let merges = json["model"]["merges"].as_array().ok_or("model.merges is missing")?;
    let read: Option<Vec<_>> = merges.iter().map(pair).collect();
    read.ok_or_else(|| "model.merges is not a list of pairs".to_owned())
}

fn pair(merge: &Json) -> Option<[&str; 2]> {
    match merge {
        Json::String(text) => text.split_once(' ').map(|(left, right)| [left, right]),
        Json::Array(pair) => match pair.as_slice() {
            [Json::String(left), Json::String(right)] => Some([left.as_str(), right.as_str()]),
            _ => None,
        },
        _ => None,
    }
}
