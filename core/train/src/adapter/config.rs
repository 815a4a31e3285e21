//! `adapter_config.json` as PEFT reads it. Every field is interpreted, without effect on
//! a finished adapter, or refused by name. The fields are those of `LoraConfig` in PEFT 0.21
//! (`peft/tuners/lora/config.py`).

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::ordered::Ordered;
use super::patterns::{Patterns, Targets};
use super::refused;
use crate::{Result, TrainError};

/// What PEFT takes where the file has no `r` or `lora_alpha`.
const DEFAULT_RANK: usize = 8;
const DEFAULT_ALPHA: f64 = 8.0;

/// The settings that select the adapted modules, and their ranks and scales.
pub(super) struct PeftConfig {
    /// What the file calls the base model: a path or a name.
    pub(super) base_model: String,
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

/// The fields whose order in the file is significant.
#[derive(Deserialize)]
struct InOrder {
    rank_pattern: Option<Ordered<usize>>,
    alpha_pattern: Option<Ordered<f64>>,
}

/// Reads an `adapter_config.json`; `path` only appears in errors.
///
/// # Errors
/// A field that makes the adapter more than `W + scale B A`, or whose value PEFT does not take
/// either, by its name, with advice.
pub(super) fn from_json(text: &str, path: &Path) -> Result<PeftConfig> {
    let bad = |reason: String| TrainError::format(path, reason);
    let fields: BTreeMap<String, Value> =
        serde_json::from_str(text).map_err(|e| bad(e.to_string()))?;
    let in_order: InOrder = serde_json::from_str(text)
        .map_err(|e| bad(format!("rank_pattern or alpha_pattern cannot be read: {e}")))?;
    understood(Fields(fields), in_order).map_err(bad)
}

/// The fields that have not been read yet, by name.
struct Fields(BTreeMap<String, Value>);

impl Fields {
    /// Takes a field; `None` if it is missing or null. `wanted` says what it should be.
    fn take<T: DeserializeOwned>(
        &mut self,
        name: &str,
        wanted: &str,
    ) -> std::result::Result<Option<T>, String> {
        let Some(value) = self.0.remove(name).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let shown: String = value.to_string().chars().take(60).collect();
        let read = serde_json::from_value(value);
        read.map(Some).map_err(|_| format!("{name} is {shown}, not {wanted}"))
    }
}

fn understood(mut fields: Fields, in_order: InOrder) -> std::result::Result<PeftConfig, String> {
    const NAMES: &str = "a name or a list of names";
    let kind: Option<String> = fields.take("peft_type", "a name")?;
    if let Some(kind) = kind.filter(|kind| kind != "LORA") {
        return Err(format!("peft_type {kind:?} is not supported, only LORA"));
    }
    let rank = fields.take("r", "a whole number above zero")?.unwrap_or(DEFAULT_RANK);
    let alpha = fields.take("lora_alpha", "a positive number")?.unwrap_or(DEFAULT_ALPHA);
    let targets = Targets::new(
        fields.take("target_modules", NAMES)?,
        fields.take("exclude_modules", NAMES)?,
        fields.take("layers_to_transform", "a layer's number or a list of them")?,
        fields.take("layers_pattern", NAMES)?,
    )?;
    let rank_stabilised = fields.take("use_rslora", "true or false")?.unwrap_or(false);
    let base_model = fields.take("base_model_name_or_path", "a text")?.unwrap_or_default();
    for name in ["rank_pattern", "alpha_pattern"] {
        fields.0.remove(name);
    }
    for (name, value) in &fields.0 {
        refused::check(name, value)?;
    }
    let ranks = in_order.rank_pattern.unwrap_or_default().0;
    let alphas = in_order.alpha_pattern.unwrap_or_default().0;
    check_scales(rank, alpha, &ranks, &alphas)?;
    Ok(PeftConfig {
        base_model,
        rank,
        alpha,
        rank_stabilised,
        ranks: Patterns::new("rank_pattern", ranks)?,
        alphas: Patterns::new("alpha_pattern", alphas)?,
        targets,
    })
}

/// # Errors
/// A rank or an alpha that is no positive number.
fn check_scales(
    rank: usize,
    alpha: f64,
    ranks: &[(String, usize)],
    alphas: &[(String, f64)],
) -> std::result::Result<(), String> {
    let is_scale = |alpha: f64| alpha.is_finite() && alpha > 0.0;
    if rank == 0 {
        return Err("r is 0, not a whole number above zero".to_owned());
    }
    if !is_scale(alpha) {
        return Err(format!("lora_alpha is {alpha}, not a positive number"));
    }
    if let Some((name, _)) = ranks.iter().find(|(_, rank)| *rank == 0) {
        return Err(format!("rank_pattern {name:?} is 0, not a whole number above zero"));
    }
    if let Some((name, alpha)) = alphas.iter().find(|(_, alpha)| !is_scale(*alpha)) {
        return Err(format!("alpha_pattern {name:?} is {alpha}, not a positive number"));
    }
    Ok(())
}

impl PeftConfig {
    /// Whether the module of this name in the checkpoint gets an adapter.
    ///
    /// # Errors
    /// A pattern that takes too many steps.
    pub(super) fn is_target(&self, module: &str) -> std::result::Result<bool, String> {
        self.targets.contain(module)
    }

    /// Whether the configuration means the same projections in every layer, however many there are.
    pub(super) fn is_alike_in_every_layer(&self) -> bool {
        self.targets.are_alike_in_every_layer()
    }

    /// The alpha of the file, where it makes a module's plain alpha `plain` by rsLoRA's rule.
    pub(super) fn rslora_alpha(&self, rank: usize, plain: f64) -> Option<f64> {
        let written = self.alpha * (rank as f64).sqrt();
        (self.rank_stabilised && written == plain).then_some(self.alpha)
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
