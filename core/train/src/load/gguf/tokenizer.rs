//! The tokenizer in GGUF metadata: byte-level BPE, written as a `tokenizer.json` and read from that.

use serde_json::{Value as Json, json};

use super::reader::{GgufFile, Value};
use crate::text::TextTokenizer;
use crate::{Result, TrainError};

/// Token type of control tokens in `tokenizer.ggml.token_type`.
const CONTROL: u64 = 3;
/// Token type of tokens added by users.
const USER_DEFINED: u64 = 4;

/// Words as GPT-4's and Llama 3's pattern splits them, digits in groups of up to `N`.
fn word_pattern(digits: &str) -> Json {
    let pattern = format!(
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{{L}}\\p{{N}}]?\\p{{L}}+|{digits}| \
         ?[^\\s\\p{{L}}\\p{{N}}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
    );
    json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false})
}

/// Builds the tokenizer; its JSON text is also what the model's digest covers.
pub(crate) fn build(file: &GgufFile) -> Result<TextTokenizer> {
    let kind = file.require("tokenizer.ggml.model", Value::as_str)?;
    if kind != "gpt2" {
        let reason =
            format!("tokenizer model {kind:?} is not supported, only byte-level BPE (gpt2)");
        return Err(TrainError::format(&file.path, reason));
    }
    let tokens = texts(file, "tokenizer.ggml.tokens")?;
    let merges = texts(file, "tokenizer.ggml.merges")?;
    let types = file.get("tokenizer.ggml.token_type").and_then(Value::as_array).unwrap_or_default();
    let mut vocabulary = serde_json::Map::new();
    let mut added = Vec::new();
    for (id, token) in tokens.iter().enumerate() {
        vocabulary.insert((*token).to_owned(), id.into());
        let kind = types.get(id).and_then(Value::as_u64);
        if matches!(kind, Some(CONTROL | USER_DEFINED)) {
            added.push(json!({
                "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": kind == Some(CONTROL),
            }));
        }
    }
    let byte_level = |regex: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": regex});
    let pre = file.get("tokenizer.ggml.pre").and_then(Value::as_str).unwrap_or("default");
    let mut ignore_merges = false;
    let steps = match pre {
        "smollm" | "starcoder" | "refact" | "command-r" => {
            vec![json!({"type": "Digits", "individual_digits": true}), byte_level(true)]
        }
        "llama-bpe" | "llama3" | "llama-v3" => {
            ignore_merges = true;
            vec![word_pattern("\\p{N}{1,3}"), byte_level(false)]
        }
        "qwen2" => vec![word_pattern("\\p{N}"), byte_level(false)],
        "default" | "gpt-2" => vec![byte_level(true)],
        other => {
            let reason = format!("pre-tokenizer {other:?} is not supported");
            return Err(TrainError::format(&file.path, reason));
        }
    };
    let normalizer = if pre == "qwen2" { json!({"type": "NFC"}) } else { Json::Null };
    let text = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": normalizer,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
        "post_processor": null,
        "decoder": byte_level(true),
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": ignore_merges, "vocab": vocabulary, "merges": merges,
        },
    });
    let id = |key: &str| {
        let id = file.get(key).and_then(Value::as_u64)?;
        u32::try_from(id).ok()
    };
    let wants_bos = file.get("tokenizer.ggml.add_bos_token").and_then(Value::as_bool);
    let bos = id("tokenizer.ggml.bos_token_id")
        .filter(|_| wants_bos.unwrap_or(matches!(pre, "llama-bpe" | "llama3" | "llama-v3")));
    let mut eos: Vec<u32> = id("tokenizer.ggml.eos_token_id").into_iter().collect();
    eos.extend(id("tokenizer.ggml.eot_token_id").filter(|eot| !eos.contains(eot)));
    TextTokenizer::from_bytes(text.to_string().as_bytes(), bos, eos)
        .map_err(|e| TrainError::format(&file.path, e.to_string()))
}

fn texts<'a>(file: &'a GgufFile, key: &str) -> Result<Vec<&'a str>> {
    let values = file.require(key, Value::as_array)?;
    let texts: Option<Vec<&str>> = values.iter().map(Value::as_str).collect();
    texts.ok_or_else(|| TrainError::format(&file.path, format!("{key} is not a list of texts")))
}
