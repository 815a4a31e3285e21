//! The tokenizer of a Hugging Face folder, as transformers 5 opens it: `tokenizer.json` together
//! with what `tokenizer_config.json`, `special_tokens_map.json` and the template files specify.

use std::path::Path;

use serde_json::{Map, Value};

use super::class::Class;
use super::tokenizer::TextTokenizer;
use crate::{Result, TrainError};

/// The names by which templates refer to special tokens.
const SPECIAL: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// The tokenizer of a folder.
pub(crate) struct TokenizerFolder {
    /// The tokenizer. The tokens that end an answer are those of `tokenizer_config.json` alone.
    pub(crate) tokenizer: TextTokenizer,
    /// The bytes of `tokenizer.json`.
    pub(crate) bytes: Vec<u8>,
}

impl TokenizerFolder {
    /// Opens the tokenizer of a model of this `model_type`, which has `embedded` embeddings.
    ///
    /// # Errors
    /// A file that is missing or malformed; special tokens that are named but do not exist.
    pub(crate) fn open(folder: &Path, model_type: &str, embedded: usize) -> Result<Self> {
        let path = folder.join("tokenizer.json");
        let bytes = std::fs::read(&path).map_err(TrainError::io(&path))?;
        let settings_path = folder.join("tokenizer_config.json");
        let mut settings = object(&settings_path)?.unwrap_or_default();
        if !settings.contains_key("added_tokens_decoder") {
            // Older folders name their tokens in this file, which then takes precedence.
            let named = object(&folder.join("special_tokens_map.json"))?.unwrap_or_default();
            settings.extend(named.into_iter().filter(|(name, _)| SPECIAL.contains(&name.as_str())));
        }
        let class = Class::of(model_type, &settings);
        let text = class.rebuilt(&bytes, &settings);
        let mut tokenizer =
            TextTokenizer::from_bytes(text.as_deref().unwrap_or(&bytes), None, Vec::new())
                .map_err(|e| TrainError::format(&path, e.to_string()))?;
        tokenizer.special = special(&settings, class);
        tokenizer.embedded = Some(embedded);
        let wrong = |reason: String| TrainError::format(&settings_path, reason);
        check_added(&settings, &tokenizer).map_err(wrong)?;
        let named = |name: &str| match tokenizer.special(name) {
            None => Ok(None),
            Some(spelling) => match tokenizer.id(spelling) {
                Some(id) => Ok(Some(id)),
                None => Err(wrong(format!("{name} {spelling:?} is not in tokenizer.json"))),
            },
        };
        let (bos, eos) = (named("bos_token")?, named("eos_token")?);
        (tokenizer.bos, tokenizer.plain_problem) = begin(&settings, &tokenizer, bos)?;
        tokenizer.eos = eos.into_iter().collect();
        templates(folder, settings.get("chat_template"), &mut tokenizer)?;
        Ok(Self { tokenizer, bytes })
    }
}

fn object(path: &Path) -> Result<Option<Map<String, Value>>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = read(path)?;
    serde_json::from_str(&text).map(Some).map_err(|e| TrainError::format(path, e.to_string()))
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(TrainError::io(path))
}

/// A token's spelling, alone or inside an object.
pub(super) fn spelling(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("content").and_then(Value::as_str))
}

fn special(settings: &Map<String, Value>, class: Class) -> Vec<(String, String)> {
    let found = SPECIAL.into_iter().filter_map(|name| {
        let spelling = match settings.get(name) {
            Some(value) => spelling(value),
            None => class.usual(name),
        };
        Some((name.to_owned(), spelling?.to_owned()))
    });
    // Templates of such a model may use its additional names, too.
    let more = settings.get("extra_special_tokens").and_then(Value::as_object);
    let more = more.into_iter().flatten();
    let own = settings.iter().filter(|(name, _)| {
        name.ends_with("_token") && !name.starts_with("add_") && !SPECIAL.contains(&name.as_str())
    });
    let more = more
        .chain(own)
        .filter_map(|(name, value)| Some((name.clone(), spelling(value)?.to_owned())));
    found.chain(more).collect()
}

