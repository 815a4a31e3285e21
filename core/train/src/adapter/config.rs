//! `adapter_config.json` as PEFT reads and writes it.

use std::path::Path;

use serde::Deserialize;

use crate::federated::AdapterSpec;
use crate::model::Projection;
use crate::{Result, TrainError};

/// The fields we need; others are ignored, except those that would change the result.
#[derive(Deserialize)]
struct RawAdapterConfig {
    peft_type: Option<String>,
    r: usize,
    lora_alpha: f64,
    target_modules: Targets,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    bias: Option<String>,
    modules_to_save: Option<Vec<String>>,
    rank_pattern: Option<serde_json::Map<String, serde_json::Value>>,
    alpha_pattern: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Targets {
    List(Vec<String>),
    Pattern(String),
}

/// The text of an `adapter_config.json` for `spec`.
pub(crate) fn to_json(spec: &AdapterSpec, base_model: &str) -> String {
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

/// Reads an `adapter_config.json`; `path` only appears in errors. Adapters that mean something else
/// than `W + alpha/r B A` are refused.
pub(crate) fn from_json(text: &str, path: &Path) -> Result<AdapterSpec> {
    let bad = |reason: String| TrainError::format(path, reason);
    let raw: RawAdapterConfig = serde_json::from_str(text).map_err(|e| bad(e.to_string()))?;
    if let Some(kind) = raw.peft_type.as_deref().filter(|kind| *kind != "LORA") {
        return Err(bad(format!("peft_type {kind:?} is not supported, only LORA")));
    }
    let unsupported = [
        ("use_rslora", raw.use_rslora),
        ("use_dora", raw.use_dora),
        ("bias", raw.bias.is_some_and(|bias| bias != "none")),
        ("modules_to_save", raw.modules_to_save.is_some_and(|m| !m.is_empty())),
        ("rank_pattern", raw.rank_pattern.is_some_and(|m| !m.is_empty())),
        ("alpha_pattern", raw.alpha_pattern.is_some_and(|m| !m.is_empty())),
    ];
    if let Some((name, _)) = unsupported.iter().find(|(_, set)| *set) {
        return Err(bad(format!("{name} is not supported")));
    }
    let names = match raw.target_modules {
        Targets::List(names) => names,
        Targets::Pattern(name) if name == "all-linear" => {
            Projection::SEPARATE.iter().map(|p| p.name().to_owned()).collect()
        }
        Targets::Pattern(name) => vec![name],
    };
    let mut target_modules = Vec::new();
    for name in names {
        let short = name.rsplit('.').next().unwrap_or_default();
        let projection = Projection::parse(short)
            .ok_or_else(|| bad(format!("target module {name:?} is not a projection")))?;
        if !target_modules.contains(&projection) {
            target_modules.push(projection);
        }
    }
    target_modules.sort();
    Ok(AdapterSpec { rank: raw.r, alpha: raw.lora_alpha, target_modules })
}
