//! The model's shape, from GGUF metadata.

use super::reader::{GgufFile, Value};
use super::rope;
use crate::model::{Activation, COMMAND_TRAINER, ExpertShape, Family, ModelConfig, Rope};
use crate::{Result, TrainError, Valid};

/// Gemma 3: one layer in six attends to the whole sequence, unless the file says otherwise.
const GEMMA3_PATTERN: usize = 6;
/// OLMo 3: one layer in four attends to the whole sequence, unless a number in the file says
/// otherwise.
const OLMO3_PATTERN: usize = 4;
/// SmolLM3: every fourth layer has no rotary embedding; GGUF does not say.
const SMOLLM3_INTERVAL: usize = 4;
/// Gemma 3 of 27 billion parameters, which scales its scores by another width; GGUF does not say.
const GEMMA3_27B_LAYERS: usize = 62;

/// Metadata that changes the computation, the values for which it has no effect, and the families
/// for which it is implemented.
const MEANINGFUL: [(&str, &[f64], &[Family]); 18] = [
    ("attn_logit_softcapping", &[0.0], &[]),
    ("final_logit_softcapping", &[0.0], &[]),
    ("attention.clamp_kqv", &[0.0], &[]),
    ("attention.max_alibi_bias", &[0.0], &[]),
    ("attention.scale", &[0.0], &[Family::Granite]),
    ("embedding_scale", &[0.0, 1.0], &[Family::Granite]),
    ("residual_scale", &[0.0, 1.0], &[Family::Granite]),
    ("logit_scale", &[0.0, 1.0], &[Family::Granite]),
    ("expert_count", &[0.0], &[Family::Qwen3Moe]),
    ("expert_shared_count", &[0.0], &[]),
    ("expert_shared_feed_forward_length", &[0.0], &[]),
    ("expert_group_count", &[0.0, 1.0], &[]),
    ("expert_weights_scale", &[0.0, 1.0], &[]),
    // 1 is the softmax.
    ("expert_gating_func", &[0.0, 1.0], &[]),
    ("attention.sliding_window", &[0.0], &WINDOWED),
    ("attention.sliding_window_pattern", &[0.0], &[Family::Gemma3, Family::Olmo3]),
    ("rope.freq_base_swa", &[0.0], &[Family::Gemma3, Family::Olmo3]),
    ("nextn_predict_layers", &[0.0], &[]),
];

/// Families whose files may name an attention window.
const WINDOWED: [Family; 4] = [Family::Llama, Family::Phi3, Family::Gemma3, Family::Olmo3];

/// `general.architecture` of each family; Mistral's models use `llama`, those of OLMo 3 `olmo2` with
/// a window.
const ARCHITECTURES: [(&str, Family); 10] = [
    ("llama", Family::Llama),
    ("qwen2", Family::Qwen2),
    ("qwen3", Family::Qwen3),
    ("qwen3moe", Family::Qwen3Moe),
    ("smollm3", Family::SmolLm3),
    ("granite", Family::Granite),
    ("olmo2", Family::Olmo2),
    ("seed_oss", Family::SeedOss),
    ("phi3", Family::Phi3),
    ("gemma3", Family::Gemma3),
];

/// The configuration that a file's metadata describe.
pub(super) fn read(file: &GgufFile) -> Result<Valid<ModelConfig>> {
    let architecture = file.require("general.architecture", Value::as_str)?;
    let known = ARCHITECTURES.iter().find(|(name, _)| *name == architecture);
    let Some((_, family)) = known else {
        let names = ARCHITECTURES.map(|(name, _)| name).join(", ");
        let reason =
            format!("architecture {architecture:?} is not one of {names}: {COMMAND_TRAINER}");
        return Err(TrainError::format(&file.path, reason));
    };
    let mut metadata = Metadata { file, architecture, family: *family };
    let windowed = metadata.number("attention.sliding_window").is_some_and(|window| window > 0.0);
    if windowed && *family == Family::Olmo2 {
        metadata.family = Family::Olmo3;
    }
    metadata.refuse_unknown_meaning()?;
    Valid::new(metadata.config()?).map_err(|reason| TrainError::format(&file.path, reason))
}