/// # Errors
/// A token of `added_tokens_decoder` that `tokenizer.json` lacks or has under another id.
fn check_added(
    settings: &Map<String, Value>,
    tokenizer: &TextTokenizer,
) -> std::result::Result<(), String> {
    let added = settings.get("added_tokens_decoder").and_then(Value::as_object);
    for (id, token) in added.into_iter().flatten() {
        let spelling = spelling(token).ok_or_else(|| format!("added token {id} has no content"))?;
        let known = tokenizer.id(spelling);
        if known.is_none_or(|known| known.to_string() != *id) {
            return Err(format!(
                "added token {spelling:?} has the number {id} here and {} in tokenizer.json",
                known.map_or("none".to_owned(), |id| id.to_string())
            ));
        }
    }
    Ok(())
}

/// The token that is put before a text, and, if plain text cannot be tokenised, the reason.
fn begin(
    settings: &Map<String, Value>,
    tokenizer: &TextTokenizer,
    bos: Option<u32>,
) -> Result<(Option<u32>, Option<String>)> {
    let (before, behind) = tokenizer.added_around()?;
    let begins = before.first().copied();
    let differs = |name: &str, found: bool| {
        let said = settings.get(name).and_then(Value::as_bool)?;
        (said != found).then(|| {
            let does = if found { "does" } else { "does not" };
            format!(
                "tokenizer_config.json says {name} = {said} and the post-processor of \
                 tokenizer.json {does}: transformers 4 follows the one and 5 the other, so make \
                 them agree"
            )
        })
    };
    let problem = differs("add_bos_token", begins.is_some() && begins == bos)
        .or_else(|| differs("add_eos_token", !behind.is_empty()))
        .or_else(|| {
            let more = before.len() > 1 || !behind.is_empty();
            more.then(|| {
                "the tokenizer puts more around a text than one token before it".to_owned()
            })
        });
    Ok((begins, problem))
}

/// Reads the chat templates: template files take precedence over `tokenizer_config.json`.
fn templates(folder: &Path, inside: Option<&Value>, tokenizer: &mut TextTokenizer) -> Result<()> {
    let mut named: Vec<(String, String)> = Vec::new();
    let main = folder.join("chat_template.jinja");
    if main.exists() {
        named.push(("default".to_owned(), read(&main)?));
    }
    let more = folder.join("additional_chat_templates");
    if more.is_dir() {
        for entry in std::fs::read_dir(&more).map_err(TrainError::io(&more))? {
            let path = entry.map_err(TrainError::io(&more))?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            if let Some(name) = stem.filter(|_| path.extension().is_some_and(|ext| ext == "jinja"))
            {
                named.push((name.to_owned(), read(&path)?));
            }
        }
    }
    if named.is_empty() {
        match inside {
            None | Some(Value::Null) => {}
            Some(Value::String(template)) => named.push(("default".into(), template.clone())),
            Some(Value::Array(all)) => {
                let text = |one: &Value, key: &str| one[key].as_str().map(str::to_owned);
                named.extend(
                    all.iter().filter_map(|t| Some((text(t, "name")?, text(t, "template")?))),
                );
            }
            Some(_) => {
                tokenizer.template_problem = Some(
                    "chat_template in tokenizer_config.json is neither a text nor a list".into(),
                );
            }
        }
    }
    let find = |name: &str| named.iter().find(|(n, _)| n == name).map(|(_, text)| text.clone());
    tokenizer.chat_template = find("default");
    tokenizer.tool_template = find("tool_use");
    if tokenizer.chat_template.is_none() && !named.is_empty() {
        let names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
        tokenizer.template_problem = Some(format!(
            "the model has several chat templates and none of them is the default: {}",
            names.join(", ")
        ));
    }
    if named.is_empty() && folder.join("chat_template.json").exists() {
        tokenizer.template_problem.get_or_insert_with(|| {
            "chat_template.json is for processors of images; write its text into \
             chat_template.jinja if it is meant for text"
                .to_owned()
        });
    }
    Ok(())
}
