//! What llama.cpp computes for each architecture, and what it therefore cannot be told
//! (`src/models` of llama.cpp).

use super::super::container::Meta;
use crate::model::{Activation, Family, ModelConfig};

/// Layers of SmolLM3 without rotary embedding: llama.cpp takes every fourth.
const SMOLLM3_INTERVAL: usize = 4;
/// Gemma 3: one layer in six attends to the whole sequence, unless the file says otherwise.
const GEMMA3_PATTERN: usize = 6;
/// Gemma 3 of 27 billion parameters scales its scores by another width.
const GEMMA3_27B_LAYERS: usize = 62;

type Settings = Vec<(&'static str, Meta)>;

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

const ARCHITECTURES: [Architecture; 9] = [
    known(Family::Llama, "llama", [true, true], true),
    known(Family::Mistral, "llama", [true, true], true),
    known(Family::Granite, "granite", [true, true], true),
    known(Family::Qwen2, "qwen2", [true, false], false),
    known(Family::Qwen3, "qwen3", [false, false], false),
    known(Family::SmolLm3, "smollm3", [false, false], false),
    known(Family::Olmo2, "olmo2", [false, false], false),
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
        if matches!(self.family, Family::Phi3 | Family::Olmo2) && !square {
            return Err(format!("heads of another width than hidden_size / heads in {name}"));
        }
        self.check_windows(config)
    }

    fn check_windows(&self, config: &ModelConfig) -> Result<(), String> {
        let windowed = |window: &usize| *window < config.max_position;
        match config.windows.iter().flatten().find(|window| windowed(window)) {
            Some(window) if self.family != Family::Gemma3 => Err(format!(
                "an attention window of {window} tokens, which llama.cpp does not have for {},",
                self.name
            )),
            _ => Ok(()),
        }
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
            Family::Gemma3 => gemma3(config)?,
            _ => Vec::new(),
        })
    }
}

fn gemma3(config: &ModelConfig) -> Result<Settings, String> {
    let Some(window) = config.windows.iter().flatten().next() else {
        return Err("Gemma 3 without attention windows".to_owned());
    };
    let first_whole = config.windows.iter().position(Option::is_none);
    let pattern = first_whole.map_or(config.layers + 1, |layer| layer + 1);
    let fits = |(layer, found): (usize, &Option<usize>)| {
        let wanted = (!(layer + 1).is_multiple_of(pattern)).then_some(*window);
        *found == wanted
    };
    if pattern == 1 || !config.windows.iter().enumerate().all(fits) {
        return Err("attention windows that do not repeat regularly".to_owned());
    }
    let mut settings = vec![("attention.sliding_window", Meta::U32(*window as u32))];
    // With fewer layers than the usual interval, no layer shows that it is another.
    if pattern != GEMMA3_PATTERN && (first_whole.is_some() || config.layers >= GEMMA3_PATTERN) {
        settings.push(("attention.sliding_window_pattern", Meta::U32(pattern as u32)));
    }
    let local = config.local_rope.as_ref();
    if local.is_some_and(|rope| rope.scaling.is_some()) {
        return Err("a stretched rotary embedding in layers with a window".to_owned());
    }
    let theta = local.map_or(config.rope_theta, |rope| rope.theta);
    settings.push(("rope.freq_base_swa", Meta::F32(theta as f32)));
    Ok(settings)
}