struct Metadata<'a> {
    file: &'a GgufFile,
    architecture: &'a str,
    family: Family,
}

impl Metadata<'_> {
    fn bad(&self, reason: String) -> TrainError {
        TrainError::format(&self.file.path, reason)
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.file.get(&format!("{}.{name}", self.architecture))
    }

    fn size(&self, name: &str) -> Result<usize> {
        let key = format!("{}.{name}", self.architecture);
        let value = self.file.require(&key, Value::as_u64)?;
        u32::try_from(value).map(|v| v as usize).map_err(|_| self.bad(format!("{name} is {value}")))
    }

    fn optional(&self, name: &str) -> Result<Option<usize>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Array(_)) => {
                Err(self.bad(format!("{name} differs between layers, which is not supported")))
            }
            Some(_) => self.size(name).map(Some),
        }
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.get(name).and_then(Value::as_f64)
    }

    fn refuse_unknown_meaning(&self) -> Result<()> {
        for (name, neutral, families) in MEANINGFUL {
            let Some(value) = self.get(name) else { continue };
            let same = value.as_f64().is_some_and(|value| neutral.contains(&value));
            if !same && !families.contains(&self.family) {
                return Err(self.bad(format!(
                    "{}.{name} changes what the model computes and is not supported: \
                     {COMMAND_TRAINER}",
                    self.architecture
                )));
            }
        }
        match self.get("attention.causal").and_then(Value::as_bool) {
            Some(false) => {
                Err(self.bad("attention that is not causal is not supported".to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn config(&self) -> Result<ModelConfig> {
        let (hidden_size, heads) =
            (self.size("embedding_length")?, self.size("attention.head_count")?);
        let layers = self.size("block_count")?;
        if heads == 0 || layers > 4096 {
            return Err(self.bad(format!("{heads} heads in {layers} layers")));
        }
        let head_dim = self.optional("attention.key_length")?.unwrap_or(hidden_size / heads);
        if let Some(value) = self.optional("attention.value_length")?.filter(|v| *v != head_dim) {
            return Err(self.bad(format!("values of {value} beside keys of {head_dim}")));
        }
        let rotary_dim = self.optional("rope.dimension_count")?.unwrap_or(head_dim);
        if rotary_dim != head_dim && self.family != Family::Phi3 {
            return Err(self.bad(format!("{rotary_dim} of {head_dim} coordinates are rotated")));
        }
        let rope_theta = self.number("rope.freq_base").unwrap_or(10_000.0);
        let rope_scaling = rope::scaling(self.file, self.architecture, rope_theta, rotary_dim)?;
        let has = |name: &str| self.file.tensors.contains_key(name);
        let embedding = self.file.tensors.get("token_embd.weight");
        let mut config = ModelConfig {
            hidden_size,
            intermediate_size: self.size("feed_forward_length")?,
            experts: self.experts(layers)?,
            layers,
            heads,
            kv_heads: self.optional("attention.head_count_kv")?.unwrap_or(heads),
            head_dim,
            rotary_dim,
            vocab_size: embedding.and_then(|t| t.shape.first().copied()).unwrap_or(0),
            rms_norm_eps: self.number("attention.layer_norm_rms_epsilon").unwrap_or(1e-5),
            rope_theta,
            rope_scaling,
            rope_layers: vec![true; layers],
            max_position: self.size("context_length")?,
            tied_head: !has("output.weight"),
            qkv_bias: has("blk.0.attn_q.bias"),
            output_bias: has("blk.0.attn_output.bias"),
            mlp_bias: has("blk.0.ffn_up.bias"),
            attention_scale: (head_dim as f64).sqrt().recip(),
            ..ModelConfig::plain(self.family)
        };
        let window = self.optional("attention.sliding_window")?.filter(|window| *window > 0);
        config.windows = vec![window; layers];
        self.finish(&mut config)?;
        Ok(config)
    }

    /// Which layers have experts the tensors say. llama.cpp scales the weights of a token's experts
    /// to a sum of 1 in every model of this architecture, so the files do not say it.
    fn experts(&self, layers: usize) -> Result<Option<ExpertShape>> {
        if self.family != Family::Qwen3Moe {
            return Ok(None);
        }
        if self.get("expert_weights_norm").and_then(Value::as_bool) == Some(false) {
            let reason = "expert_weights_norm is false, which llama.cpp ignores: use the folder";
            return Err(self.bad(reason.to_owned()));
        }
        let router = |layer: usize| format!("blk.{layer}.ffn_gate_inp.weight");
        let has = |layer: usize| self.file.tensors.contains_key(&router(layer));
        Ok(Some(ExpertShape {
            count: self.size("expert_count")?,
            chosen: self.size("expert_used_count")?,
            width: self.size("expert_feed_forward_length")?,
            normalised: true,
            layers: (0..layers).map(has).collect(),
        }))
    }

    /// Settings that only some families have.
    fn finish(&self, config: &mut ModelConfig) -> Result<()> {
        match self.family {
            Family::SmolLm3 => {
                let rope = |layer: usize| !layer.is_multiple_of(SMOLLM3_INTERVAL);
                config.rope_layers = (1..=config.layers).map(rope).collect();
            }
            Family::Granite => {
                let scale = |name: &str| self.number(name).filter(|scale| *scale != 0.0);
                config.embedding_scale = scale("embedding_scale").unwrap_or(1.0);
                config.residual_scale = scale("residual_scale").unwrap_or(1.0);
                config.logit_scale = scale("logit_scale").unwrap_or(1.0).recip();
                if let Some(scale) = scale("attention.scale") {
                    config.attention_scale = scale;
                }
            }
            Family::Gemma3 => {
                config.activation = Activation::GeluTanh;
                config.embedding_scale = (config.hidden_size as f64).sqrt();
                if config.layers == GEMMA3_27B_LAYERS {
                    let width = config.hidden_size / config.heads;
                    config.attention_scale = (width as f64).sqrt().recip();
                }
                let pattern = self.optional("attention.sliding_window_pattern")?;
                drop_windows(config, pattern.unwrap_or(GEMMA3_PATTERN));
                let theta = self.number("rope.freq_base_swa").unwrap_or(10_000.0);
                config.local_rope = Some(Rope { theta, scaling: None });
            }
            Family::Olmo3 => {
                drop_windows(config, self.olmo3_pattern(config.layers)?);
                let theta = config.rope_theta;
                if self.number("rope.freq_base_swa").is_some_and(|local| local != theta) {
                    let reason = "rope.freq_base_swa differs from rope.freq_base, which llama.cpp \
                                  ignores: use the folder";
                    return Err(self.bad(reason.to_owned()));
                }
                config.local_rope = Some(Rope { theta, scaling: None });
            }
            _ => {}
        }
        Ok(())
    }

    /// Which layers of OLMo 3 attend to the whole sequence: llama.cpp follows a number, but where
    /// the file has a list, as its converter writes it, it takes every fourth layer.
    fn olmo3_pattern(&self, layers: usize) -> Result<usize> {
        let key = "attention.sliding_window_pattern";
        let Some(list) = self.get(key).and_then(Value::as_array) else {
            return Ok(self.optional(key)?.unwrap_or(OLMO3_PATTERN));
        };
        let usual = (1..=layers).map(|layer| Some(!layer.is_multiple_of(OLMO3_PATTERN)));
        match list.iter().map(Value::as_bool).eq(usual) {
            true => Ok(OLMO3_PATTERN),
            false => Err(self.bad(format!(
                "{key} lists other layers than three of four, which llama.cpp ignores: use the \
                 folder"
            ))),
        }
    }
}

/// Leaves every `pattern`th layer without a window; none if `pattern` is zero, as in llama.cpp.
fn drop_windows(config: &mut ModelConfig, pattern: usize) {
    for (layer, window) in (1..).zip(&mut config.windows) {
        if pattern > 0 && usize::is_multiple_of(layer, pattern) {
            *window = None;
        }
    }
}
