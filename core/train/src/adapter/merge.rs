//! Whole models out: a base in the Hugging Face layout, with an adapter merged in if wanted.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use burn_tensor::{Tensor, TensorData};

use crate::federated::{AdapterLayout, Factor, GlobalAdapter};
use crate::load::{LoadedModel, Precision, SafetensorsWriter};
use crate::model::{layer_name, parameter_shapes, to_vec};
use crate::{Result, TrainError};

/// What stands beside the weights in a Hugging Face folder and is the same after a merge.
const COMPANIONS: [&str; 10] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "generation_config.json",
    "chat_template.jinja",
    "chat_template.json",
];

/// Writes a Hugging Face folder: the base model, dequantised, with `adapter` merged into it if there is one:
/// W + alpha/rank B A, computed in f32, rounded once. Memory holds one weight at a time.
///
/// A base that is such a folder itself keeps its configuration, tokenizer and template files as they are; from GGUF
/// they are made. What is written loads in transformers and in this crate.
///
/// # Errors
/// An adapter for another model; a value that `precision` cannot hold, by its tensor; what the disk says.
pub fn export_model(
    folder: &Path,
    model: &LoadedModel,
    adapter: Option<&GlobalAdapter>,
    precision: Precision,
) -> Result<()> {
    let base = model.weights.path();
    if same_folder(base, folder) {
        let reason = "this folder holds the base model; name another one";
        return Err(TrainError::format(folder, reason));
    }
    if let Some(adapter) = adapter
        && *adapter.layout() != AdapterLayout::new(&model.config, &adapter.layout().spec())?
    {
        return Err(TrainError::Adapter("it was made for another base model".to_owned()));
    }
    std::fs::create_dir_all(folder).map_err(TrainError::io(folder))?;
    let mut deltas = adapter.map(Deltas::new);
    let shapes = parameter_shapes(&model.config);
    let path = folder.join("model.safetensors");
    let mut writer = SafetensorsWriter::create(&path, &shapes, precision)?;
    for (name, shape) in &shapes {
        let mut values = model.weights.read(name, shape)?;
        if let Some(delta) = deltas.as_mut().and_then(|deltas| deltas.of(name)) {
            values.iter_mut().zip(delta).for_each(|(weight, delta)| *weight += delta);
        }
        writer.write(name, &values)?;
    }
    writer.finish()?;
    match base.is_dir() {
        true => copy_companions(base, folder, model, precision),
        false => make_companions(folder, model, precision),
    }
}

fn same_folder(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    real(one).is_some() && real(one) == real(other)
}

/// alpha/rank B A for each adapted weight.
struct Deltas<'a> {
    adapter: &'a GlobalAdapter,
    b: Cow<'a, [f32]>,
    /// For each weight's name: its module's position in the layout.
    modules: BTreeMap<String, usize>,
}

impl<'a> Deltas<'a> {
    fn new(adapter: &'a GlobalAdapter) -> Self {
        let modules = adapter.layout().modules().iter().enumerate();
        let name = |m: &crate::federated::ModuleShape| {
            layer_name(m.layer, &format!("{}.weight", m.projection.path()))
        };
        Self {
            adapter,
            b: adapter.lora_b(),
            modules: modules.map(|(at, module)| (name(module), at)).collect(),
        }
    }

    fn of(&mut self, name: &str) -> Option<Vec<f32>> {
        let at = self.modules.remove(name)?;
        let layout = self.adapter.layout();
        let (module, a) = layout.ranges(Factor::A).nth(at)?;
        let (_, b) = layout.ranges(Factor::B).nth(at)?;
        let device = crate::cpu();
        let matrix = |values: &[f32], shape: [usize; 2]| {
            Tensor::<2>::from_data(TensorData::new(values.to_vec(), shape), &device)
        };
        let a = matrix(&self.adapter.values(Factor::A)[a], [layout.rank(), module.inputs]);
        let b = matrix(&self.b[b], [module.outputs, layout.rank()]);
        Some(to_vec(b.matmul(a).mul_scalar(layout.alpha() / layout.rank() as f64)))
    }
}

/// A base from a folder: its own files, with the type of the weights noted.
fn copy_companions(
    base: &Path,
    folder: &Path,
    model: &LoadedModel,
    precision: Precision,
) -> Result<()> {
    for name in COMPANIONS {
        let (from, to) = (base.join(name), folder.join(name));
        if from.exists() {
            std::fs::copy(&from, &to).map_err(TrainError::io(&to))?;
        }
    }
    let path = base.join("config.json");
    let text = std::fs::read_to_string(&path).map_err(TrainError::io(&path))?;
    let mut config: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| TrainError::format(&path, e.to_string()))?;
    // Newer files say "dtype", older ones "torch_dtype".
    let key = if config.get("dtype").is_some() { "dtype" } else { "torch_dtype" };
    config[key] = precision.torch_name().into();
    config["tie_word_embeddings"] = model.config.tied_head.into();
    write(folder, "config.json", &config)
}

/// A base from elsewhere: files made from what was read.
fn make_companions(folder: &Path, model: &LoadedModel, precision: Precision) -> Result<()> {
    let mut config = model.config.to_json();
    config["torch_dtype"] = precision.torch_name().into();
    write(folder, "config.json", &config)?;
    let path = folder.join("tokenizer.json");
    std::fs::write(&path, model.tokenizer.to_json()?).map_err(TrainError::io(&path))?;
    let name = |id: Option<u32>| id.and_then(|id| model.tokenizer.token(id));
    let settings = serde_json::json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": model.tokenizer.bos.is_some(),
        "bos_token": name(model.tokenizer.bos.or(model.config.bos_token_id)),
        "eos_token": name(model.tokenizer.eos.first().copied()),
        "chat_template": model.tokenizer.chat_template,
    });
    write(folder, "tokenizer_config.json", &settings)
}

fn write(folder: &Path, name: &str, json: &serde_json::Value) -> Result<()> {
    let path = folder.join(name);
    std::fs::write(&path, format!("{json:#}\n")).map_err(TrainError::io(&path))
}
