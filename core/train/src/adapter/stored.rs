//! Checks which factors an adapter's file holds against its configuration.

use std::collections::BTreeMap;
use std::path::Path;

use super::config::PeftConfig;
use super::names::{self, ModuleNames};
use crate::load::SafetensorsSource;
use crate::model::{ModelConfig, Projection, layer_name};
use crate::{Result, TrainError};

const PREFIX: &str = "base_model.model.";
/// More layers than any real model has.
const MAX_LAYERS: usize = 4096;

/// What a file holds: the adapted projections by layer and the path inside it, and how the file
/// names them.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) names: ModuleNames,
    pub(super) modules: Vec<StoredModule>,
}

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
    /// Its module name inside a text model.
    pub(super) fn name(&self) -> String {
        layer_name(self.layer, &self.projection.path())
    }

    /// Names of A and B as PEFT spells them in a checkpoint with these names.
    pub(super) fn peft_names(&self, names: ModuleNames) -> [String; 2] {
        let module = names.spell(&self.name());
        ["lora_A", "lora_B"].map(|factor| format!("{PREFIX}{module}.{factor}.weight"))
    }
}

/// A projection and the tensor names of its factors A and B.
type FactorNames = (Projection, [Option<String>; 2]);

/// The adapted projections of a file. Factors for parts that text does not pass through are left
/// out if they have no effect.
///
/// # Errors
/// A tensor that is not a factor of a projection, a factor without its counterpart, or a rank that
/// differs from the configuration's: by the tensor's name.
pub(super) fn modules(
    source: &SafetensorsSource,
    config: &PeftConfig,
    path: &Path,
) -> Result<Stored> {
    let mut found: BTreeMap<(usize, String), FactorNames> = BTreeMap::new();
    let mut spelled: Option<(ModuleNames, &str)> = None;
    for name in source.names() {
        let bad = |reason: &str| TrainError::tensor(path, name, reason);
        if names::is_beside_text(name) {
            check_without_effect(source, name, path)?;
            continue;
        }
        let Factor { names, layer, projection, which } =
            parse(name).ok_or_else(|| bad(stranger(name)))?;
        if let Some((_, other)) = spelled.filter(|(known, _)| *known != names) {
            return Err(bad(&format!("names its module for another checkpoint than {other}")));
        }
        spelled = Some((names, name));
        let entry = found.entry((layer, projection.path())).or_insert((projection, [None, None]));
        if entry.1[which].replace(name.to_owned()).is_some() {
            return Err(bad("is stored twice, with and without \".default\""));
        }
    }
    let Some((names, _)) = spelled else {
        return Err(TrainError::format(path, "holds no factor of a projection"));
    };
    let mut modules = Vec::with_capacity(found.len());
    for ((layer, _), (projection, tensors)) in found {
        let tensors = both(tensors, path)?;
        let name = names.spell(&layer_name(layer, &projection.path()));
        let (rank, alpha) =
            config.rank_and_alpha(&name).map_err(|reason| TrainError::format(path, reason))?;
        let [a, b] = [source.shape(&tensors[0])?, source.shape(&tensors[1])?];
        for (tensor, shape, found) in [(&tensors[0], &a, a.first()), (&tensors[1], &b, b.get(1))] {
            if shape.len() != 2 || found != Some(&rank) {
                let reason = format!("shape {shape:?}, adapter_config.json gives it rank {rank}");
                return Err(TrainError::tensor(path, tensor, reason));
            }
        }
        modules.push(StoredModule { layer, projection, rank, alpha, tensors });
    }
    Ok(Stored { names, modules })
}

/// # Errors
/// A factor whose counterpart is missing.
fn both(tensors: [Option<String>; 2], path: &Path) -> Result<[String; 2]> {
    match tensors {
        [Some(a), Some(b)] => Ok([a, b]),
        other => {
            let there = other.into_iter().flatten().next().unwrap_or_default();
            let missing = match there.contains("lora_A") {
                true => there.replace("lora_A", "lora_B"),
                false => there.replace("lora_B", "lora_A"),
            };
            let reason = "missing, though the other factor is stored";
            Err(TrainError::tensor(path, &missing, reason))
        }
    }
}

/// # Errors
/// A tensor that changes how images are seen: a B that is not zero, or no factor at all.
fn check_without_effect(source: &SafetensorsSource, name: &str, path: &Path) -> Result<()> {
    let is_factor = |factor: &str| name.split('.').any(|piece| piece == factor);
    let is_zero = is_factor("lora_B") && source.read_any(name)?.1.iter().all(|v| *v == 0.0);
    match is_factor("lora_A") || is_zero {
        true => Ok(()),
        false => {
            let reason = "adapts a part that text does not pass through, and that is not in this \
                          model: leave it out in training (exclude_modules), or use the adapter in \
                          transformers";
            Err(TrainError::tensor(path, name, reason))
        }
    }
}

/// Checks that the file holds exactly the modules that the configuration selects in this model:
/// PEFT would ignore surplus factors and initialise missing ones.
///
/// # Errors
/// A surplus or missing factor, by name.
pub(super) fn check_targets(
    Stored { names, modules }: &Stored,
    config: &PeftConfig,
    model: &ModelConfig,
    path: &Path,
) -> Result<()> {
    let layers = model.layers;
    let is_target = |name: &str| {
        let found = config.is_target(&names.spell(name));
        found.map_err(|reason| TrainError::format(path, reason))
    };
    for name in others(model) {
        if is_target(&name)? {
            let name = names.spell(&name);
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
                    let tensor = format!("{PREFIX}{}.lora_A.weight", names.spell(&name));
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

/// What the name of a factor says.
#[derive(Debug, PartialEq)]
struct Factor {
    names: ModuleNames,
    layer: usize,
    projection: Projection,
    /// 0 for A, 1 for B.
    which: usize,
}

fn parse(name: &str) -> Option<Factor> {
    let inside = name.strip_prefix(PREFIX)?.strip_suffix(".weight")?;
    let inside = inside.strip_suffix(".default").unwrap_or(inside);
    let (module, factor) = inside.rsplit_once('.')?;
    let which = match factor {
        "lora_A" => 0,
        "lora_B" => 1,
        _ => return None,
    };
    let (names, inside) = ModuleNames::of(module)?;
    let (number, path) = inside.split_once('.')?;
    let layer: usize = number.parse().ok().filter(|layer| *layer < MAX_LAYERS)?;
    let projection = Projection::ALL.into_iter().find(|one| one.path() == path)?;
    (layer.to_string() == number).then_some(Factor { names, layer, projection, which })
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
        let factor = |names, which| Some(Factor { names, layer: 3, projection: q, which });
        let text = ModuleNames::Text;
        assert_eq!(parse(&format!("{path}.lora_A.weight")), factor(text, 0));
        assert_eq!(parse(&format!("{path}.lora_B.default.weight")), factor(text, 1));
        let inside = path.replace("model.layers", "model.language_model.layers");
        let both = ModuleNames::Multimodal;
        assert_eq!(parse(&format!("{inside}.lora_B.weight")), factor(both, 1));
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
