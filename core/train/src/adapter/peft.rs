//! Import and export of adapters in the Hugging Face PEFT layout.

mod federation;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::config::{self, PeftConfig};
use super::factors::{AdaptedProjection, LoraAdapter};
use super::names::ModuleNames;
use super::stored::{self, Stored, StoredModule};
use super::written::WrittenConfig;
use crate::federated::{
    AdapterLayout, AdapterSpec, Algorithm, Factor, FederatedSettings, GlobalAdapter, ModuleShape,
};
use crate::load::{SafetensorsSource, write_safetensors};
use crate::model::{ModelConfig, TensorSource};
use crate::{Result, TrainError, Valid};

const CONFIG_FILE: &str = "adapter_config.json";
const WEIGHTS_FILE: &str = "adapter_model.safetensors";
const PICKLE_FILE: &str = "adapter_model.bin";
/// Maximum size of `adapter_config.json` in bytes.
const MAX_CONFIG: u64 = 16 << 20;
/// Maximum number of adapters that a message names.
const MAX_NAMED: usize = 16;

/// Writes `adapter_config.json` and `adapter_model.safetensors` to `folder`, which is created if
/// needed. `base_model` is what PEFT shows as the base model: a path or a name.
pub fn export_peft(folder: &Path, adapter: &GlobalAdapter, base_model: &str) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(TrainError::io(folder))?;
    let layout = adapter.layout();
    let mut tensors = BTreeMap::new();
    let b = adapter.lora_b();
    for (factor, values) in [(Factor::A, adapter.values(Factor::A)), (Factor::B, &*b)] {
        for (module, range) in layout.ranges(factor) {
            let (name, shape) = tensor_of(layout, module, factor);
            tensors.insert(name, (shape.to_vec(), values[range].to_vec()));
        }
    }
    write_safetensors(&folder.join(WEIGHTS_FILE), &tensors)?;
    let path = folder.join(CONFIG_FILE);
    let config = WrittenConfig::even(&layout.spec(), base_model, ModuleNames::Text);
    std::fs::write(&path, config.to_json()).map_err(TrainError::io(&path))
}

/// An adapter read from a PEFT folder. Kinds of adapters that are more than `W + alpha/r B A` are
/// refused.
pub struct PeftAdapter {
    config: PeftConfig,
    /// The file with the weights.
    path: PathBuf,
    source: SafetensorsSource,
    stored: Stored,
}

