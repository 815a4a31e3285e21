//! Export of whole models: a base in the Hugging Face layout, optionally with an adapter merged in.

use std::collections::BTreeMap;
use std::path::Path;

use burn_tensor::{Tensor, TensorData};

use super::factors::{AdaptedProjection, Adapter, check_fits};
use crate::load::{GgufFile, GgufValue, LoadedModel, Precision, SafetensorsWriter};
use crate::model::{Family, ModelConfig, layer_name, parameter_shapes, to_vec};
use crate::{Result, TrainError};

/// Files of a Hugging Face folder besides the weights that a merge leaves unchanged.
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

/// Writes a Hugging Face folder: the base model, dequantised, with `adapter` merged into it if
/// there is one: W + alpha/rank B A, computed in f32 and rounded once. Memory holds one weight at a
/// time.
///
/// A base that is itself such a folder keeps its configuration, tokenizer and template files; from
/// GGUF they are generated. The result loads in transformers and in this crate.
///
/// # Errors
/// An adapter for another model; a value that `precision` cannot hold, by its tensor; an I/O error.
pub fn export_model(
    folder: &Path,
    model: &LoadedModel,
    adapter: Option<&dyn Adapter>,
    precision: Precision,
) -> Result<()> {
    let base = model.weights.path();
    if same_folder(base, folder) {
        let reason = "this folder holds the base model; name another one";
        return Err(TrainError::format(folder, reason));
    }
    let mut deltas = Deltas::new(adapter, &model.config)?;
    if !base.is_dir() {
        check_sayable(&model.config, base)?;
    }
    std::fs::create_dir_all(folder).map_err(TrainError::io(folder))?;
    let shapes = parameter_shapes(&model.config);
    let path = folder.join("model.safetensors");
    let mut writer = SafetensorsWriter::create(&path, &shapes, precision)?;
    for (name, shape) in &shapes {
        let mut values = model.weights.read(name, shape)?;
        if let Some(delta) = deltas.of(name) {
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

/// alpha/rank B A of each adapted weight, by the weight's name.
pub(super) struct Deltas<'a> {
    projections: BTreeMap<String, (AdaptedProjection<'a>, (usize, usize))>,
}

impl<'a> Deltas<'a> {
    /// # Errors
    /// An adapter for another model.
    pub(super) fn new(adapter: Option<&'a dyn Adapter>, config: &ModelConfig) -> Result<Self> {
        let projections = adapter.map(Adapter::projections).unwrap_or_default();
        check_fits(&projections, config)?;
        let named = projections.into_iter().map(|one| {
            let name = layer_name(one.layer, &format!("{}.weight", one.projection.path()));
            let shape = one.projection.shape(config);
            (name, (one, shape))
        });
        Ok(Self { projections: named.collect() })
    }

    pub(super) fn of(&mut self, name: &str) -> Option<Vec<f32>> {
        let (one, (outputs, inputs)) = self.projections.remove(name)?;
        let device = crate::cpu();
        let matrix = |values: &[f32], shape: [usize; 2]| {
            Tensor::<2>::from_data(TensorData::new(values.to_vec(), shape), &device)
        };
        let (a, b) = (matrix(&one.a, [one.rank, inputs]), matrix(&one.b, [outputs, one.rank]));
        Some(to_vec(b.matmul(a).mul_scalar(one.scale())))
    }
}

/// For a base in a folder: copies its files and records the type of the weights.
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
    if model.config.multimodal {
        // Only its text model is written.
        config = model.config.to_json();
    }
    // Newer files say "dtype", older ones "torch_dtype".
    let key = if config.get("dtype").is_some() { "dtype" } else { "torch_dtype" };
    config[key] = precision.torch_name().into();
    config["tie_word_embeddings"] = model.config.tied_head.into();
    // The weights are written unpacked.
    if let Some(fields) = config.as_object_mut() {
        fields.remove("quantization_config");
    }
    write(folder, "config.json", &config)
}

/// For a base in a GGUF file: generates the files from what was read.
fn make_companions(folder: &Path, model: &LoadedModel, precision: Precision) -> Result<()> {
    let tokenizer = &model.tokenizer;
    let pad = GgufFile::open(model.weights.path())?
        .get("tokenizer.ggml.padding_token_id")
        .and_then(GgufValue::as_u64)
        .and_then(|id| u32::try_from(id).ok());
    let bos = tokenizer.bos.or(model.config.bos_token_id);
    let mut config = model.config.to_json();
    config["torch_dtype"] = precision.torch_name().into();
    config["pad_token_id"] = pad.into();
    write(folder, "config.json", &config)?;
    let mut json: serde_json::Value = serde_json::from_str(&tokenizer.to_json()?)
        .map_err(|e| TrainError::Tokenizer(e.to_string()))?;
    let name = |id: Option<u32>| id.and_then(|id| tokenizer.token(id));
    if let (Some(id), Some(token)) = (tokenizer.bos, name(tokenizer.bos)) {
        json["post_processor"] = first_token(id, &token);
    }
    write(folder, "tokenizer.json", &json)?;
    let settings = serde_json::json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": tokenizer.bos.is_some(),
        "bos_token": name(bos),
        "eos_token": name(tokenizer.eos.first().copied()),
        "pad_token": name(pad),
        "model_max_length": model.config.max_position,
        "clean_up_tokenization_spaces": false,
        "chat_template": tokenizer.chat_template,
    });
    write(folder, "tokenizer_config.json", &settings)?;
    let generation = serde_json::json!({
        "bos_token_id": bos, "eos_token_id": tokenizer.eos, "pad_token_id": pad,
    });
    write(folder, "generation_config.json", &generation)
}

/// The post-processor that puts a token before every text: in transformers it alone decides that.
fn first_token(id: u32, token: &str) -> serde_json::Value {
    let (special, text) = (
        serde_json::json!({"SpecialToken": {"id": token, "type_id": 0}}),
        |sequence: &str| serde_json::json!({"Sequence": {"id": sequence, "type_id": 0}}),
    );
    serde_json::json!({
        "type": "TemplateProcessing",
        "single": [special, text("A")],
        "pair": [special, text("A"), special, text("B")],
        "special_tokens": {token: {"id": token, "ids": [id], "tokens": [token]}},
    })
}

/// Checks that the `config.json` of the model's family can express its biases and windows.
fn check_sayable(config: &ModelConfig, path: &Path) -> Result<()> {
    let [qkv, output, mlp] = [config.qkv_bias, config.output_bias, config.mlp_bias];
    let (biases, windows) = match config.family {
        Family::Llama => (qkv == output, false),
        Family::Mistral => (!qkv && !output && !mlp, true),
        Family::Qwen2 => (qkv && !output && !mlp, true),
        Family::Qwen3 => (qkv == output && !mlp, true),
        _ => (true, true),
    };
    let windowed = config.windows.iter().any(Option::is_some);
    let what = match (biases, windows || !windowed) {
        (false, _) => "these biases",
        (_, false) => "an attention window",
        _ => return Ok(()),
    };
    let family = config.family.name();
    let reason = format!("config.json of the family {family} cannot say {what}: use --format gguf");
    Err(TrainError::format(path, reason))
}

fn write(folder: &Path, name: &str, json: &serde_json::Value) -> Result<()> {
    let path = folder.join(name);
    std::fs::write(&path, format!("{json:#}\n")).map_err(TrainError::io(&path))
}
