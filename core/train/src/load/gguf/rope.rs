//! Stretched rotary frequencies in GGUF: `rope.scaling.*`, a table of divisors
//! (`rope_freqs.weight`), which is how Llama 3's rule is stored, or the two tables of LongRoPE.

use std::sync::Arc;

use super::reader::{GgufFile, Value};
use crate::model::RopeScaling;
use crate::{Result, TrainError};

const TABLE: &str = "rope_freqs.weight";
const SHORT: &str = "rope_factors_short.weight";
const LONG: &str = "rope_factors_long.weight";
/// Values that all Llama 3 models share and GGUF files do not repeat.
const LOW_FREQ_FACTOR: f64 = 1.0;
const HIGH_FREQ_FACTOR: f64 = 4.0;
const ORIGINAL_MAX_POSITION: u64 = 8192;

/// The rotary scaling of the file; `theta` and `dim` are those of its frequencies.
pub(super) fn scaling(
    file: &GgufFile,
    architecture: &str,
    theta: f64,
    dim: usize,
) -> Result<Option<RopeScaling>> {
    let bad = |reason: String| TrainError::format(&file.path, reason);
    let get = |name: &str| file.get(&format!("{architecture}.rope.scaling.{name}"));
    let original = get("original_context_length").and_then(Value::as_u64);
    if file.tensors.contains_key(TABLE) {
        return llama3(file, theta, dim, original.unwrap_or(ORIGINAL_MAX_POSITION)).map(Some);
    }
    let original = original.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let attention_factor = get("attn_factor").and_then(Value::as_f64);
    if file.tensors.contains_key(SHORT) || file.tensors.contains_key(LONG) {
        let factors = |name: &str| {
            let (_, values) = file.values(name)?;
            Ok::<Arc<[f64]>, TrainError>(values.iter().map(|v| f64::from(*v)).collect())
        };
        return Ok(Some(RopeScaling::LongRope {
            short: factors(SHORT)?,
            long: factors(LONG)?,
            attention_factor: attention_factor.unwrap_or(1.0),
            original_max_position: original
                .ok_or_else(|| bad("rope factors without original_context_length".to_owned()))?,
        }));
    }
    let factor = || {
        let factor = get("factor").and_then(Value::as_f64).filter(|factor| *factor > 0.0);
        factor.ok_or_else(|| bad("rope scaling without a positive factor".to_owned()))
    };
    match get("type").and_then(Value::as_str) {
        None | Some("none") => Ok(None),
        Some("linear") => Ok(Some(RopeScaling::Linear { factor: factor()? })),
        Some("yarn") => {
            let number = |name: &str, default: f64| match get(name) {
                None => Ok(default),
                Some(value) => value.as_f64().ok_or_else(|| format!("{name} is no number")),
            };
            let original = original.ok_or_else(|| "yarn without original_context_length".into());
            let rule = factor()?;
            let rule = original.and_then(|original| yarn(rule, original, number));
            rule.map(Some).map_err(|reason| bad(format!("{architecture}.rope.scaling: {reason}")))
        }
        Some(other) => Err(bad(format!("rope scaling {other:?} is not one of linear, yarn"))),
    }
}

/// YaRN; `number` gives one of its settings, or a default if the file does not have it.
fn yarn(
    factor: f64,
    original_max_position: usize,
    number: impl Fn(&str, f64) -> std::result::Result<f64, String>,
) -> std::result::Result<RopeScaling, String> {
    let attention_factor = if factor <= 1.0 { 1.0 } else { 0.1 * factor.ln() + 1.0 };
    let (beta_fast, beta_slow) = (32.0, 1.0);
    // llama.cpp's converters write what `config.json` says, which is mostly the usual. Of what is
    // not, llama.cpp ignores a part, and what is left has a meaning of its own.
    let usual = [
        ("attn_factor", 1.0),
        ("yarn_attn_factor", attention_factor),
        ("yarn_beta_fast", beta_fast),
        ("yarn_beta_slow", beta_slow),
        ("yarn_ext_factor", 1.0),
        ("yarn_log_multiplier", 0.0),
    ];
    for (name, usual) in usual {
        let value = number(name, usual)?;
        // The file has 32 bits.
        if (value - usual).abs() > 1e-5 {
            return Err(format!("{name} is {value}, and only {usual} is supported"));
        }
    }
    Ok(RopeScaling::Yarn {
        factor,
        attention_factor,
        beta_fast,
        beta_slow,
        original_max_position,
        truncate: true,
    })
}

/// Llama 3's rule, if it reproduces the file's divisors: then `config.json` can express it as well.
fn llama3(file: &GgufFile, theta: f64, head_dim: usize, original: u64) -> Result<RopeScaling> {
    let (_, divisors) = file.values(TABLE)?;
    let rule = RopeScaling::Llama3 {
        factor: divisors.iter().fold(1.0, |largest, d| f64::from(*d).max(largest)),
        low_freq_factor: LOW_FREQ_FACTOR,
        high_freq_factor: HIGH_FREQ_FACTOR,
        original_max_position: usize::try_from(original).unwrap_or(usize::MAX),
    };
    let agrees = |(j, divisor): (usize, &f32)| {
        let frequency = theta.powf(-2.0 * j as f64 / head_dim as f64);
        let expected = frequency / rule.scale(frequency);
        (f64::from(*divisor) - expected).abs() <= 1e-5 * expected
    };
    if divisors.len() == head_dim / 2 && divisors.iter().enumerate().all(agrees) {
        return Ok(rule);
    }
    let reason = format!(
        "its {} divisors are not those of Llama 3's rule for {} frequencies of a context of \
         {original}; \
         other tables are not supported",
        divisors.len(),
        head_dim / 2
    );
    Err(TrainError::tensor(&file.path, TABLE, reason))
}
