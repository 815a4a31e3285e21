//! A base model on disk, opened.

use std::path::Path;

use burn::tensor::Device;

use crate::model::{BasePrecision, BaseWeights, Decoder, ModelConfig, TensorSource};
use crate::text::TextTokenizer;
use crate::{Result, TrainError};

/// A base model: its shape, its tokenizer, and where its weights are read from.
pub struct LoadedModel {
    /// Shape and switches.
    pub config: ModelConfig,
    /// The weights, by Hugging Face name.
    pub weights: Box<dyn TensorSource + Send + Sync>,
    /// The tokenizer.
    pub tokenizer: TextTokenizer,
    /// BLAKE3 over configuration, tokenizer and weights as stored.
    pub digest: [u8; 32],
}

impl LoadedModel {
    /// Opens a Hugging Face folder or a `.gguf` file.
    pub fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return super::folder::open(path);
        }
        if !path.exists() {
            let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(TrainError::io(path)(missing));
        }
        if path.extension().is_some_and(|extension| extension == "gguf") {
            return super::gguf::open(path);
        }
        Err(TrainError::format(path, "neither a Hugging Face folder nor a .gguf file"))
    }

    /// Reads the weights, to compute on a device; see [`Decoder::load`].
    pub fn decoder(&self, device: &Device, precision: BasePrecision) -> Result<Decoder> {
        Decoder::load(&self.config, self.weights.as_ref(), device, precision)
    }

    /// All weights on the host.
    pub fn base_weights(&self) -> Result<BaseWeights> {
        BaseWeights::read(&self.config, self.weights.as_ref())
    }
}
