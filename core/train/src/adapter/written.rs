//! `adapter_config.json` as PEFT writes it, for adapters of plain LoRA.

use std::collections::{BTreeMap, BTreeSet};

use super::names::{BESIDE_TEXT, ModuleNames};
use super::stored::StoredModule;
use crate::federated::AdapterSpec;

/// The fields that differ from one adapter to another.
pub(super) struct WrittenConfig {
    base_model: String,
    rank: usize,
    alpha: f64,
    rslora: bool,
    target_modules: BTreeSet<String>,
    exclude_modules: Option<&'static str>,
    ranks: BTreeMap<String, usize>,
    alphas: BTreeMap<String, f64>,
}

impl WrittenConfig {
    /// For an adapter with one rank and alpha, and the same projections in every layer.
    pub(super) fn even(spec: &AdapterSpec, base_model: &str, names: ModuleNames) -> Self {
        let targets = spec.target_modules.iter().map(|one| one.name().to_owned());
        Self {
            base_model: base_model.to_owned(),
            rank: spec.rank,
            alpha: spec.alpha,
            rslora: spec.rslora,
            target_modules: targets.collect(),
            exclude_modules: (names != ModuleNames::Text).then_some(BESIDE_TEXT),
            ranks: BTreeMap::new(),
            alphas: BTreeMap::new(),
        }
    }

    /// For any adapter: modules by their full names, and ranks and alphas where they differ from
    /// those of the first.
    pub(super) fn uneven(modules: &[StoredModule], base_model: &str, names: ModuleNames) -> Self {
        let first = modules.first().map_or((1, 1.0), |one| (one.rank, one.alpha));
        let named = || modules.iter().map(|one| (names.spell(&one.name()), one));
        let ranks = named().filter(|(_, one)| one.rank != first.0);
        let alphas = named().filter(|(_, one)| one.alpha != first.1);
        Self {
            base_model: base_model.to_owned(),
            rank: first.0,
            alpha: first.1,
            // The scales of stored modules are plain ones.
            rslora: false,
            target_modules: named().map(|(name, _)| name).collect(),
            exclude_modules: None,
            ranks: ranks.map(|(name, one)| (name, one.rank)).collect(),
            alphas: alphas.map(|(name, one)| (name, one.alpha)).collect(),
        }
    }

    /// The text of the file. Fields that it lacks have PEFT's defaults.
    pub(super) fn to_json(&self) -> String {
        let json = serde_json::json!({
            "alpha_pattern": self.alphas,
            "base_model_name_or_path": self.base_model,
            "bias": "none",
            "exclude_modules": self.exclude_modules,
            "fan_in_fan_out": false,
            "inference_mode": true,
            "init_lora_weights": true,
            "layers_pattern": null,
            "layers_to_transform": null,
            "lora_alpha": whole(self.alpha),
            "lora_dropout": 0.0,
            "modules_to_save": null,
            "peft_type": "LORA",
            "r": self.rank,
            "rank_pattern": self.ranks,
            "target_modules": self.target_modules,
            "task_type": "CAUSAL_LM",
            "use_dora": false,
            "use_rslora": self.rslora,
        });
        format!("{json:#}\n")
    }
}

/// Whole numbers are written without a point, as PEFT writes them.
fn whole(value: f64) -> serde_json::Value {
    match value.fract() == 0.0 && value < 1e15 {
        true => (value as u64).into(),
        false => value.into(),
    }
}
