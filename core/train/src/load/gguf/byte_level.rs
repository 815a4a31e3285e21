//! Byte-level BPE (`gpt2`): words are split by the pattern that `tokenizer.ggml.pre` names, and
//! bytes are merged in the order of a list.

use serde_json::{Value as Json, json};

use super::pre::Splitting;

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

/// Maps bytes to printable characters, and back in a decoder; `regex` also splits words by GPT-2's
/// pattern.
pub(super) fn bytes(regex: bool) -> Json {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": regex})
}
