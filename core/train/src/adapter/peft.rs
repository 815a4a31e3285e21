//! Adapters in and out in the Hugging Face PEFT layout.

use std::collections::BTreeMap;
use std::path::Path;

use super::config;
use crate::federated::{AdapterLayout, Factor, FederatedSettings, GlobalAdapter};
use crate::load::{SafetensorsSource, write_safetensors};
use crate::model::{ModelConfig, TensorSource};
use crate::{Result, TrainError};

const CONFIG_FILE: &str = "adapter_config.json";
const WEIGHTS_FILE: &str = "adapter_model.safetensors";

/// Writes `adapter_config.json` and `adapter_model.safetensors` to `folder`, which is made if needed.
/// `base_model` is what PEFT will show as the base: a path or a name.
pub fn export_peft(folder: &Path, adapter: &GlobalAdapter, base_model: &str) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(TrainError::io(folder))?;
    let layout = adapter.layout();
    let mut tensors = BTreeMap::new();
    for factor in [Factor::A, Factor::B] {
        for (module, range) in layout.ranges(factor) {
            let (suffix, shape) = match factor {
                Factor::A => ("lora_A", vec![layout.rank(), module.inputs]),
                Factor::B => ("lora_B", vec![module.outputs, layout.rank()]),
            };
            let name = format!("{}.{suffix}.weight", module.peft_name());
            tensors.insert(name, (shape, adapter.values(factor)[range].to_vec()));
        }
    }
    write_safetensors(&folder.join(WEIGHTS_FILE), &tensors)?;
    let path = folder.join(CONFIG_FILE);
    let text = config::to_json(&layout.spec(), base_model);
    std::fs::write(&path, text).map_err(TrainError::io(&path))
}

/// Reads a PEFT folder as the common adapter of a federation that has not run yet: `t` is 0 and the
/// settings' adapter is replaced by what the folder says.
///
/// # Errors
/// Kinds of adapter that are more than `W + alpha/r B A`; a missing or misshapen tensor, by name; tensors
/// that no module accounts for.
pub fn import_peft(
    folder: &Path,
    model: &ModelConfig,
    settings: &FederatedSettings,
) -> Result<GlobalAdapter> {
    let path = folder.join(CONFIG_FILE);
    let text = std::fs::read_to_string(&path).map_err(TrainError::io(&path))?;
    let layout = AdapterLayout::new(model, &config::from_json(&text, &path)?)?;
    let weights_path = folder.join(WEIGHTS_FILE);
    let source = SafetensorsSource::open_file(&weights_path)?;
    let mut read = 0;
    let mut factor = |factor: Factor, suffix: &str| {
        let mut values = Vec::with_capacity(layout.len(factor));
        for module in layout.modules() {
            let name = format!("{}.{suffix}.weight", module.peft_name());
            let shape = match factor {
                Factor::A => [layout.rank(), module.inputs],
                Factor::B => [module.outputs, layout.rank()],
            };
            let tensor = source.read(&name, &shape)?;
            if tensor.iter().any(|value| !value.is_finite()) {
                return Err(TrainError::tensor(&weights_path, &name, "holds a value not finite"));
            }
            values.extend(tensor);
            read += 1;
        }
        Ok(values)
    };
    let (a, b) = (factor(Factor::A, "lora_A")?, factor(Factor::B, "lora_B")?);
    let stored = source.names().count();
    if stored != read {
        let reason = format!("{stored} tensors stored, {read} expected by {CONFIG_FILE}");
        return Err(TrainError::format(&weights_path, reason));
    }
    Ok(GlobalAdapter::from_values(layout, settings, a, b))
}
