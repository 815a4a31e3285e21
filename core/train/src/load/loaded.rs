//! A base model on disk, opened.

use std::path::Path;

use burn_tensor::Device;

use crate::model::{BasePrecision, Decoder, ModelConfig, TensorSource};
use crate::text::TextTokenizer;
use crate::{Result, TrainError, Valid};

/// How a model is stored.
enum Form {
    Folder,
    Gguf,
}

impl Form {
    fn of(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Ok(Self::Folder);
        }
        if !path.exists() {
            let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(TrainError::io(path)(missing));
        }
        if path.extension().is_some_and(|extension| extension == "gguf") {
            return Ok(Self::Gguf);
        }
        Err(TrainError::format(path, "neither a Hugging Face folder nor a .gguf file"))
    }
}

/// The tokenizer and chat template of the model at `path`, as [`LoadedModel::open`] provides them,
/// without reading a weight: hashing the weights of a large model takes long.
pub fn open_tokenizer(path: &Path) -> Result<TextTokenizer> {
    match Form::of(path)? {
        Form::Folder => super::folder::tokenizer(path),
        Form::Gguf => super::gguf::tokenizer(path),
    }
}

/// The shape of the model at `path`, without reading a weight.
///
/// # Errors
/// A model that cannot be read.
pub fn open_config(path: &Path) -> Result<Valid<ModelConfig>> {
    match Form::of(path)? {
        Form::Folder => super::folder::config(path),
        Form::Gguf => super::gguf::config_at(path),
    }
}

/// A base model: its shape, its tokenizer, and the source of its weights.
pub struct LoadedModel {
    /// Shape and switches.
    pub config: Valid<ModelConfig>,
    /// The weights, by Hugging Face name.
    pub weights: Box<dyn TensorSource + Send + Sync>,
    /// The tokenizer.
    pub tokenizer: TextTokenizer,
    /// What users of the model should know, one sentence each.
    pub warnings: Vec<String>,
    /// BLAKE3 over configuration, tokenizer and weights as stored.
    pub digest: [u8; 32],
}

impl LoadedModel {
    /// Opens a Hugging Face folder or a `.gguf` file.
    pub fn open(path: &Path) -> Result<Self> {
        match Form::of(path)? {
            Form::Folder => super::folder::open(path),
            Form::Gguf => super::gguf::open(path),
        }
    }

    /// Reads the weights to a device; see [`Decoder::load`].
    pub fn decoder(&self, device: &Device, precision: BasePrecision) -> Result<Decoder> {
        Decoder::load(&self.config, self.weights.as_ref(), device, precision)
    }
}
