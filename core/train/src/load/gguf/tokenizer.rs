//! The tokenizer in GGUF metadata, converted to a `tokenizer.json` and read from that: byte-level
//! BPE (`gpt2`) or SentencePiece BPE (`llama`).

use serde_json::{Value as Json, json};

use super::reader::{GgufFile, Value};
use super::{byte_level, pre, sentencepiece};
use crate::text::TextTokenizer;
use crate::{Result, TrainError};

/// Token type of the unknown token in `tokenizer.ggml.token_type`.
const UNKNOWN: u64 = 2;
/// Token type of control tokens.
const CONTROL: u64 = 3;
/// Token type of tokens added by users.
const USER_DEFINED: u64 = 4;

/// Builds the tokenizer.
pub(super) fn build(file: &GgufFile) -> Result<TextTokenizer> {
    let kind = file.require("tokenizer.ggml.model", Value::as_str)?;
    let tokens = texts(file, "tokenizer.ggml.tokens")?;
    let types = file.get("tokenizer.ggml.token_type").and_then(Value::as_array).unwrap_or_default();
    let (normalizer, words, decoder, model, starts) = match kind {
        "gpt2" => {
            let pre = file.get("tokenizer.ggml.pre").and_then(Value::as_str);
            let splitting = pre::splitting(pre).map_err(|e| TrainError::format(&file.path, e))?;
            let merges = texts(file, "tokenizer.ggml.merges")?;
            let model = byte_level::model(&splitting, &tokens, &merges);
            (
                splitting.normalizer,
                splitting.words,
                byte_level::bytes(true),
                model,
                splitting.starts,
            )
        }
        "llama" => {
            let [normalizer, decoder, model] = sentencepiece::parts(file, &tokens, types)?;
            (normalizer, Json::Null, decoder, model, true)
        }
        other => {
            let reason = format!(
                "tokenizer model {other:?} is not one of gpt2 (byte-level BPE) and llama \
                 (SentencePiece BPE)"
            );
            return Err(TrainError::format(&file.path, reason));
        }
    };
    let parts = [normalizer, words, decoder, model];
    let text = tokenizer_json(added(&tokens, types), parts);
    let id = |key: &str| {
        let id = file.get(key).and_then(Value::as_u64)?;
        u32::try_from(id).ok()
    };
    let wants_bos = file.get("tokenizer.ggml.add_bos_token").and_then(Value::as_bool);
    let bos = id("tokenizer.ggml.bos_token_id").filter(|_| wants_bos.unwrap_or(starts));
    let mut eos: Vec<u32> = id("tokenizer.ggml.eos_token_id").into_iter().collect();
    eos.extend(id("tokenizer.ggml.eot_token_id").filter(|eot| !eos.contains(eot)));
    let mut tokenizer = TextTokenizer::from_bytes(text.to_string().as_bytes(), bos, eos)
        .map_err(|e| TrainError::format(&file.path, e.to_string()))?;
    // Templates refer to these tokens whether or not one is put before a text.
    let kinds = [("bos", "bos_token"), ("eos", "eos_token"), ("unknown", "unk_token")];
    let more = [("seperator", "sep_token"), ("padding", "pad_token"), ("mask", "mask_token")];
    let named = kinds.into_iter().chain(more).filter_map(|(key, name)| {
        let token = tokens.get(id(&format!("tokenizer.ggml.{key}_token_id"))? as usize)?;
        Some((name.to_owned(), (*token).to_owned()))
    });
    tokenizer.special = named.collect();
    tokenizer.embedded = Some(tokens.len());
    Ok(tokenizer)
}

/// A `tokenizer.json` with this normaliser, pre-tokenizer, decoder and model.
fn tokenizer_json(added: Vec<Json>, [normalizer, words, decoder, model]: [Json; 4]) -> Json {
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": normalizer, "pre_tokenizer": words, "post_processor": null,
        "decoder": decoder, "model": model,
    })
}

/// Tokens that are matched in the text before it is split.
fn added(tokens: &[&str], types: &[Value]) -> Vec<Json> {
    let kinds = tokens.iter().zip(types).enumerate();
    let added = kinds.filter_map(|(id, (token, kind))| {
        let kind =
            kind.as_u64().filter(|kind| matches!(*kind, UNKNOWN | CONTROL | USER_DEFINED))?;
        Some(json!({
            "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": kind != USER_DEFINED,
        }))
    });
    added.collect()
}

fn texts<'a>(file: &'a GgufFile, key: &str) -> Result<Vec<&'a str>> {
    let values = file.require(key, Value::as_array)?;
    let texts: Option<Vec<&str>> = values.iter().map(Value::as_str).collect();
    texts.ok_or_else(|| TrainError::format(&file.path, format!("{key} is not a list of texts")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One vocabulary whose tokens cross word boundaries, split by each pre-tokenizer: the ids are
    /// those of llama.cpp (`tests/parity/make_pre.py`), or of the model's own pattern where the two
    /// differ.
    #[test]
    fn words_are_cut_as_llama_cpp_and_tokenizers_cut_them() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/pre.json");
        let file: Json = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let list = |value: &Json| -> Vec<String> {
            value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
        };
        let (tokens, merges, texts) =
            (list(&file["tokens"]), list(&file["merges"]), list(&file["texts"]));
        let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
        let merges: Vec<&str> = merges.iter().map(String::as_str).collect();
        let mut outcomes = std::collections::BTreeSet::new();
        for entry in file["pre"].as_array().unwrap() {
            let splitting = pre::splitting(entry["name"].as_str()).unwrap();
            let model = byte_level::model(&splitting, &tokens, &merges);
            let parts = [splitting.normalizer, splitting.words, byte_level::bytes(true), model];
            let text = tokenizer_json(Vec::new(), parts).to_string();
            let tokenizer = TextTokenizer::from_bytes(text.as_bytes(), None, Vec::new()).unwrap();
            let wanted = entry.get("own").unwrap_or(&entry["ids"]);
            for (text, ids) in texts.iter().zip(wanted.as_array().unwrap()) {
                let ours = serde_json::json!(tokenizer.encode(text).unwrap());
                assert_eq!(&ours, ids, "{} {text:?}", entry["name"]);
            }
            outcomes.insert(wanted.to_string());
        }
        // All that differ do so with these tokens: two of the 14 names mean what another one means.
        assert!(outcomes.len() >= 12, "{}", outcomes.len());
        let error = pre::splitting(Some("viking")).map(|_| ()).unwrap_err();
        assert!(error.contains("viking") && error.contains("Hugging Face folder"), "{error}");
    }
}
