//! `tokenizer.json` as GGUF metadata: byte-level BPE whose word splitting has a name in llama.cpp.
//! Anything else is refused, since llama.cpp would split texts differently without any error.

use std::path::Path;

use serde_json::Value as Json;

use super::container::Meta;
use crate::load::{LoadedModel, WRITTEN_SPLITTINGS, named_splitting};
use crate::text::TextTokenizer;
use crate::{Result, TrainError};

const NORMAL: i32 = 1;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
/// Metadata keys of the tokens that end an answer.
const ENDS: [&str; 3] = ["eos_token_id", "eot_token_id", "eom_token_id"];

/// The vocabulary of a model in a Hugging Face folder.
///
/// # Errors
/// A tokenizer that is not a byte-level BPE of a known kind, tokens without an embedding, or more
/// kinds of end tokens than GGUF has keys for.
pub(super) fn metadata(model: &LoadedModel, folder: &Path) -> Result<Vec<(String, Meta)>> {
    let path = folder.join("tokenizer.json");
    let bad = |reason: String| TrainError::format(&path, reason);
    let text = std::fs::read_to_string(&path).map_err(TrainError::io(&path))?;
    let json: Json = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
    let pre = splitting(&json).map_err(|reason| {
        let instead = "merge to --format safetensors and convert that with llama.cpp's own script";
        bad(format!("{reason}; llama.cpp has no name for this tokenizer: {instead}"))
    })?;
    let (tokens, types) = tokens(&json, model.config.vocab_size).map_err(bad)?;
    let merges = merges(&json).map_err(bad)?;
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    let mut metadata = vec![
        (key("model"), Meta::Text("gpt2".to_owned())),
        (key("pre"), Meta::Text(pre.to_owned())),
        (key("tokens"), Meta::Texts(tokens)),
        (key("token_type"), Meta::Integers(types)),
        (key("merges"), Meta::Texts(merges)),
        (key("add_bos_token"), Meta::Bool(model.tokenizer.bos.is_some())),
    ];
    let bos = model.tokenizer.bos.or(model.config.bos_token_id);
    metadata.extend(bos.map(|id| (key("bos_token_id"), Meta::U32(id))));
    let ends = &model.tokenizer.eos;
    if ends.len() > ENDS.len() {
        return Err(bad(format!("{} tokens end an answer, GGUF names {}", ends.len(), ENDS.len())));
    }
    metadata.extend(ENDS.iter().zip(ends).map(|(name, id)| (key(name), Meta::U32(*id))));
    let pad = pad_token(folder, &model.tokenizer);
    metadata.extend(pad.map(|id| (key("padding_token_id"), Meta::U32(id))));
    let template = model.tokenizer.chat_template.clone();
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

/// llama.cpp's name for the way this tokenizer splits words.
fn splitting(json: &Json) -> std::result::Result<&'static str, String> {
    let model = &json["model"];
    if model["type"] != "BPE" || model["byte_fallback"] == true || !model["dropout"].is_null() {
        return Err("it is no byte-level BPE".to_owned());
    }
    for token in json["added_tokens"].as_array().into_iter().flatten() {
        if let Some(flag) = ["single_word", "lstrip", "rstrip"].iter().find(|f| token[**f] == true)
        {
            return Err(format!("the added token {} is {flag}", token["content"]));
        }
    }
    if adds_behind(&json["post_processor"]) {
        return Err("its post-processor puts a token behind the text".to_owned());
    }
    let own =
        (steps(&json["normalizer"], "normalizers"), steps(&json["pre_tokenizer"], "pretokenizers"));
    let whole_words = model["ignore_merges"] == true;
    let same = |name: &&&str| {
        named_splitting(Some(name)).is_ok_and(|known| {
            let words = steps(&known.words, "pretokenizers");
            (steps(&known.normalizer, "normalizers"), words) == own
                && known.ignore_merges == whole_words
        })
    };
    WRITTEN_SPLITTINGS.iter().find(same).copied().ok_or_else(|| {
        format!(
            "its normalizer and pre-tokenizer are {} and {}",
            json["normalizer"], json["pre_tokenizer"]
        )
    })
}

/// The steps of a sequence, of nested sequences, or of a single step, without those that do not
/// affect tokens.
fn steps(json: &Json, list: &str) -> Vec<Json> {
    match json {
        Json::Null => Vec::new(),
        Json::Object(step) if step.get("type").is_some_and(|kind| kind == "Sequence") => {
            let inner = step.get(list).and_then(Json::as_array).into_iter().flatten();
            inner.flat_map(|one| steps(one, list)).collect()
        }
        // Splitting numbers into digits is part of the pattern that `smollm` stands for.
        Json::Object(step) if step.get("individual_digits") == Some(&Json::Bool(true)) => {
            vec![serde_json::json!({
                "type": "Split", "pattern": {"Regex": "\\p{N}"}, "behavior": "Isolated", "invert": false
            })]
        }
        Json::Object(step) => {
            let mut step = step.clone();
            step.remove("trim_offsets");
            vec![Json::Object(step)]
        }
        other => vec![other.clone()],
    }
}

/// Whether a post-processor adds anything after the text.
fn adds_behind(json: &Json) -> bool {
    let inner = json["processors"].as_array().into_iter().flatten();
    let single = json["single"].as_array().into_iter().flatten();
    let mut behind = single.skip_while(|piece| piece.get("Sequence").is_none());
    inner.into_iter().any(adds_behind) || behind.nth(1).is_some()
}

/// Every token by its id, with its type; ids without a token are marked unused.
fn tokens(json: &Json, vocab_size: usize) -> std::result::Result<(Vec<String>, Vec<i32>), String> {
    let mut tokens: Vec<String> = (0..vocab_size).map(|id| format!("[PAD{id}]")).collect();
    let mut types = vec![UNUSED; vocab_size];
    let mut set = |id: Option<u64>, text: &str, kind: i32| {
        let place = id.and_then(|id| usize::try_from(id).ok()).filter(|id| *id < vocab_size);
        let place = place.ok_or_else(|| {
            format!("token {text:?} lies beyond the embedding's {vocab_size} rows")
        })?;
        (tokens[place], types[place]) = (text.to_owned(), kind);
        Ok::<(), String>(())
    };
    for (text, id) in json["model"]["vocab"].as_object().into_iter().flatten() {
        set(id.as_u64(), text, NORMAL)?;
    }
    for token in json["added_tokens"].as_array().into_iter().flatten() {
        let text = token["content"].as_str().ok_or("an added token has no text")?;
        let kind = if token["special"] == true { CONTROL } else { USER_DEFINED };
        set(token["id"].as_u64(), text, kind)?;
    }
    Ok((tokens, types))
}

fn merges(json: &Json) -> std::result::Result<Vec<String>, String> {
    let one = |merge: &Json| match merge {
        Json::String(text) => Some(text.clone()),
        Json::Array(pair) => match pair.as_slice() {
            [Json::String(left), Json::String(right)] => Some(format!("{left} {right}")),
            _ => None,
        },
        _ => None,
    };
    let merges = json["model"]["merges"].as_array().ok_or("model.merges is missing")?;
    let read: Option<Vec<String>> = merges.iter().map(one).collect();
    read.ok_or_else(|| "model.merges is not a list of pairs".to_owned())
}
