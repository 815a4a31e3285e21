//! What llama.cpp computes for each architecture, and what it therefore cannot be told
//! (`src/models` of llama.cpp).

use super::super::container::Meta;
use super::windows;
use crate::model::{Activation, Family, ModelConfig};

/// Layers of SmolLM3 without rotary embedding: llama.cpp takes every fourth.
const SMOLLM3_INTERVAL: usize = 4;
/// Gemma 3 of 27 billion parameters scales its scores by another width.
const GEMMA3_27B_LAYERS: usize = 62;

pub(super) type Settings = Vec<(&'static str, Meta)>;

/// An architecture of llama.cpp.
#[derive(Clone, Copy)]
pub(super) struct Architecture {
    family: Family,
    /// The value of `general.architecture`.
    pub(super) name: &'static str,
    /// Whether queries, keys and values may have biases, and all other projections.
    biases: [bool; 2],
    /// Whether it reads the table of Llama 3's rotary scaling.
    pub(super) divisors: bool,
}

const fn known(
    family: Family,
    name: &'static str,
    biases: [bool; 2],
    divisors: bool,
) -> Architecture {
    Architecture { family, name, biases, divisors }
}

const ARCHITECTURES: [Architecture; 12] = [
    known(Family::Llama, "llama", [true, true], true),
    known(Family::Mistral, "llama", [true, true], true),
    known(Family::Granite, "granite", [true, true], true),
    known(Family::Qwen2, "qwen2", [true, false], false),
    known(Family::Qwen3, "qwen3", [false, false], false),
    known(Family::Qwen3Moe, "qwen3moe", [false, false], false),
    known(Family::SmolLm3, "smollm3", [false, false], false),
    known(Family::Olmo2, "olmo2", [false, false], false),
    known(Family::Olmo3, "olmo2", [false, false], false),
    known(Family::SeedOss, "seed_oss", [true, false], false),
    known(Family::Phi3, "phi3", [false, false], false),
    known(Family::Gemma3, "gemma3", [false, false], false),
];

impl Architecture {
    /// # Errors
    /// A family that is not written.
    pub(super) fn of(family: Family) -> Result<Self, String> {
        let found = ARCHITECTURES.iter().find(|one| one.family == family);
        found.copied().ok_or_else(|| format!("the family {}", family.name()))
    }

    /// # Errors
    /// The first setting that llama.cpp would not follow.
    pub(super) fn check(&self, config: &ModelConfig) -> Result<(), String> {
        let name = self.name;
        let [qkv, others] = self.biases;
        let biased = config.output_bias || config.mlp_bias;
        if (config.qkv_bias && !qkv) || (biased && !others) {
            return Err(format!("biases of the {name} family beyond its own"));
        }
        let expected = match self.family {
            Family::Gemma3 => Activation::GeluTanh,
            _ => Activation::Silu,
        };
        if config.activation != expected {
            return Err(format!("the activation {} in {name}", config.activation.name()));
        }
        if config.rotary_dim != config.head_dim && self.family != Family::Phi3 {
            return Err(format!("a rotary embedding on a part of each head in {name}"));
        }
        let turns = |layer: usize| match self.family {
            Family::SmolLm3 => !layer.is_multiple_of(SMOLLM3_INTERVAL),
            _ => true,
        };
        if config.rope_layers.iter().zip(1..).any(|(rope, layer)| *rope != turns(layer)) {
            return Err(format!("this choice of layers without rotary embedding in {name}"));
        }
        let square = config.heads * config.head_dim == config.hidden_size;
        if matches!(self.family, Family::Phi3 | Family::Olmo2 | Family::Olmo3) && !square {
            return Err(format!("heads of another width than hidden_size / heads in {name}"));
        }
        if self.family == Family::Qwen3Moe {
            check_experts(config)?;
        }
        windows::check(config, name)
    }

    /// The metadata that only this architecture has.
    ///
    /// # Errors
    /// Scales and windows that llama.cpp cannot be told.
    pub(super) fn settings(&self, config: &ModelConfig) -> Result<Settings, String> {
        let number = |value: f64| Meta::F32(value as f32);
        let is = |value: f64, wanted: f64| (value - wanted).abs() <= 1e-6 * wanted;
        let width = match self.family {
            Family::Gemma3 if config.layers == GEMMA3_27B_LAYERS => {
                config.hidden_size / config.heads
            }
            _ => config.head_dim,
        };
        let usual = (width as f64).sqrt().recip();
        if self.family != Family::Granite && !is(config.attention_scale, usual) {
            return Err(format!(
                "attention scores times {} in {}",
                config.attention_scale, self.name
            ));
        }
        Ok(match self.family {
            Family::Granite => vec![
                ("attention.scale", number(config.attention_scale)),
                ("embedding_scale", number(config.embedding_scale)),
                ("residual_scale", number(config.residual_scale)),
                ("logit_scale", number(config.logit_scale.recip())),
            ],
            // Without the key, some versions assume the window of the smallest model.
            Family::Phi3 => vec![("attention.sliding_window", Meta::U32(0))],
            Family::Gemma3 => windows::gemma3(config)?,
            Family::Olmo3 => windows::olmo3(config)?,
            Family::Qwen3Moe => experts(config),
            _ => Vec::new(),
        })
    }
}

/// # Errors
/// What llama.cpp does otherwise: it has experts in every layer, and scales the weights of a token's
/// experts to a sum of 1.
fn check_experts(config: &ModelConfig) -> Result<(), String> {
    match &config.experts {
        Some(experts) if experts.layers.contains(&false) => {
            Err("a mixture of experts with a dense layer".to_owned())
        }
        None => Err("a model of qwen3_moe without experts".to_owned()),
        Some(experts) if !experts.normalised => {
            Err("weights of experts that are not scaled to a sum of 1".to_owned())
        }
        Some(_) => Ok(()),
    }
}

fn experts(config: &ModelConfig) -> Settings {
    let size = |value: usize| Meta::U32(value as u32);
    let experts = config.experts.iter().flat_map(|experts| {
        [
            ("expert_count", size(experts.count)),
            ("expert_used_count", size(experts.chosen)),
            ("expert_feed_forward_length", size(experts.width)),
        ]
    });
    experts.collect()
}
