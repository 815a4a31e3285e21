//! The shape of a decoder, read from `config.json` or from GGUF metadata.

mod experts;
mod family;
mod fields;
mod quantised;
mod raw;
mod scaling;
#[cfg(test)]
mod tests;
mod write;

use std::path::Path;
use std::sync::Arc;

use crate::{Result, TrainError, Valid, Validate};
pub use experts::ExpertShape;
pub use family::{Activation, Family, NormPlaces, QkNorm};
pub(crate) use fields::COMMAND_TRAINER;

/// How rotary frequencies are stretched for contexts longer than the pretraining one.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// Positions divided by `factor`.
    Linear {
        /// Stretch factor of the context.
        factor: f64,
    },
    /// NTK-aware: for sequences longer than `original_max_position` the base grows with the length.
    Dynamic {
        /// Stretch factor of the context.
        factor: f64,
        /// Context length of the pretraining.
        original_max_position: usize,
    },
    /// YaRN: high frequencies kept, low ones divided by `factor`, with a ramp between; cosines and
    /// sines are multiplied by a factor of their own.
    Yarn {
        /// Stretch factor of the low frequencies.
        factor: f64,
        /// Factor of cosines and sines.
        attention_factor: f64,
        /// Frequencies with more turns than this in the original context are kept.
        beta_fast: f64,
        /// Frequencies with fewer turns than this are stretched in full.
        beta_slow: f64,
        /// Context length of the pretraining.
        original_max_position: usize,
        /// Whether the ramp begins and ends at whole coordinates.
        truncate: bool,
    },
    /// Llama 3: low frequencies divided by `factor`, high ones kept, with a ramp between.
    Llama3 {
        /// Stretch factor of the low frequencies.
        factor: f64,
        /// Wavelengths above `original / low_freq_factor` are stretched in full.
        low_freq_factor: f64,
        /// Wavelengths below `original / high_freq_factor` are kept.
        high_freq_factor: f64,
        /// Context length of the pretraining.
        original_max_position: usize,
    },
    /// LongRoPE: each frequency has two divisors, one for short sequences and one for long ones.
    LongRope {
        /// Divisors up to `original_max_position` tokens, one per frequency.
        short: Arc<[f64]>,
        /// Divisors for longer sequences, one per frequency.
        long: Arc<[f64]>,
        /// Factor of cosines and sines.
        attention_factor: f64,
        /// Context length of the pretraining.
        original_max_position: usize,
    },
}

/// A rotary embedding: base of the frequencies, and how they are stretched.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Base of the frequencies.
    pub theta: f64,
    /// Stretch of the frequencies.
    pub scaling: Option<RopeScaling>,
}

/// Shape and switches of one decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// The family of the model.
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
    /// The activation function of the feed-forward block's gate.
    pub activation: Activation,
    /// Added to the mean square in RMSNorm.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Stretch of the rotary frequencies.
    pub rope_scaling: Option<RopeScaling>,
    /// The rotary embedding of layers with a window, where it differs (Gemma 3).
    pub local_rope: Option<Rope>,
    /// Number of leading coordinates of each head that are rotated; even.
    pub rotary_dim: usize,
    /// Which layers have a rotary embedding.
    pub rope_layers: Vec<bool>,
    /// The context length of the pretraining, in tokens, before any stretching; see
    /// [`Self::context`].
    pub max_position: usize,
    /// Whether the output head is the embedding.
    pub tied_head: bool,
    /// Whether the query, key and value projections have biases.
    pub qkv_bias: bool,
    /// Whether the attention output projection has a bias.
    pub output_bias: bool,
    /// Whether the projections of the feed-forward block have biases.
    pub mlp_bias: bool,
    /// RMSNorm on queries and keys, if there is one.
    pub qk_norm: Option<QkNorm>,
    /// Each layer's attention window in tokens, the current one included; `None` attends to all
    /// tokens before.
    pub windows: Vec<Option<usize>>,
    /// Factor of the embeddings.
    pub embedding_scale: f64,
    /// Factor of the attention scores.
    pub attention_scale: f64,
    /// Factor of each block's output before the residual is added.
    pub residual_scale: f64,
    /// Factor of the logits.
    pub logit_scale: f64,
    /// The token that starts a sequence, if the model requires one.
    pub bos_token_id: Option<u32>,
    /// Tokens that end an answer.
    pub eos_token_ids: Vec<u32>,
    /// Whether the files hold a model that also sees, of which this is the text model. Tensors and
    /// adapters have other names there.
    pub multimodal: bool,
    /// The experts of a mixture of experts.
    pub experts: Option<ExpertShape>,
}

impl ModelConfig {
    /// Reads the text of a `config.json`; `path` is only used in errors.
    ///
    /// # Errors
    /// A field that is missing or has no usable value, an unknown family or kind of rotary scaling,
    /// or a field that changes the computation and is not implemented here: each by its name.
    pub fn from_json(text: &str, path: &Path) -> Result<Valid<Self>> {
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(text).map_err(|e| TrainError::format(path, e.to_string()))?;
        let config = raw::config(&object).map_err(|reason| TrainError::format(path, reason))?;
        Valid::new(config).map_err(|reason| TrainError::format(path, reason))
    }

