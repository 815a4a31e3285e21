//! Byte-level BPE whose word splitting has a name in llama.cpp. Anything else is refused, since
//! llama.cpp would split texts differently without any error.

use serde_json::Value as Json;

use super::super::container::Meta;
use super::{key, merges};
use crate::load::{WRITTEN_SPLITTINGS, named_splitting};

/// The metadata of this kind of tokenizer besides its tokens.
///
/// # Errors
/// A tokenizer that splits words in a way for which llama.cpp has no name.
pub(super) fn metadata(json: &Json) -> Result<Vec<(String, Meta)>, String> {
    let pre = splitting(json)
        .map_err(|reason| format!("{reason}; llama.cpp has no name for this tokenizer"))?;
    let merges = merges(json)?.into_iter().map(|[left, right]| format!("{left} {right}"));
    Ok(vec![
        (key("model"), Meta::Text("gpt2".to_owned())),
        (key("pre"), Meta::Text(pre.to_owned())),
        (key("merges"), Meta::Texts(merges.collect())),
    ])
}

/// llama.cpp's name for the way this tokenizer splits words.
fn splitting(json: &Json) -> Result<&'static str, String> {
    let own =
        (steps(&json["normalizer"], "normalizers"), steps(&json["pre_tokenizer"], "pretokenizers"));
    let whole_words = json["model"]["ignore_merges"] == true;
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