impl PeftAdapter {
    /// Opens a folder with `adapter_config.json` and `adapter_model.safetensors`.
    ///
    /// # Errors
    /// A missing file; a kind of adapter that is more than `W + alpha/r B A`, by its field; tensors
    /// that do not match the configuration, by name.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(CONFIG_FILE);
        let config = config::from_json(&config_text(folder, &path)?, &path)?;
        let path = folder.join(WEIGHTS_FILE);
        if !path.exists() && folder.join(PICKLE_FILE).exists() {
            let reason = "is a pickle, which can run code and is not read: load it in PEFT and \
                          save_pretrained it, which writes adapter_model.safetensors";
            return Err(TrainError::format(&folder.join(PICKLE_FILE), reason));
        }
        check_is_file(&path)?;
        let source = SafetensorsSource::open_file(&path)?;
        let stored = stored::modules(&source, &config, &path)?;
        Ok(Self { config, path, source, stored })
    }

    /// Rank, alpha and projections of an adapter that has the same in every layer, as
    /// [`export_peft`] writes it.
    ///
    /// # Errors
    /// An adapter with several ranks, alphas or sets of projections; the error says what differs.
    pub fn spec(&self) -> Result<AdapterSpec> {
        const INSTEAD: &str =
            "an exported adapter has one rank, one alpha and the same projections in every layer";
        let config = self.path.with_file_name(CONFIG_FILE);
        let Some(first) = self.stored.modules.first() else {
            return Err(TrainError::format(&config, "adapts no projection"));
        };
        let other = |one: &&StoredModule| (one.rank, one.alpha) != (first.rank, first.alpha);
        if let Some(other) = self.stored.modules.iter().find(other) {
            let shown =
                |m: &StoredModule| format!("{}: rank {}, alpha {}", m.name(), m.rank, m.alpha);
            let reason = format!("{}; {}; {INSTEAD}", shown(first), shown(other));
            return Err(TrainError::format(&config, reason));
        }
        let mut layers: BTreeMap<usize, Vec<_>> = BTreeMap::new();
        for module in &self.stored.modules {
            layers.entry(module.layer).or_default().push(module.projection);
        }
        let wanted = layers.get(&first.layer).cloned().unwrap_or_default();
        for layer in 0..=self.stored.modules.last().map_or(0, |module| module.layer) {
            if layers.get(&layer) != Some(&wanted) {
                let reason =
                    format!("layer {layer} has other projections than layer {}", first.layer);
                return Err(TrainError::format(&config, format!("{reason}; {INSTEAD}")));
            }
        }
        let mut target_modules = wanted;
        target_modules.sort();
        let (rank, alpha) = (first.rank, first.alpha);
        Ok(AdapterSpec { rank, alpha, target_modules, rslora: false })
    }

    /// Whether the adapter has this rank, scale and set of projections in every layer. A scale by
    /// rsLoRA's rule is the agreed one if both files say so.
    ///
    /// # Errors
    /// Those of [`Self::spec`].
    fn has_spec(&self, wanted: &AdapterSpec) -> Result<bool> {
        let plain = self.spec()?;
        let written = self.config.rslora_alpha(plain.rank, plain.alpha);
        let rslora = written.map(|alpha| AdapterSpec { alpha, rslora: true, ..plain.clone() });
        let sorted = |spec: &AdapterSpec| {
            let mut spec = spec.clone();
            spec.target_modules.sort();
            spec
        };
        let wanted = sorted(wanted);
        Ok(sorted(&plain) == wanted || rslora.is_some_and(|spec| sorted(&spec) == wanted))
    }

    /// The adapter for a model, with the rank and scale of each projection.
    ///
    /// # Errors
    /// A tensor that is missing, has the wrong shape, or has a value that is not finite, by name; a
    /// module that the configuration selects and the file lacks, or the reverse.
    pub fn lora(&self, model: &ModelConfig) -> Result<LoraAdapter> {
        stored::check_targets(&self.stored, &self.config, model, &self.path)?;
        let mut projections = Vec::with_capacity(self.stored.modules.len());
        for module in &self.stored.modules {
            let (outputs, inputs) = module.projection.shape(model);
            let [a, b] = &module.tensors;
            projections.push(AdaptedProjection {
                layer: module.layer,
                projection: module.projection,
                rank: module.rank,
                alpha: module.alpha,
                a: Cow::Owned(self.values(a, [module.rank, inputs])?),
                b: Cow::Owned(self.values(b, [outputs, module.rank])?),
            });
        }
        Ok(LoraAdapter { projections })
    }

    /// Checks that this folder is what [`export_peft`] writes of `global`: the same rank, alpha and
    /// projections, and bit-identical tensors.
    ///
    /// # Errors
    /// A difference, by its tensor; a tensor that cannot be read.
    pub fn check_is(&self, global: &GlobalAdapter) -> Result<()> {
        let layout = global.layout();
        if !self.has_spec(&layout.spec())? {
            let reason = "names another rank, alpha or other projections than the recorded adapter";
            return Err(TrainError::format(&self.path.with_file_name(CONFIG_FILE), reason));
        }
        let b = global.lora_b();
        for (factor, values) in [(Factor::A, global.values(Factor::A)), (Factor::B, &*b)] {
            for (module, range) in layout.ranges(factor) {
                let (name, shape) = tensor_of(layout, module, factor);
                let stored = self.source.read(&name, &shape)?;
                let same = values[range].iter().map(|v| v.to_bits());
                if !stored.iter().map(|v| v.to_bits()).eq(same) {
                    let reason = "is not the one of the recorded adapter";
                    return Err(TrainError::tensor(&self.path, &name, reason));
                }
            }
        }
        let (stored, expected) = (self.source.names().count(), 2 * layout.modules().len());
        if stored != expected {
            let reason = format!("{stored} tensors stored, the recorded adapter has {expected}");
            return Err(TrainError::format(&self.path, reason));
        }
        Ok(())
    }

    /// Writes the same adapter under other module names, with values in f32.
    ///
    /// # Errors
    /// A tensor that cannot be read, or an I/O error.
    pub fn export_as(&self, folder: &Path, names: ModuleNames) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(TrainError::io(folder))?;
        let mut tensors = BTreeMap::new();
        for module in &self.stored.modules {
            for (name, stored) in module.peft_names(names).into_iter().zip(&module.tensors) {
                tensors.insert(name, self.source.read_any(stored)?);
            }
        }
        let base_model = &self.config.base_model;
        let config = match self.spec() {
            Ok(spec) if self.config.is_alike_in_every_layer() => {
                WrittenConfig::even(&spec, base_model, names)
            }
            _ => WrittenConfig::uneven(&self.stored.modules, base_model, names),
        };
        write_safetensors(&folder.join(WEIGHTS_FILE), &tensors)?;
        let path = folder.join(CONFIG_FILE);
        std::fs::write(&path, config.to_json()).map_err(TrainError::io(&path))
    }

    fn values(&self, name: &str, shape: [usize; 2]) -> Result<Vec<f32>> {
        let values = self.source.read(name, &shape)?;
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(values),
            false => Err(TrainError::tensor(&self.path, name, "holds a value not finite")),
        }
    }

    /// The result of training `global` for one round in another program: the values of the factors
    /// trained in that round, in the order of [`GlobalAdapter::trained_values`].
    ///
    /// # Errors
    /// What [`Self::global`] refuses; another rank, alpha or set of projections; a factor that is
    /// not trained this round but has changed, by its tensor; an algorithm that trains a factor
    /// that PEFT does not have.
    pub fn round_result(&self, global: &GlobalAdapter, model: &ModelConfig) -> Result<Vec<f32>> {
        let layout = global.layout();
        if global.algorithm() == Algorithm::FedSb {
            let reason = "fed-sb trains a matrix that PEFT does not have";
            return Err(TrainError::Adapter(reason.to_owned()));
        }
        let wanted = layout.spec();
        if !self.has_spec(&wanted)? {
            let found = self.spec()?;
            let reason = format!("describes {found}, the round's adapter is {wanted}");
            return Err(TrainError::format(&self.path.with_file_name(CONFIG_FILE), reason));
        }
        let settings =
            Valid::<FederatedSettings>::default().with(|it| it.adapter = layout.spec())?;
        let result = self.in_shape(layout, model, &settings)?;
        let trained = global.trained_factors();
        for factor in [Factor::A, Factor::B].into_iter().filter(|f| !trained.contains(f)) {
            for (module, range) in layout.ranges(factor) {
                let same = |x: &f32, y: &f32| x.to_bits() == y.to_bits();
                let (before, after) =
                    (&global.values(factor)[range.clone()], &result.values(factor)[range]);
                if !before.iter().zip(after).all(|(x, y)| same(x, y)) {
                    let (name, _) = tensor_of(layout, module, factor);
                    let reason = "is frozen this round and must come back as it was";
                    return Err(TrainError::tensor(&self.path, &name, reason));
                }
            }
        }
        let values = trained.iter().flat_map(|factor| result.values(*factor));
        Ok(values.copied().collect())
    }
}

