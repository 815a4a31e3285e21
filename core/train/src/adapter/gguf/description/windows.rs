//! Attention windows in GGUF: which llama.cpp has, and the metadata that say them.

use super::super::container::Meta;
use super::family::Settings;
use crate::model::{Family, ModelConfig};

/// Gemma 3: one layer in six attends to the whole sequence, unless the file says otherwise.
const GEMMA3_PATTERN: usize = 6;
/// OLMo 3: one layer in four does.
const OLMO3_PATTERN: usize = 4;

/// # Errors
/// A window in a family that has none in llama.cpp; `name` is its architecture.
pub(super) fn check(config: &ModelConfig, name: &str) -> Result<(), String> {
    let windowed = |window: &usize| *window < config.max_position;
    let known = matches!(config.family, Family::Gemma3 | Family::Olmo3);
    match config.windows.iter().flatten().find(|window| windowed(window)) {
        Some(window) if !known => Err(format!(
            "an attention window of {window} tokens, which llama.cpp does not have for {name},"
        )),
        _ => Ok(()),
    }
}

/// # Errors
/// Windows that do not repeat regularly, and a rotary embedding that llama.cpp does not have.
pub(super) fn gemma3(config: &ModelConfig) -> Result<Settings, String> {
    let Some(window) = config.windows.iter().flatten().next() else {
        return Err("Gemma 3 without attention windows".to_owned());
    };
    let first_whole = config.windows.iter().position(Option::is_none);
    let pattern = first_whole.map_or(config.layers + 1, |layer| layer + 1);
    if pattern == 1 || !every(config, *window, pattern) {
        return Err("attention windows that do not repeat regularly".to_owned());
    }
    let mut settings = vec![("attention.sliding_window", Meta::U32(*window as u32))];
    // With fewer layers than the usual interval, no layer shows that it is another.
    if pattern != GEMMA3_PATTERN && (first_whole.is_some() || config.layers >= GEMMA3_PATTERN) {
        settings.push(("attention.sliding_window_pattern", Meta::U32(pattern as u32)));
    }
    let theta = local_theta(config)?;
    settings.push(("rope.freq_base_swa", Meta::F32(theta as f32)));
    Ok(settings)
}

/// OLMo 3 is OLMo 2 with windows. llama.cpp has them in three of four layers, and rotates those at
/// the base of the others. Without any window, the file is that of an OLMo 2, which computes the
/// same.
///
/// # Errors
/// Other windows, and a rotary base of their own.
pub(super) fn olmo3(config: &ModelConfig) -> Result<Settings, String> {
    let Some(window) = config.windows.iter().flatten().next() else { return Ok(Vec::new()) };
    if !every(config, *window, OLMO3_PATTERN) {
        return Err("attention windows in other layers than three of four of OLMo 3".to_owned());
    }
    if local_theta(config)? != config.rope_theta {
        return Err("another rotary base in the layers of OLMo 3 with a window".to_owned());
    }
    Ok(vec![("attention.sliding_window", Meta::U32(*window as u32))])
}

/// Whether all layers but every `pattern`th have this window.
fn every(config: &ModelConfig, window: usize, pattern: usize) -> bool {
    let wanted =
        (1..=config.layers).map(|layer| (!layer.is_multiple_of(pattern)).then_some(window));
    config.windows.iter().copied().eq(wanted)
}

/// The base of the rotary embedding in layers with a window.
fn local_theta(config: &ModelConfig) -> Result<f64, String> {
    match &config.local_rope {
        Some(rope) if rope.scaling.is_some() => {
            Err("a stretched rotary embedding in layers with a window".to_owned())
        }
        local => Ok(local.as_ref().map_or(config.rope_theta, |rope| rope.theta)),
    }
}
