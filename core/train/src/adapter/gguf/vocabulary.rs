//! A model's tokenizer in GGUF metadata: copied if the base is a GGUF file, else made from
//! `tokenizer.json`.

use super::container::Meta;
use super::folder_vocabulary;
use crate::load::{GgufFile, GgufValue, LoadedModel};
use crate::{Result, TrainError};

const PREFIX: &str = "tokenizer.";
/// Some of llama.cpp's rules for white space depend on it.
const NAME: &str = "general.name";

/// A tokenizer in GGUF.
pub(super) struct Vocabulary {
    /// Every metadata key that starts with `tokenizer.`, and the model's name.
    pub(super) metadata: Vec<(String, Meta)>,
    /// Texts that llama.cpp tokenises otherwise, one sentence each.
    pub(super) notes: Vec<String>,
}

/// The vocabulary of a model.
///
/// # Errors
/// A tokenizer that llama.cpp does not have.
pub(super) fn read(model: &LoadedModel) -> Result<Vocabulary> {
    let path = model.weights.path();
    if path.is_dir() {
        return folder_vocabulary::read(model, path);
    }
    let file = GgufFile::open(path)?;
    let own = file.metadata.iter().filter(|(key, _)| key.starts_with(PREFIX) || *key == NAME);
    let metadata = own.map(|(key, value)| match copied(value) {
        Some(value) => Ok((key.clone(), value)),
        None => Err(TrainError::format(path, format!("metadata {key} cannot be copied"))),
    });
    Ok(Vocabulary { metadata: metadata.collect::<Result<_>>()?, notes: Vec::new() })
}

fn copied(value: &GgufValue) -> Option<Meta> {
    Some(match value {
        GgufValue::Unsigned(value) => Meta::U32(u32::try_from(*value).ok()?),
        GgufValue::Signed(value) => Meta::I32(i32::try_from(*value).ok()?),
        GgufValue::Float(value) => Meta::F32(*value as f32),
        GgufValue::Bool(value) => Meta::Bool(*value),
        GgufValue::Text(value) => Meta::Text(value.clone()),
        GgufValue::Array(values) => match values.first() {
            None => return None,
            Some(GgufValue::Text(_)) => {
                let texts = values.iter().map(|value| value.as_str().map(str::to_owned));
                Meta::Texts(texts.collect::<Option<_>>()?)
            }
            Some(GgufValue::Float(_)) => {
                let floats = values.iter().map(|value| value.as_f64().map(|value| value as f32));
                Meta::Floats(floats.collect::<Option<_>>()?)
            }
            Some(_) => {
                let integers = values.iter().map(|value| match value {
                    GgufValue::Signed(value) => i32::try_from(*value).ok(),
                    other => other.as_u64().and_then(|value| i32::try_from(value).ok()),
                });
                Meta::Integers(integers.collect::<Option<_>>()?)
            }
        },
    })
}
