//! Whole models out: a base in the Hugging Face layout, with an adapter merged in if wanted.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Tensor, TensorData};

use crate::federated::{AdapterLayout, Factor, GlobalAdapter};
use crate::load::{LoadedModel, save_base};
use crate::model::{BaseWeights, layer_name, to_vec};
use crate::{Result, TrainError};

/// Writes `config.json`, `tokenizer.json`, `tokenizer_config.json` and `model.safetensors` to `folder`: the base
/// model, dequantised, with `adapter` merged into it if there is one: W + alpha/rank B A.
///
/// Weights are f32, or f16 when `half`. What is written loads in transformers and in this crate.
pub fn export_model(
    folder: &Path,
    model: &LoadedModel,
    adapter: Option<&GlobalAdapter>,
    half: bool,
) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(TrainError::io(folder))?;
    let mut weights = model.base_weights()?;
    if let Some(adapter) = adapter {
        if *adapter.layout() != AdapterLayout::new(&model.config, &adapter.layout().spec())? {
            return Err(TrainError::Adapter("it was made for another base model".to_owned()));
        }
        merge(&mut weights, adapter);
    }
    save_base(folder, &weights, half)?;
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(TrainError::io(&path))
    };
    write("config.json", format!("{:#}\n", model.config.to_json()))?;
    write("tokenizer.json", model.tokenizer.to_json()?)?;
    let name = |id: Option<u32>| id.and_then(|id| model.tokenizer.token(id));
    let mut settings: BTreeMap<&str, serde_json::Value> = BTreeMap::new();
    settings.insert("tokenizer_class", "PreTrainedTokenizerFast".into());
    settings.insert("add_bos_token", model.tokenizer.bos.is_some().into());
    settings.insert("bos_token", name(model.tokenizer.bos.or(model.config.bos_token_id)).into());
    settings.insert("eos_token", name(model.tokenizer.eos.first().copied()).into());
    settings.insert("chat_template", model.tokenizer.chat_template.clone().into());
    let text = serde_json::to_string_pretty(&settings)
        .map_err(|e| TrainError::format(folder, e.to_string()))?;
    write("tokenizer_config.json", text + "\n")
}

/// Adds alpha/rank B A to every adapted weight.
fn merge(weights: &mut BaseWeights, adapter: &GlobalAdapter) {
    let device = crate::cpu();
    let layout = adapter.layout();
    let scaling = layout.alpha() / layout.rank() as f64;
    for ((module, a), (_, b)) in layout.ranges(Factor::A).zip(layout.ranges(Factor::B)) {
        let matrix = |values: &[f32], shape: [usize; 2]| {
            Tensor::<2>::from_data(TensorData::new(values.to_vec(), shape), &device)
        };
        let a = matrix(&adapter.values(Factor::A)[a], [layout.rank(), module.inputs]);
        let b = matrix(&adapter.values(Factor::B)[b], [module.outputs, layout.rank()]);
        let delta = to_vec(b.matmul(a).mul_scalar(scaling));
        let name = layer_name(module.layer, &format!("{}.weight", module.projection.path()));
        if let Some(tensor) = weights.tensors.get_mut(&name) {
            tensor.values.iter_mut().zip(delta).for_each(|(weight, delta)| *weight += delta);
        }
    }
}