    /// A configuration with all sizes zero and the switches that the family alone decides.
    pub(crate) fn plain(family: Family) -> Self {
        Self {
            family,
            hidden_size: 0,
            intermediate_size: 0,
            layers: 0,
            heads: 0,
            kv_heads: 0,
            head_dim: 0,
            vocab_size: 0,
            activation: Activation::Silu,
            rms_norm_eps: 0.0,
            rope_theta: 0.0,
            rope_scaling: None,
            local_rope: None,
            rotary_dim: 0,
            rope_layers: Vec::new(),
            max_position: 0,
            tied_head: false,
            qkv_bias: false,
            output_bias: false,
            mlp_bias: false,
            qk_norm: family.qk_norm(),
            windows: Vec::new(),
            embedding_scale: 1.0,
            attention_scale: 1.0,
            residual_scale: 1.0,
            logit_scale: 1.0,
            bos_token_id: None,
            eos_token_ids: Vec::new(),
            multimodal: false,
            experts: None,
        }
    }

    /// The longest sequence that makes sense, in tokens: the context of the pretraining, stretched
    /// as the rotary scaling says.
    pub fn context(&self) -> usize {
        let stretched = match self.rope_scaling {
            Some(RopeScaling::Linear { factor }) => factor * self.max_position as f64,
            Some(
                RopeScaling::Dynamic { factor, original_max_position }
                | RopeScaling::Yarn { factor, original_max_position, .. },
            ) => factor * original_max_position as f64,
            _ => 0.0,
        };
        (stretched as usize).max(self.max_position)
    }

    /// The shape of a layer's experts; `None` for a layer with a dense feed-forward block.
    pub(crate) fn experts_of(&self, layer: usize) -> Option<&ExpertShape> {
        let has = |shape: &&ExpertShape| shape.layers.get(layer).copied().unwrap_or(false);
        self.experts.as_ref().filter(has)
    }
}

impl Validate for ModelConfig {
    type Error = String;

    /// Checks that the sizes are consistent; the error says which are not.
    fn validate(&self) -> std::result::Result<(), String> {
        let sizes = [
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.layers),
            ("num_attention_heads", self.heads),
            ("num_key_value_heads", self.kv_heads),
            ("head_dim", self.head_dim),
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position),
            ("rotary_dim", self.rotary_dim),
        ];
        for (name, size) in sizes {
            if size == 0 || size > 1 << 24 {
                return Err(format!("{name} is {size}"));
            }
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(format!("{} heads are no multiple of {}", self.heads, self.kv_heads));
        }
        if !self.rotary_dim.is_multiple_of(2) || self.rotary_dim > self.head_dim {
            let (rotated, head) = (self.rotary_dim, self.head_dim);
            return Err(format!("{rotated} coordinates of a head of {head} cannot be rotated"));
        }
        for (what, count) in
            [("layer types", self.windows.len()), ("rope layers", self.rope_layers.len())]
        {
            if count != self.layers {
                return Err(format!("{count} {what}, {} layers", self.layers));
            }
        }
        let scales = [
            ("rms_norm_eps", self.rms_norm_eps, 1.0),
            ("scale of the embedding", self.embedding_scale, 1e6),
            ("scale of the attention", self.attention_scale, 1e6),
            ("scale of the residuals", self.residual_scale, 1e6),
            ("scale of the logits", self.logit_scale, 1e6),
        ];
        for (name, value, most) in scales {
            if !(value > 0.0 && value <= most) {
                return Err(format!("{name} is {value}"));
            }
        }
        if let Some(experts) = &self.experts {
            experts.check(self.layers)?;
        }
        let global = Rope { theta: self.rope_theta, scaling: self.rope_scaling.clone() };
        [Some(&global), self.local_rope.as_ref()]
            .into_iter()
            .flatten()
            .try_for_each(|rope| rope.check(self.rotary_dim))
    }
}

impl Rope {
    fn check(&self, dim: usize) -> std::result::Result<(), String> {
        if !(self.theta.is_finite() && self.theta > 1.0) {
            return Err(format!("rope_theta is {}", self.theta));
        }
        match &self.scaling {
            Some(RopeScaling::LongRope { short, long, .. })
                if [short.len(), long.len()] != [dim / 2; 2] =>
            {
                let (short, long) = (short.len(), long.len());
                Err(format!("{short} short and {long} long factors for {} frequencies", dim / 2))
            }
            Some(RopeScaling::Yarn { beta_fast, beta_slow, original_max_position, .. })
                if beta_fast <= beta_slow || *beta_slow <= 0.0 || *original_max_position == 0 =>
            {
                Err(format!("beta_fast is {beta_fast} and beta_slow is {beta_slow}"))
            }
            Some(RopeScaling::Dynamic { .. }) if dim <= 2 => {
                Err("dynamic rope scaling needs more than two rotated coordinates".to_owned())
            }
            _ => Ok(()),
        }
    }
}
