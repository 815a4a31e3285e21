//! Checks which factors an adapter's file holds against its configuration.

use std::collections::BTreeMap;
use std::path::Path;

use super::config::PeftConfig;
use crate::load::SafetensorsSource;
use crate::model::{ModelConfig, Projection, layer_name};
use crate::{Result, TrainError};

const PREFIX: &str = "base_model.model.";
/// More layers than any real model has.
const MAX_LAYERS: usize = 4096;

/// The two factors of one projection, and their location.
#[derive(Debug)]
pub(super) struct StoredModule {
    pub(super) layer: usize,
    pub(super) projection: Projection,
    pub(super) rank: usize,
    pub(super) alpha: f64,
    /// Names of A and B as in the file.
    pub(super) tensors: [String; 2],
}

impl StoredModule {
    /// Its module name inside the base model.
    pub(super) fn name(&self) -> String {
        layer_name(self.layer, &self.projection.path())
    }

    /// Names of A and B as PEFT spells them.
    pub(super) fn peft_names(&self) -> [String; 2] {
        ["lora_A", "lora_B"].map(|factor| format!("{PREFIX}{}.{factor}.weight", self.name()))
    }
}

/// A projection and the tensor names of its factors A and B.
type FactorNames = (Projection, [Option<String>; 2]);

/// The adapted projections of a file, by layer and the path inside it.
///
/// # Errors
/// A tensor that is not a factor of a projection, a factor without its counterpart, or a rank that
/// differs from the configuration's: by the tensor's name.
pub(super) fn modules(
    source: &SafetensorsSource,
    config: &PeftConfig,
    path: &Path,
) -> Result<Vec<StoredModule>> {
    let mut found: BTreeMap<(usize, String), FactorNames> = BTreeMap::new();
    for name in source.names() {
        let bad = |reason: &str| TrainError::tensor(path, name, reason);
        let (layer, projection, factor) = parse(name).ok_or_else(|| bad(stranger(name)))?;
        let entry = found.entry((layer, projection.path())).or_insert((projection, [None, None]));
        if entry.1[factor].replace(name.to_owned()).is_some() {
            return Err(bad("is stored twice, with and without \".default\""));
        }
    }
    if found.is_empty() {
        return Err(TrainError::format(path, "holds no tensor"));
    }
    let mut modules = Vec::with_capacity(found.len());
    for ((layer, _), (projection, tensors)) in found {
        let [Some(a), Some(b)] = tensors else {
            let there = tensors.into_iter().flatten().next().unwrap_or_default();
            let missing = match there.contains("lora_A") {
                true => there.replace("lora_A", "lora_B"),
                false => there.replace("lora_B", "lora_A"),
            };
            let reason = "missing, though the other factor is stored";
            return Err(TrainError::tensor(path, &missing, reason));
        };
        let name = layer_name(layer, &projection.path());
        let (rank, alpha) =
            config.rank_and_alpha(&name).map_err(|reason| TrainError::format(path, reason))?;
        let shape = source.shape(&a)?;
        if shape.first() != Some(&rank) {
            let reason = format!("shape {shape:?}, adapter_config.json gives it rank {rank}");
            return Err(TrainError::tensor(path, &a, reason));
        }
        modules.push(StoredModule { layer, projection, rank, alpha, tensors: [a, b] });
    }
    Ok(modules)
}

/// Checks that the file holds exactly the modules that the configuration selects in this model:
/// PEFT would ignore surplus factors and initialise missing ones.
///
/// # Errors
/// A surplus or missing factor, by name.
pub(super) fn check_targets(
    modules: &[StoredModule],
    config: &PeftConfig,
    model: &ModelConfig,
    path: &Path,
) -> Result<()> {
    let layers = model.layers;
    let is_target =
        |name: &str| config.is_target(name).map_err(|reason| TrainError::format(path, reason));
    for name in others(model) {
        if is_target(&name)? {
            let reason = format!("target_modules means {name} too, which gets no adapter here");
            return Err(TrainError::format(path, reason));
        }
    }
    let stored: BTreeMap<String, &StoredModule> =
        modules.iter().map(|module| (module.name(), module)).collect();
    for layer in 0..layers {
        for projection in Projection::of(model) {
            let name = layer_name(layer, &projection.path());
            match (is_target(&name)?, stored.get(&name)) {
                (true, None) => {
                    let tensor = format!("{PREFIX}{name}.lora_A.weight");
                    let reason = "missing, though adapter_config.json means this module";
                    return Err(TrainError::tensor(path, &tensor, reason));
                }
                (false, Some(module)) => {
                    let reason = "is stored, but adapter_config.json does not mean this module";
                    return Err(TrainError::tensor(path, &module.tensors[0], reason));
                }
                _ => {}
            }
        }
    }
    let has = Projection::of(model);
    let beyond =
        |module: &&StoredModule| module.layer >= layers || !has.contains(&module.projection);
    match modules.iter().find(beyond) {
        None => Ok(()),
        Some(module) => {
            let names: Vec<&str> = has.iter().map(|projection| projection.name()).collect();
            let reason = format!("the base model has {layers} layers with {}", names.join(", "));
            Err(TrainError::tensor(path, &module.tensors[0], reason))
        }
    }
}

