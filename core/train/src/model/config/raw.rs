//! `config.json` as transformers writes it.

use serde::Deserialize;

use super::{Family, ModelConfig, RopeScaling};

/// Only what we use.
#[derive(Deserialize)]
pub(super) struct RawConfig {
    model_type: String,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    vocab_size: usize,
    rms_norm_eps: Option<f64>,
    rope_theta: Option<f64>,
    rope_scaling: Option<RawRope>,
    rope_parameters: Option<RawRope>,
    max_position_embeddings: Option<usize>,
    tie_word_embeddings: Option<bool>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    hidden_act: Option<String>,
    sliding_window: Option<usize>,
    use_sliding_window: Option<bool>,
    max_window_layers: Option<usize>,
    layer_types: Option<Vec<String>>,
    bos_token_id: Option<u32>,
    eos_token_id: Option<OneOrMany>,
}

#[derive(Deserialize)]
struct RawRope {
    #[serde(alias = "type")]
    rope_type: Option<String>,
    rope_theta: Option<f64>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    original_max_position_embeddings: Option<usize>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(u32),
    Many(Vec<u32>),
}

impl RawConfig {
    pub(super) fn into_config(self) -> std::result::Result<ModelConfig, String> {
        let family = Family::parse(&self.model_type).ok_or_else(|| {
            format!("model_type {:?} is not one of llama, mistral, qwen2, qwen3", self.model_type)
        })?;
        if let Some(act) = self.hidden_act.as_deref().filter(|act| *act != "silu") {
            return Err(format!("hidden_act {act:?} is not supported, only silu"));
        }
        if self.num_attention_heads == 0 {
            return Err("num_attention_heads is 0".into());
        }
        let rope = self.rope_parameters.as_ref().or(self.rope_scaling.as_ref());
        let rope_theta = self.rope_theta.or(rope.and_then(|r| r.rope_theta)).unwrap_or(10_000.0);
        let windows = self.windows(family)?;
        let bias = self.attention_bias.unwrap_or(false);
        Ok(ModelConfig {
            family,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            kv_heads: self.num_key_value_heads.unwrap_or(self.num_attention_heads),
            head_dim: self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads),
            vocab_size: self.vocab_size,
            rms_norm_eps: self.rms_norm_eps.unwrap_or(1e-6),
            rope_theta,
            rope_scaling: rope.map(RawRope::scaling).transpose()?.flatten(),
            max_position: self.max_position_embeddings.unwrap_or(2048),
            tied_head: self.tie_word_embeddings.unwrap_or(false),
            qkv_bias: family == Family::Qwen2 || bias,
            output_bias: bias && family != Family::Qwen2,
            mlp_bias: self.mlp_bias.unwrap_or(false),
            qk_norm: family == Family::Qwen3,
            windows,
            bos_token_id: self.bos_token_id,
            eos_token_ids: match self.eos_token_id {
                None => Vec::new(),
                Some(OneOrMany::One(id)) => vec![id],
                Some(OneOrMany::Many(ids)) => ids,
            },
        })
    }

    /// Mistral windows every layer; Qwen only when `use_sliding_window`, and then by layer type, or
    /// from `max_window_layers` on in older files.
    fn windows(&self, family: Family) -> std::result::Result<Vec<Option<usize>>, String> {
        let layers = self.num_hidden_layers;
        if layers > 4096 {
            return Err(format!("num_hidden_layers is {layers}"));
        }
        let enabled = match family {
            Family::Llama => false,
            Family::Mistral => true,
            Family::Qwen2 | Family::Qwen3 => self.use_sliding_window.unwrap_or(false),
        };
        let Some(window) = self.sliding_window.filter(|w| enabled && *w > 0) else {
            return Ok(vec![None; layers]);
        };
        if let Some(types) = self.layer_types.as_ref().filter(|_| family != Family::Mistral) {
            return Ok(types
                .iter()
                .map(|t| (t == "sliding_attention").then_some(window))
                .collect());
        }
        let first =
            if family == Family::Mistral { 0 } else { self.max_window_layers.unwrap_or(28) };
        Ok((0..layers).map(|layer| (layer >= first).then_some(window)).collect())
    }
}

impl RawRope {
    fn scaling(&self) -> std::result::Result<Option<RopeScaling>, String> {
        let need = |name: &str, value: Option<f64>| {
            value.filter(|v| *v > 0.0).ok_or_else(|| format!("rope scaling needs {name}"))
        };
        match self.rope_type.as_deref().unwrap_or("default") {
            "default" => Ok(None),
            "linear" => Ok(Some(RopeScaling::Linear { factor: need("factor", self.factor)? })),
            "llama3" => Ok(Some(RopeScaling::Llama3 {
                factor: need("factor", self.factor)?,
                low_freq_factor: need("low_freq_factor", self.low_freq_factor)?,
                high_freq_factor: need("high_freq_factor", self.high_freq_factor)?,
                original_max_position: self
                    .original_max_position_embeddings
                    .ok_or("rope scaling needs original_max_position_embeddings")?,
            })),
            other => Err(format!("rope type {other:?} is not one of default, linear, llama3")),
        }
    }
}
