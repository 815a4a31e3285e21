//! Checks the tensors of a folder's files against its configuration. transformers drops tensors
//! that the configuration does not provide for, and initialises missing ones, with only a line in
//! its log; here, neither happens to a tensor that matters.

use std::collections::BTreeSet;

use super::names::FolderSource;
use super::packed;
use crate::model::{ModelConfig, TensorSource, layer_name, parameter_shapes};
use crate::{Result, TrainError, Valid};

const HEAD: &str = "lm_head.weight";
const EMBEDDING: &str = "model.embed_tokens.weight";
/// Name suffixes of tensors that older files store although they follow from the configuration.
const DERIVED: [&str; 4] =
    [".rotary_emb.inv_freq", ".rotary_emb.cos_cached", ".rotary_emb.sin_cached", ".masked_bias"];
/// The configuration with what the stored tensors decide (the head and the biases), and what users
/// of the model should know. Refuses tensors that the model has no use for.
///
/// # Errors
/// A head that is neither stored nor tied to the embedding; a tensor that the model would not use,
/// by its name.
pub(super) fn settle(
    config: &Valid<ModelConfig>,
    weights: &FolderSource,
) -> Result<(Valid<ModelConfig>, Option<String>)> {
    let tied_head = is_head_tied(config, weights)?;
    // transformers creates a bias of zeros where the configuration announces one and no file has
    // it.
    let stored = |path: &str| weights.contains(&layer_name(0, &format!("{path}.bias")));
    let config = config.with(|config| {
        config.tied_head = tied_head;
        config.qkv_bias &= stored("self_attn.q_proj");
        config.output_bias &= stored("self_attn.o_proj");
        config.mlp_bias &= stored("mlp.gate_proj");
    });
    let config = config.map_err(|reason| TrainError::format(weights.path(), reason))?;
    refuse_others(&config, weights)?;
    let unused = weights.stored_names().filter(|name| weights.is_vision(name)).count();
    let warning = (unused > 0).then(|| {
        format!(
            "{} is a model that also sees: only its text model is used, and {unused} tensors of \
             vision_tower and multi_modal_projector are left out",
            weights.path().display()
        )
    });
    Ok((config, warning))
}

/// As in transformers: a stored head that differs from the embedding is the head, whatever
/// `tie_word_embeddings` says.
fn is_head_tied(config: &ModelConfig, weights: &FolderSource) -> Result<bool> {
    let stored = weights.contains(HEAD);
    if !config.tied_head && !stored {
        let reason = "missing, and tie_word_embeddings is not true in config.json: transformers \
        would make a head of \
                      random numbers. If the embedding is the head, set it to true";
        return Err(TrainError::tensor(weights.path(), HEAD, reason));
    }
    match config.tied_head && stored && weights.contains(EMBEDDING) {
        true => weights.same(EMBEDDING, HEAD),
        false => Ok(config.tied_head),
    }
}

fn refuse_others(config: &ModelConfig, weights: &FolderSource) -> Result<()> {
    let names = parameter_shapes(config).into_iter().map(|(name, _)| name);
    let names = names.chain(config.tied_head.then(|| HEAD.to_owned()));
    let places: BTreeSet<String> =
        names.filter_map(|name| weights.place(&name)).map(|place| place.stored).collect();
    let other = weights.stored_names().find(|name| {
        let derived = DERIVED.iter().any(|ending| name.ends_with(ending));
        let packed = packed::weight_of(name).is_some_and(|weight| places.contains(weight));
        !places.contains(*name) && !derived && !packed && !weights.is_vision(name)
    });
    match other {
        None => Ok(()),
        Some(name) => {
            Err(TrainError::tensor(weights.stored_file(name), name, why_not(config, name)))
        }
    }
}

fn why_not(config: &ModelConfig, name: &str) -> String {
    let family = config.family.name();
    match name.strip_suffix(".bias").map(|path| path.rsplit('.').next().unwrap_or(path)) {
        Some(projection) => format!(
            "is stored, and config.json gives {projection} of {family} no bias: transformers \
             would leave it out. Set \
             attention_bias or mlp_bias, if {family} has it, or take another model_type"
        ),
        None => format!(
            "is stored, and the {} layers of {family} that config.json describes have no place \
             for it: transformers would \
             leave it out. Mend config.json, or remove the tensor",
            config.layers
        ),
    }
}
