//! SentencePiece BPE vocabularies (Llama 2, Mistral): pieces with scores, no merges. Joining the
//! neighbours whose joined piece has the best score is BPE with merges ordered by that score, so it
//! is written as such.

use std::collections::HashMap;

use serde_json::{Value as Json, json};

use super::reader::{GgufFile, Value};
use crate::{Result, TrainError};

/// What SentencePiece writes for a space.
const SPACE: &str = "\u{2581}";
/// `tokenizer.ggml.token_type` of the piece for text that no other piece covers.
const UNKNOWN: u64 = 2;

/// `normalizer`, `decoder` and `model` of a `tokenizer.json` for these pieces. Text that no piece
/// covers is encoded as bytes (`<0x0A>`).
pub(super) fn parts(file: &GgufFile, pieces: &[&str], types: &[Value]) -> Result<[Json; 3]> {
    let merges = merges(pieces, &scores(file, pieces.len())?);
    let vocabulary: serde_json::Map<String, Json> =
        pieces.iter().enumerate().map(|(id, piece)| ((*piece).to_owned(), id.into())).collect();
    let unknown = types.iter().position(|kind| kind.as_u64() == Some(UNKNOWN)).unwrap_or(0);
    let prefix =
        file.get("tokenizer.ggml.add_space_prefix").and_then(Value::as_bool).unwrap_or(true);
    let mut before = vec![json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE})];
    let mut after = vec![
        json!({"type": "Replace", "pattern": {"String": SPACE}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if prefix {
        before.insert(0, json!({"type": "Prepend", "prepend": SPACE}));
        after.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    let model = json!({
        "type": "BPE", "dropout": null, "unk_token": pieces.get(unknown),
        "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true,
        "byte_fallback": true, "ignore_merges": false, "vocab": vocabulary, "merges": merges,
    });
    Ok([
        json!({"type": "Sequence", "normalizers": before}),
        json!({"type": "Sequence", "decoders": after}),
        model,
    ])
}

fn scores(file: &GgufFile, count: usize) -> Result<Vec<f64>> {
    let key = "tokenizer.ggml.scores";
    let values = file.require(key, Value::as_array)?;
    let scores: Vec<f64> = values.iter().filter_map(Value::as_f64).collect();
    match scores.len() == count && scores.iter().all(|score| score.is_finite()) {
        true => Ok(scores),
        false => {
            let reason = format!("{key} does not hold a finite number for each of {count} tokens");
            Err(TrainError::format(&file.path, reason))
        }
    }
}

/// Every way to compose a piece of two others, best score first.
fn merges<'a>(pieces: &[&'a str], scores: &[f64]) -> Vec<[&'a str; 2]> {
    let ids: HashMap<&str, usize> = pieces.iter().enumerate().map(|(id, p)| (*p, id)).collect();
    let mut found = Vec::new();
    for (id, piece) in pieces.iter().enumerate() {
        for (at, _) in piece.char_indices().skip(1) {
            let (left, right) = piece.split_at(at);
            if let (Some(l), Some(r)) = (ids.get(left), ids.get(right)) {
                found.push((id, (*l, *r), [left, right]));
            }
        }
    }
    found.sort_by(|x, y| scores[y.0].total_cmp(&scores[x.0]).then((x.0, x.1).cmp(&(y.0, y.1))));
    found.into_iter().map(|(_, _, pair)| pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_score_merges_first() {
        let pieces = ["a", "b", "ab", "aba", "bb"];
        let merges = merges(&pieces, &[0.0, 0.0, -2.0, -3.0, -1.0]);
        assert_eq!(merges, [["b", "b"], ["a", "b"], ["ab", "a"]]);
    }
}