/// Modules of a decoder that are not projections an adapter can have here.
fn others(model: &ModelConfig) -> impl Iterator<Item = String> {
    const WHOLE: [&str; 7] = [
        "",
        "model",
        "model.embed_tokens",
        "model.layers",
        "model.norm",
        "model.rotary_emb",
        "lm_head",
    ];
    const IN_LAYER: [&str; 9] = [
        "self_attn",
        "self_attn.q_norm",
        "self_attn.k_norm",
        "mlp",
        "mlp.act_fn",
        "input_layernorm",
        "post_attention_layernorm",
        "pre_feedforward_layernorm",
        "post_feedforward_layernorm",
    ];
    const EXPERTS: [&str; 2] = ["mlp.gate", "mlp.experts"];
    let inside = (0..model.layers).flat_map(move |layer| {
        let whole = format!("model.layers.{layer}");
        let sparse = EXPERTS.into_iter().filter(move |_| model.experts_of(layer).is_some());
        let dense = Projection::in_layer(model, layer).iter();
        // In a mixture of experts, the projections of a dense layer get no adapter either.
        let dense = dense.filter(|one| !Projection::of(model).contains(one));
        let names = sparse.map(str::to_owned).chain(dense.map(|one| one.path()));
        let names = names.chain(IN_LAYER.map(str::to_owned));
        std::iter::once(whole).chain(names.map(move |name| layer_name(layer, &name)))
    });
    WHOLE.into_iter().map(str::to_owned).chain(inside)
}

/// Layer, projection, and 0 for A or 1 for B.
fn parse(name: &str) -> Option<(usize, Projection, usize)> {
    let inside = name.strip_prefix(PREFIX)?.strip_suffix(".weight")?;
    let inside = inside.strip_suffix(".default").unwrap_or(inside);
    let (module, factor) = inside.rsplit_once('.')?;
    let factor = match factor {
        "lora_A" => 0,
        "lora_B" => 1,
        _ => return None,
    };
    let (number, path) = module.strip_prefix("model.layers.")?.split_once('.')?;
    let layer: usize = number.parse().ok().filter(|layer| *layer < MAX_LAYERS)?;
    let projection = Projection::ALL.into_iter().find(|one| one.path() == path)?;
    (layer.to_string() == number).then_some((layer, projection, factor))
}

/// What a tensor with an unexpected name may be.
fn stranger(name: &str) -> &'static str {
    if name.contains("lora_magnitude_vector") {
        "belongs to DoRA, which is not supported: merge the adapter in PEFT (merge_and_unload)"
    } else if name.contains("lora_embedding") {
        "adapts the embedding, which is not supported: merge the adapter in PEFT (merge_and_unload)"
    } else if name.contains("lm_head") {
        "adapts the output head, which is not supported: merge the adapter in PEFT (merge_and_unload)"
    } else if name.contains("lora_") {
        "is a factor of a module that this model family does not have, or under a name that is not \
         base_model.model.model.layers.N.<projection>.lora_A|lora_B[.default].weight"
    } else {
        "is no LoRA factor: merge the adapter in PEFT (merge_and_unload)"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_factors() {
        let path = "base_model.model.model.layers.3.self_attn.q_proj";
        let q = Projection::QProj;
        assert_eq!(parse(&format!("{path}.lora_A.weight")), Some((3, q, 0)));
        assert_eq!(parse(&format!("{path}.lora_B.default.weight")), Some((3, q, 1)));
        for other in [
            format!("{path}.lora_A.default.default.weight"),
            format!("{path}.lora_A.other.weight"),
            format!("{path}.lora_A.bias"),
            format!("{path}.base_layer.weight"),
            "base_model.model.model.layers.03.mlp.up_proj.lora_A.weight".to_owned(),
            "base_model.model.model.layers.9999.mlp.up_proj.lora_A.weight".to_owned(),
            "base_model.model.model.layers.0.mlp.q_proj.lora_A.weight".to_owned(),
        ] {
            assert_eq!(parse(&other), None, "{other}");
        }
    }
}
