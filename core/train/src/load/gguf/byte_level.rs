//! Byte-level BPE (`gpt2`): words are split by a pattern that `tokenizer.ggml.pre` names, and bytes are merged in the
//! order of a list.

use serde_json::{Value as Json, json};

use super::reader::{GgufFile, Value};
use crate::{Result, TrainError};

/// Names of [`named`] that stand for all those of the same splitting, in files that are written.
pub(crate) const WRITTEN: [&str; 4] = ["smollm", "llama-bpe", "qwen2", "gpt-2"];

/// How text is prepared and cut into words.
pub(crate) struct Splitting {
    pub(crate) normalizer: Json,
    pub(crate) words: Json,
    /// A word that is a token is taken whole, whatever the merges say.
    pub(crate) ignore_merges: bool,
    /// Sequences start with the BOS token unless the file says otherwise.
    pub(super) starts: bool,
}

/// What the file's `tokenizer.ggml.pre` stands for.
pub(super) fn splitting(file: &GgufFile) -> Result<Splitting> {
    let pre = file.get("tokenizer.ggml.pre").and_then(Value::as_str).unwrap_or("default");
    named(pre).ok_or_else(|| {
        TrainError::format(&file.path, format!("pre-tokenizer {pre:?} is not supported"))
    })
}

/// What a name of llama.cpp's stands for; `None` if it is not known.
pub(crate) fn named(pre: &str) -> Option<Splitting> {
    let (mut normalizer, mut llama3) = (Json::Null, false);
    let steps = match pre {
        "smollm" | "starcoder" | "refact" | "command-r" => {
            vec![json!({"type": "Digits", "individual_digits": true}), bytes(true)]
        }
        "llama-bpe" | "llama3" | "llama-v3" => {
            llama3 = true;
            vec![word_pattern("\\p{N}{1,3}"), bytes(false)]
        }
        "qwen2" => {
            normalizer = json!({"type": "NFC"});
            vec![word_pattern("\\p{N}"), bytes(false)]
        }
        "default" | "gpt-2" => vec![bytes(true)],
        _ => return None,
    };
    let words = json!({"type": "Sequence", "pretokenizers": steps});
    Some(Splitting { normalizer, words, ignore_merges: llama3, starts: llama3 })
}

/// The `model` of a `tokenizer.json`.
pub(super) fn model(splitting: &Splitting, tokens: &[&str], merges: &[&str]) -> Json {
    let vocabulary: serde_json::Map<String, Json> =
        tokens.iter().enumerate().map(|(id, token)| ((*token).to_owned(), id.into())).collect();
    json!({
        "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
        "ignore_merges": splitting.ignore_merges, "vocab": vocabulary, "merges": merges,
    })
}

/// Bytes as printable characters, and back in a decoder; `regex` splits words by GPT-2's pattern too.
pub(super) fn bytes(regex: bool) -> Json {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": regex})
}

/// Words as GPT-4's and Llama 3's pattern splits them; `digits` matches a group of them.
fn word_pattern(digits: &str) -> Json {
    let pattern = format!(
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{{L}}\\p{{N}}]?\\p{{L}}+|{digits}| \
         ?[^\\s\\p{{L}}\\p{{N}}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
    );
    json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false})
}