/// The text of `adapter_config.json`.
fn config_text(folder: &Path, path: &Path) -> Result<String> {
    if !path.exists() && folder.is_dir() {
        let inside = std::fs::read_dir(folder).map_err(TrainError::io(folder))?.flatten();
        let mut adapters: Vec<String> = inside
            .filter(|entry| entry.path().join(CONFIG_FILE).is_file())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .take(MAX_NAMED)
            .collect();
        adapters.sort();
        let reason = match adapters.is_empty() {
            true => "is missing: name a folder that PEFT has saved".to_owned(),
            false => {
                format!("is missing; name one of the adapters inside: {}", adapters.join(", "))
            }
        };
        return Err(TrainError::format(path, reason));
    }
    if check_is_file(path)? > MAX_CONFIG {
        return Err(TrainError::format(path, format!("has more than {MAX_CONFIG} bytes")));
    }
    std::fs::read_to_string(path).map_err(TrainError::io(path))
}

/// The size of a file in bytes.
///
/// # Errors
/// What is no regular file: reading it might never end.
fn check_is_file(path: &Path) -> Result<u64> {
    let found = std::fs::metadata(path).map_err(TrainError::io(path))?;
    match found.is_file() {
        true => Ok(found.len()),
        false => Err(TrainError::format(path, "is no regular file")),
    }
}

/// Reads a PEFT folder; see [`PeftAdapter::global`].
///
/// # Errors
/// Those of [`PeftAdapter::open`] and [`PeftAdapter::global`].
pub fn import_peft(
    folder: &Path,
    model: &ModelConfig,
    settings: &Valid<FederatedSettings>,
) -> Result<GlobalAdapter> {
    PeftAdapter::open(folder)?.global(model, settings)
}

/// Name and shape of a module's factor in the PEFT layout. That layout has no R: it is multiplied
/// into B.
fn tensor_of(layout: &AdapterLayout, module: &ModuleShape, factor: Factor) -> (String, [usize; 2]) {
    let (suffix, shape) = match factor {
        Factor::A => ("lora_A", [layout.rank(), module.inputs]),
        Factor::B | Factor::R => ("lora_B", [module.outputs, layout.rank()]),
    };
    (format!("{}.{suffix}.weight", module.peft_name()), shape)
}
