//! Vocabularies in which some numbers below the largest have no token. When the library writes one,
//! it counts up to the largest number, which overflows at the end of its range, and prints a warning
//! to standard output, among what a program reads from there.

use serde_json::{Map, Value};
use tokenizers::{Model, ModelWrapper, Tokenizer};

/// Whether the model's vocabulary, without added tokens, is not numbered from 0 without a gap.
pub(super) fn are_in(tokenizer: &Tokenizer) -> bool {
    let model = tokenizer.get_model();
    let count = u32::try_from(model.get_vocab_size()).unwrap_or(u32::MAX);
    (0..count).any(|id| model.id_to_token(id).is_none())
}

/// The contents of a `tokenizer.json` that builds the same tokenizer as `file`, which `tokenizer`
/// was read from, in the form that the library gives it.
///
/// # Errors
/// A file that the library does not read.
pub(super) fn to_json(file: &[u8], tokenizer: &Tokenizer) -> serde_json::Result<String> {
    let mut file: Value = serde_json::from_slice(file)?;
    let mut model = file["model"].take();
    let vocabulary = model["vocab"].clone();
    // The library writes the rest of the model, for which the numbers do not matter.
    let entries = model["vocab"].as_object_mut().into_iter().flatten();
    for (number, (_, id)) in (0u32..).zip(entries) {
        *id = number.into();
    }
    let mut model = serde_json::to_value(serde_json::from_value::<ModelWrapper>(model)?)?;
    model["vocab"] = vocabulary;
    let parts = [
        ("version", Value::from("1.0")),
        ("truncation", Value::Null),
        ("padding", Value::Null),
        ("added_tokens", serde_json::to_value(tokenizer.get_added_vocabulary())?),
        ("normalizer", serde_json::to_value(tokenizer.get_normalizer())?),
        ("pre_tokenizer", serde_json::to_value(tokenizer.get_pre_tokenizer())?),
        ("post_processor", serde_json::to_value(tokenizer.get_post_processor())?),
        ("decoder", serde_json::to_value(tokenizer.get_decoder())?),
        ("model", model),
    ];
    let parts = parts.into_iter().map(|(name, part)| (name.to_owned(), part));
    serde_json::to_string(&parts.collect::<Map<String, Value>>())
}

#[cfg(test)]
mod tests {
    use super::super::TextTokenizer;

    fn file(kind: &str, ids: [u32; 4]) -> serde_json::Value {
        let [a, b, ab, unknown] = ids;
        let mut model = serde_json::json!({
            "type": kind, "unk_token": "u", "vocab": {"a": a, "b": b, "ab": ab, "u": unknown},
        });
        if kind == "BPE" {
            model["merges"] = serde_json::json!(["a b"]);
        }
        if kind == "WordPiece" {
            model["continuing_subword_prefix"] = "##".into();
            model["max_input_chars_per_word"] = 100.into();
        }
        serde_json::json!({
            "added_tokens": [{"id": ab, "content": "ab", "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true}],
            "truncation": {"direction": "Right", "max_length": 1, "strategy": "LongestFirst",
                "stride": 0},
            "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "Whitespace"},
            "post_processor": null, "decoder": null, "model": model,
        })
    }

    fn read(file: &str) -> TextTokenizer {
        TextTokenizer::from_bytes(file.as_bytes(), None, Vec::new()).unwrap()
    }

    #[test]
    fn a_vocabulary_with_holes_is_written_as_one_without() {
        let texts = ["a", "b", "AB", "a ab b u", "x"];
        for kind in ["BPE", "WordLevel", "WordPiece"] {
            for ids in [[0, 1, 2, 3], [3, 5, 7, 9], [0, 1, 2, u32::MAX], [1, 1, 2, 3]] {
                let tokenizer = read(&file(kind, ids).to_string());
                assert_eq!(tokenizer.holed.is_some(), ids != [0, 1, 2, 3], "{kind} {ids:?}");
                let written = tokenizer.to_json().unwrap();
                let again = read(&written);
                for text in texts {
                    let of = |tokenizer: &TextTokenizer| tokenizer.encode(text).unwrap();
                    assert_eq!(of(&again), of(&tokenizer), "{kind} {ids:?} {text}");
                }
                // Apart from the numbers, the file is the one that the library writes.
                let plain = read(&file(kind, [0, 1, 2, 3]).to_string()).to_json().unwrap();
                let parse = |text: &str| -> serde_json::Value {
                    let mut json: serde_json::Value = serde_json::from_str(text).unwrap();
                    json["added_tokens"][0]["id"] = 0.into();
                    json["model"]["vocab"] = 0.into();
                    json
                };
                assert_eq!(parse(&written), parse(&plain), "{kind} {ids:?}");
            }
        }
    }
}
