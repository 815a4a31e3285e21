//! Stretched rotary frequencies in GGUF: `rope.scaling.*`, or a table of divisors (`rope_freqs.weight`), which is how Llama 3's
//! rule is stored.

use super::reader::{GgufFile, Value};
use crate::model::RopeScaling;
use crate::{Result, TrainError};

const TABLE: &str = "rope_freqs.weight";
/// What every Llama 3 was made with, and GGUF files do not repeat.
const LOW_FREQ_FACTOR: f64 = 1.0;
const HIGH_FREQ_FACTOR: f64 = 4.0;
const ORIGINAL_MAX_POSITION: u64 = 8192;

/// The file's scaling; `theta` and `head_dim` are those of its frequencies.
pub(super) fn scaling(
    file: &GgufFile,
    architecture: &str,
    theta: f64,
    head_dim: usize,
) -> Result<Option<RopeScaling>> {
    let get = |name: &str| file.get(&format!("{architecture}.rope.scaling.{name}"));
    if file.tensors.contains_key(TABLE) {
        let original = get("original_context_length").and_then(Value::as_u64);
        return llama3(file, theta, head_dim, original.unwrap_or(ORIGINAL_MAX_POSITION)).map(Some);
    }
    match get("type").and_then(Value::as_str) {
        None | Some("none") => Ok(None),
        Some("linear") => {
            let factor = get("factor").and_then(Value::as_f64).filter(|factor| *factor > 0.0);
            let factor = factor.ok_or_else(|| {
                TrainError::format(&file.path, "linear rope scaling without a positive factor")
            })?;
            Ok(Some(RopeScaling::Linear { factor }))
        }
        Some(other) => {
            Err(TrainError::format(&file.path, format!("rope scaling {other:?} is not supported")))
        }
    }
}

/// Llama 3's rule, if it gives the file's divisors: what `config.json` can say as well.
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
        "its {} divisors are not those of Llama 3's rule for {} frequencies of a context of {original}; \
         other tables are not supported",
        divisors.len(),
        head_dim / 2
    );
    Err(TrainError::tensor(&file.path, TABLE, reason))
}
