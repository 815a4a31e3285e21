//! `adapter_config.json` as PEFT reads and writes it. Every field is interpreted, without effect on
//! a finished adapter, or refused by name. The fields are those of `LoraConfig` in PEFT 0.21
//! (`peft/tuners/lora/config.py`).

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::ordered::Ordered;
use super::patterns::{Patterns, Targets};
use super::refused;
use crate::federated::AdapterSpec;
use crate::{Result, TrainError};

/// The settings that select the adapted modules, and their ranks and scales.
pub(super) struct PeftConfig {
    rank: usize,
    alpha: f64,
    /// rsLoRA: the scale is alpha / sqrt(rank).
    rank_stabilised: bool,
    ranks: Patterns<usize>,
    alphas: Patterns<f64>,
    targets: Targets,
}

/// A name, a number or a list of them: PEFT accepts any of these.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

#[derive(Deserialize)]
struct RawConfig {
    peft_type: Option<String>,
    r: usize,
    lora_alpha: f64,
    target_modules: Option<OneOrMany<String>>,
    exclude_modules: Option<OneOrMany<String>>,
    layers_to_transform: Option<OneOrMany<usize>>,
    layers_pattern: Option<OneOrMany<String>>,
    #[serde(default)]
    use_rslora: bool,
    rank_pattern: Option<Ordered<usize>>,
    alpha_pattern: Option<Ordered<f64>>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

/// The text of an `adapter_config.json` for `spec`.
pub(super) fn to_json(spec: &AdapterSpec, base_model: &str) -> String {
    let mut names: Vec<&str> = spec.target_modules.iter().map(|p| p.name()).collect();
    names.sort_unstable();
    let json = serde_json::json!({
        "base_model_name_or_path": base_model,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "lora_alpha": spec.alpha,
        "lora_dropout": 0.0,
        "modules_to_save": null,
        "peft_type": "LORA",
        "r": spec.rank,
        "target_modules": names,
        "task_type": "CAUSAL_LM",
        "use_dora": false,
        "use_rslora": false,
    });
    format!("{json:#}\n")
}

/// Reads an `adapter_config.json`; `path` only appears in errors.
///
/// # Errors
/// A field that makes the adapter more than `W + scale B A`, by its name, with advice.
pub(super) fn from_json(text: &str, path: &Path) -> Result<PeftConfig> {
    let raw: RawConfig =
        serde_json::from_str(text).map_err(|e| TrainError::format(path, e.to_string()))?;
    raw.understood().map_err(|reason| TrainError::format(path, reason))
}

impl RawConfig {
    fn understood(self) -> std::result::Result<PeftConfig, String> {
        if let Some(kind) = self.peft_type.as_deref().filter(|kind| *kind != "LORA") {
            return Err(format!("peft_type {kind:?} is not supported, only LORA"));
        }
        for (name, value) in &self.rest {
            refused::check(name, value)?;
        }
        if !(self.lora_alpha.is_finite() && self.lora_alpha > 0.0) {
            return Err(format!("lora_alpha is {}, not a positive number", self.lora_alpha));
        }
        let targets = Targets::new(
            self.target_modules,
            self.exclude_modules,
            self.layers_to_transform,
            self.layers_pattern,
        )?;
        let alphas = self.alpha_pattern.unwrap_or_default().0;
        if let Some((name, alpha)) = alphas.iter().find(|(_, a)| !(a.is_finite() && *a > 0.0)) {
            return Err(format!("alpha_pattern {name:?} is {alpha}, not a positive number"));
        }
        Ok(PeftConfig {
            rank: self.r,
            alpha: self.lora_alpha,
            rank_stabilised: self.use_rslora,
            ranks: Patterns::new("rank_pattern", self.rank_pattern.unwrap_or_default().0)?,
            alphas: Patterns::new("alpha_pattern", alphas)?,
            targets,
        })
    }
}

impl PeftConfig {
    /// Whether the module of this name (without PEFT's prefix) gets an adapter.
    ///
    /// # Errors
    /// A pattern that takes too many steps.
    pub(super) fn is_target(&self, module: &str) -> std::result::Result<bool, String> {
        self.targets.contain(module)
    }

    /// Rank of the module of this name, and the alpha that makes its scale alpha / rank.
    ///
    /// # Errors
    /// A pattern that takes too many steps.
    pub(super) fn rank_and_alpha(&self, module: &str) -> std::result::Result<(usize, f64), String> {
        let rank = self.ranks.of(module)?.unwrap_or(self.rank);
        let alpha = self.alphas.of(module)?.unwrap_or(self.alpha);
        let root = if self.rank_stabilised { (rank as f64).sqrt() } else { 1.0 };
        Ok((rank, alpha * root))
    }
}
