//! SentencePiece's BPE: pieces with scores. llama.cpp joins whichever two neighbours make the piece
//! with the best score, so the merges of a `tokenizer.json` are written as scores if they say just
//! that.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value as Json;

use super::super::container::Meta;
use super::prompt::{Prefix, Prompt};
use super::{BYTE, CONTROL, NORMAL, Tokens, UNKNOWN, USER_DEFINED, key, merges};

/// What stands for a space.
const SPACE: &str = "\u{2581}";
/// The score of pieces that nothing is joined to.
const LAST: f32 = -1e6;

/// The metadata of this kind of tokenizer besides its tokens, whose types are set here.
///
/// # Errors
/// A tokenizer that llama.cpp would not follow.
pub(super) fn metadata(
    json: &Json,
    tokens: &mut Tokens,
    prompt: &Prompt<'_>,
    notes: &mut Vec<String>,
) -> Result<Vec<(String, Meta)>, String> {
    if json["model"]["ignore_merges"] == true {
        return Err(
            "its model sets `ignore_merges` beside `byte_fallback`, and llama.cpp has either \
                    of them alone"
                .to_owned(),
        );
    }
    let (prefix, splits) = prefix(json)?;
    let unknown = set_kinds(json, tokens)?;
    let scores = scores(json, tokens, splits)?;
    let mut metadata = vec![
        (key("model"), Meta::Text("llama".to_owned())),
        (key("pre"), Meta::Text("default".to_owned())),
        (key("scores"), Meta::Floats(scores)),
        (key("add_space_prefix"), Meta::Bool(prompt.space_prefix(prefix, notes)?)),
    ];
    metadata.extend(unknown.map(|id| (key("unknown_token_id"), Meta::U32(id))));
    Ok(metadata)
}

/// Where a space is added, and whether words are cut before they are joined.
fn prefix(json: &Json) -> Result<(Prefix, bool), String> {
    let list = |json: &Json, name: &str| match json["type"] == "Sequence" {
        true => json[name].as_array().cloned().unwrap_or_default(),
        false if json.is_null() => Vec::new(),
        false => vec![json.clone()],
    };
    let normalizer = list(&json["normalizer"], "normalizers");
    let words = list(&json["pre_tokenizer"], "pretokenizers");
    let replaces = |step: &Json| {
        step["type"] == "Replace" && step["pattern"]["String"] == " " && step["content"] == SPACE
    };
    let prepends = |step: &Json| step["type"] == "Prepend" && step["prepend"] == SPACE;
    // No space is left to split at once spaces are replaced.
    let has_no_effect = |step: &Json| step["type"] == "Split" && step["pattern"]["String"] == " ";
    match (normalizer.as_slice(), words.as_slice()) {
        ([first, second], []) if prepends(first) && replaces(second) => Ok((Prefix::Every, false)),
        ([step], []) if replaces(step) => Ok((Prefix::Never, false)),
        ([step], [word]) if replaces(step) && has_no_effect(word) => Ok((Prefix::Never, false)),
        ([], [word]) if word["type"] == "Metaspace" && word["replacement"] == SPACE => {
            let prefix = match word["prepend_scheme"].as_str() {
                Some("always") => Prefix::EveryBare,
                Some("first") => Prefix::FirstBare,
                _ => Prefix::Never,
            };
            Ok((prefix, word["split"] != false))
        }
        _ => Err(format!(
            "its normalizer and pre-tokenizer are {} and {}, which llama.cpp does not have",
            json["normalizer"], json["pre_tokenizer"]
        )),
    }
}

