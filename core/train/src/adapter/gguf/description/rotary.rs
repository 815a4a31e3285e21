//! The rotary embedding in GGUF: metadata, and tables that are stored as tensors.

use super::super::container::Meta;
use crate::model::{Family, ModelConfig, RopeScaling};

/// llama.cpp's settings of YaRN, which the reader expects where a file does not give them.
const BETA_FAST: f64 = 32.0;
const BETA_SLOW: f64 = 1.0;

/// # Errors
/// A scaling that llama.cpp does not have; Llama 3's if the architecture has no `divisors`.
pub(super) fn settings(
    config: &ModelConfig,
    divisors: bool,
) -> Result<Vec<(&'static str, Meta)>, String> {
    let number = |value: f64| Meta::F32(value as f32);
    let position = |value: usize| Meta::U32(value as u32);
    let kind = |name: &str, factor: f64| {
        vec![
            ("rope.scaling.type", Meta::Text(name.to_owned())),
            ("rope.scaling.factor", number(factor)),
        ]
    };
    let scaling = match &config.rope_scaling {
        None => Vec::new(),
        Some(RopeScaling::Linear { factor }) => kind("linear", *factor),
        Some(RopeScaling::Llama3 { original_max_position, .. }) if divisors => {
            vec![("rope.scaling.original_context_length", position(*original_max_position))]
        }
        Some(RopeScaling::Yarn {
            factor,
            attention_factor,
            beta_fast,
            beta_slow,
            original_max_position,
            truncate,
        }) => {
            let usual = if *factor <= 1.0 { 1.0 } else { 0.1 * factor.ln() + 1.0 };
            let own = (attention_factor - usual).abs() > 1e-6
                || [*beta_fast, *beta_slow] != [BETA_FAST, BETA_SLOW];
            if own || !truncate {
                return Err("YaRN with other settings than its usual ones".to_owned());
            }
            let mut settings = kind("yarn", *factor);
            let original = position(*original_max_position);
            settings.push(("rope.scaling.original_context_length", original));
            settings
        }
        Some(RopeScaling::LongRope { attention_factor, original_max_position, .. })
            if config.family == Family::Phi3 =>
        {
            vec![
                ("rope.scaling.attn_factor", number(*attention_factor)),
                ("rope.scaling.original_context_length", position(*original_max_position)),
            ]
        }
        Some(RopeScaling::LongRope { .. }) => return Err(of_family("LongRoPE", config)),
        Some(RopeScaling::Llama3 { .. }) => return Err(of_family("Llama 3's scaling", config)),
        Some(RopeScaling::Dynamic { .. }) => return Err(of_family("dynamic scaling", config)),
    };
    let base = ("rope.freq_base", number(config.rope_theta));
    Ok([base].into_iter().chain(scaling).collect())
}

fn of_family(what: &str, config: &ModelConfig) -> String {
    format!("{what} of the rotary embedding in the family {}", config.family.name())
}

/// Tensors of the rotary embedding, by name: the divisor of each frequency.
pub(in super::super) fn tables(config: &ModelConfig) -> Vec<(&'static str, Vec<f32>)> {
    let single = |factors: &[f64]| factors.iter().map(|factor| *factor as f32).collect();
    match &config.rope_scaling {
        Some(rule @ RopeScaling::Llama3 { .. }) => {
            let dim = config.head_dim;
            let divisor = |j: usize| {
                let frequency = config.rope_theta.powf(-2.0 * j as f64 / dim as f64);
                (frequency / rule.scale(frequency)) as f32
            };
            vec![("rope_freqs.weight", (0..dim / 2).map(divisor).collect())]
        }
        Some(RopeScaling::LongRope { short, long, .. }) => vec![
            ("rope_factors_long.weight", single(long)),
            ("rope_factors_short.weight", single(short)),
        ],
        _ => Vec::new(),
    }
}
