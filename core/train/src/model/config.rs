//! The shape of a decoder, read from `config.json` or from GGUF metadata.

mod raw;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Result, TrainError};
use raw::RawConfig;

/// Model families that this crate knows how to run. All are decoder-only with RMSNorm, rotate-half
/// rotary embeddings, grouped-query attention and SwiGLU; they differ in the switches of [`ModelConfig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Llama 2 and 3, SmolLM2.
    Llama,
    /// Mistral: sliding-window attention.
    Mistral,
    /// Qwen2 and Qwen2.5: biases on the query, key and value projections.
    Qwen2,
    /// Qwen3: RMSNorm on each head's queries and keys.
    Qwen3,
}

impl Family {
    /// The `model_type` of `config.json` and `general.architecture` of GGUF.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }

    /// Class name that transformers writes to `architectures`.
    pub fn architecture(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Mistral => "MistralForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Llama, Self::Mistral, Self::Qwen2, Self::Qwen3]
            .into_iter()
            .find(|family| family.name() == name)
    }
}

/// How rotary frequencies are stretched for contexts longer than the pretraining one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RopeScaling {
    /// Positions divided by `factor`.
    Linear {
        /// Stretch of the context.
        factor: f64,
    },
    /// Llama 3: low frequencies divided by `factor`, high ones kept, a ramp between.
    Llama3 {
        /// Stretch of the low frequencies.
        factor: f64,
        /// Wavelengths above `original / low_freq_factor` are stretched in full.
        low_freq_factor: f64,
        /// Wavelengths below `original / high_freq_factor` are kept.
        high_freq_factor: f64,
        /// Context length of the pretraining.
        original_max_position: usize,
    },
}

/// Shape and switches of one decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Which family it belongs to.
    pub family: Family,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward block.
    pub intermediate_size: usize,
    /// Number of decoder layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Added to the mean square in RMSNorm.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Stretch of the rotary frequencies.
    pub rope_scaling: Option<RopeScaling>,
    /// Longest sequence the model was made for, in tokens.
    pub max_position: usize,
    /// The output head is the embedding.
    pub tied_head: bool,
    /// Biases on the query, key and value projections.
    pub qkv_bias: bool,
    /// Bias on the attention output projection.
    pub output_bias: bool,
    /// Biases in the feed-forward block.
    pub mlp_bias: bool,
    /// RMSNorm on each head's queries and keys.
    pub qk_norm: bool,
    /// Each layer's attention window in tokens (itself included); `None` sees everything before it.
    pub windows: Vec<Option<usize>>,
    /// First token of a sequence, if the model wants one.
    pub bos_token_id: Option<u32>,
    /// Tokens that end an answer.
    pub eos_token_ids: Vec<u32>,
}

impl ModelConfig {
    /// Reads the text of a `config.json`; `path` is only used in errors.
    pub fn from_json(text: &str, path: &Path) -> Result<Self> {
        let raw: RawConfig =
            serde_json::from_str(text).map_err(|e| TrainError::format(path, e.to_string()))?;
        let config = raw.into_config().map_err(|reason| TrainError::format(path, reason))?;
        config.check().map_err(|reason| TrainError::format(path, reason))?;
        Ok(config)
    }

    /// The `config.json` that makes transformers build the same model.
    pub fn to_json(&self) -> serde_json::Value {
        let rope = match self.rope_scaling {
            None => serde_json::Value::Null,
            Some(RopeScaling::Linear { factor }) => {
                serde_json::json!({"rope_type": "linear", "factor": factor})
            }
            Some(RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position,
            }) => serde_json::json!({
                "rope_type": "llama3", "factor": factor, "low_freq_factor": low_freq_factor,
                "high_freq_factor": high_freq_factor,
                "original_max_position_embeddings": original_max_position,
            }),
        };
        let window = self.windows.iter().flatten().next();
        let layer_types: Vec<_> = self
            .windows
            .iter()
            .map(|w| if w.is_some() { "sliding_attention" } else { "full_attention" })
            .collect();
        let mut json = serde_json::json!({
            "architectures": [self.family.architecture()],
            "model_type": self.family.name(),
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "vocab_size": self.vocab_size,
            "rms_norm_eps": self.rms_norm_eps,
            "rope_theta": self.rope_theta,
            "rope_scaling": rope,
            "max_position_embeddings": self.max_position,
            "tie_word_embeddings": self.tied_head,
            "attention_bias": self.qkv_bias && self.output_bias,
            "mlp_bias": self.mlp_bias,
            "hidden_act": "silu",
            "sliding_window": window,
            "bos_token_id": self.bos_token_id,
            "eos_token_id": self.eos_token_ids,
            "torch_dtype": "float32",
        });
        if matches!(self.family, Family::Qwen2 | Family::Qwen3) {
            json["use_sliding_window"] = window.is_some().into();
            json["layer_types"] = serde_json::json!(layer_types);
        }
        json
    }

    /// Checks that the sizes fit together; the error says which do not.
    pub(crate) fn check(&self) -> std::result::Result<(), String> {
        let sizes = [
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.layers),
            ("num_attention_heads", self.heads),
            ("num_key_value_heads", self.kv_heads),
            ("head_dim", self.head_dim),
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position),
        ];
        for (name, size) in sizes {
            if size == 0 || size > 1 << 24 {
                return Err(format!("{name} is {size}"));
            }
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(format!("{} heads are no multiple of {}", self.heads, self.kv_heads));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(format!("head_dim {} is odd", self.head_dim));
        }
        if self.windows.len() != self.layers {
            return Err(format!("{} layer types, {} layers", self.windows.len(), self.layers));
        }
        Ok(())
    }
}