/// Marks the pieces that stand for bytes and for unknown text; returns the latter's id.
fn set_kinds(json: &Json, tokens: &mut Tokens) -> Result<Option<u32>, String> {
    let ids: HashMap<String, usize> =
        tokens.texts.iter().enumerate().map(|(id, text)| (text.clone(), id)).collect();
    for byte in 0..=u8::MAX {
        let text = format!("<0x{byte:02X}>");
        // Gemma's tokenizer spells the byte of a tabulator as the character.
        let spelled = char::from(byte).to_string();
        let id = ids.get(&text).or_else(|| ids.get(&spelled).filter(|_| byte.is_ascii()));
        let id = id.ok_or_else(|| format!("the piece {text} is missing, which llama.cpp needs"))?;
        (tokens.texts[*id], tokens.kinds[*id]) = (text, BYTE);
    }
    let Some(id) = json["model"]["unk_token"].as_str().and_then(|text| ids.get(text)) else {
        return Ok(None);
    };
    tokens.kinds[*id] = UNKNOWN;
    Ok(u32::try_from(*id).ok())
}

/// A score for each piece, the better the earlier it is joined.
fn scores(json: &Json, tokens: &mut Tokens, splits: bool) -> Result<Vec<f32>, String> {
    let merges = merges(json)?;
    let vocabulary = json["model"]["vocab"].as_object();
    let ids: BTreeMap<&str, usize> = vocabulary
        .into_iter()
        .flatten()
        .filter_map(|(text, id)| Some((text.as_str(), usize::try_from(id.as_u64()?).ok()?)))
        .collect();
    let mut scores: Vec<f32> = vec![LAST; tokens.texts.len()];
    let (mut rank, mut last, mut known) = (0, None, HashSet::new());
    let mut begun = HashSet::new();
    for [left, right] in &merges {
        let joined = format!("{left}{right}");
        known.insert((joined.clone(), left.len()));
        let id = *ids.get(joined.as_str()).ok_or_else(|| format!("{joined:?} is no piece"))?;
        if tokens.kinds[id] != NORMAL {
            check_before(tokens, id, rank)?;
            continue;
        }
        if last != Some(id) {
            if !begun.insert(id) {
                return Err(format!(
                    "its merges into {joined:?} stand apart, and llama.cpp has one rank for each piece"
                ));
            }
            (last, rank) = (Some(id), rank + 1);
        }
        scores[id] = -(rank as f32);
    }
    check_complete(&ids, tokens, &known, splits)?;
    for (text, kind) in tokens.texts.iter_mut().zip(&tokens.kinds) {
        if *kind == USER_DEFINED {
            // llama.cpp finds these in the text before spaces are replaced.
            *text = text.replace(SPACE, " ");
        }
    }
    Ok(scores)
}

/// # Errors
/// A piece that llama.cpp finds before it joins anything, and that is joined later here.
fn check_before(tokens: &Tokens, id: usize, rank: usize) -> Result<(), String> {
    let text = &tokens.texts[id];
    match tokens.kinds[id] == USER_DEFINED && text.contains(SPACE) && rank > 0 {
        true => Err(format!(
            "the added token {text:?} is joined from spaces after other pieces, and before them in \
             llama.cpp"
        )),
        false => Ok(()),
    }
}

/// # Errors
/// Two pieces that llama.cpp would join and this tokenizer does not.
fn check_complete(
    ids: &BTreeMap<&str, usize>,
    tokens: &Tokens,
    known: &HashSet<(String, usize)>,
    splits: bool,
) -> Result<(), String> {
    let is_part = |text: &str| {
        let joined =
            ids.get(text).is_some_and(|id| matches!(tokens.kinds[*id], NORMAL | USER_DEFINED));
        joined || text.chars().nth(1).is_none()
    };
    for (text, id) in ids {
        if matches!(tokens.kinds[*id], CONTROL | UNKNOWN | BYTE) {
            continue;
        }
        if splits && text.chars().skip(1).any(|c| SPACE.starts_with(c)) {
            return Err(format!("words are cut at spaces, which {text:?} contains"));
        }
        for (at, _) in text.char_indices().skip(1) {
            let (left, right) = text.split_at(at);
            let joins = is_part(left) && is_part(right);
            if joins && !known.contains(&((*text).to_owned(), at)) {
                return Err(format!(
                    "{left:?} and {right:?} are not joined, and llama.cpp would join them to \
                     {text:?}: it knows scores of pieces, not merges"
                ));
            }
        }
    }
    Ok(())
}
