//! Import and export of adapters in the Hugging Face PEFT layout.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::config::{self, PeftConfig};
use super::factors::{AdaptedProjection, LoraAdapter};
use super::stored::{self, StoredModule};
use crate::federated::{
    AdapterLayout, AdapterSpec, Algorithm, Factor, FederatedSettings, GlobalAdapter, ModuleShape,
};
use crate::load::{SafetensorsSource, write_safetensors};
use crate::model::{ModelConfig, TensorSource};
use crate::{Result, TrainError};

const CONFIG_FILE: &str = "adapter_config.json";
const WEIGHTS_FILE: &str = "adapter_model.safetensors";
const PICKLE_FILE: &str = "adapter_model.bin";

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
    let text = config::to_json(&layout.spec(), base_model);
    std::fs::write(&path, text).map_err(TrainError::io(&path))
}

/// An adapter read from a PEFT folder. Kinds of adapters that are more than `W + alpha/r B A` are
/// refused.
pub struct PeftAdapter {
    config: PeftConfig,
    /// The file with the weights.
    path: PathBuf,
    source: SafetensorsSource,
    /// The adapted projections, by layer and the path inside it.
    modules: Vec<StoredModule>,
}

impl PeftAdapter {
    /// Opens a folder with `adapter_config.json` and `adapter_model.safetensors`.
    ///
    /// # Errors
    /// A missing file; a kind of adapter that is more than `W + alpha/r B A`, by its field; tensors
    /// that do not match the configuration, by name.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(CONFIG_FILE);
        let text = std::fs::read_to_string(&path).map_err(TrainError::io(&path))?;
        let config = config::from_json(&text, &path)?;
        let path = folder.join(WEIGHTS_FILE);
        if !path.exists() && folder.join(PICKLE_FILE).exists() {
            let reason = "is a pickle, which can run code and is not read: load it in PEFT and \
                          save_pretrained it, which writes adapter_model.safetensors";
            return Err(TrainError::format(&folder.join(PICKLE_FILE), reason));
        }
        let source = SafetensorsSource::open_file(&path)?;
        let modules = stored::modules(&source, &config, &path)?;
        Ok(Self { config, path, source, modules })
    }

    /// Rank, alpha and projections in a federation's form: the same for every layer.
    ///
    /// # Errors
    /// An adapter with several ranks, alphas or sets of projections; the error says what differs.
    pub fn spec(&self) -> Result<AdapterSpec> {
        const INSTEAD: &str = "a federation's adapter has one rank, one alpha and the same projections in every \
                               layer: merge this one into the base model instead, or start without it";
        let config = self.path.with_file_name(CONFIG_FILE);
        let Some(first) = self.modules.first() else {
            return Err(TrainError::format(&config, "adapts no projection"));
        };
        let other = |one: &&StoredModule| (one.rank, one.alpha) != (first.rank, first.alpha);
        if let Some(other) = self.modules.iter().find(other) {
            let shown =
                |m: &StoredModule| format!("{}: rank {}, alpha {}", m.name(), m.rank, m.alpha);
            let reason = format!("{}; {}; {INSTEAD}", shown(first), shown(other));
            return Err(TrainError::format(&config, reason));
        }
        let mut layers: BTreeMap<usize, Vec<_>> = BTreeMap::new();
        for module in &self.modules {
            layers.entry(module.layer).or_default().push(module.projection);
        }
        let wanted = layers.get(&first.layer).cloned().unwrap_or_default();
        for layer in 0..=self.modules.last().map_or(0, |module| module.layer) {
            if layers.get(&layer) != Some(&wanted) {
                let reason =
                    format!("layer {layer} has other projections than layer {}", first.layer);
                return Err(TrainError::format(&config, format!("{reason}; {INSTEAD}")));
            }
        }
        let mut target_modules = wanted;
        target_modules.sort();
        Ok(AdapterSpec { rank: first.rank, alpha: first.alpha, target_modules })
    }

    /// Digest of what the adapter computes, independent of everything else in its files: BLAKE3
    /// over rank, alpha, and the name, shape and f32 values of every tensor in the order of their
    /// names.
    ///
    /// # Errors
    /// A tensor that cannot be read; what [`Self::spec`] refuses.
    pub fn digest(&self) -> Result<[u8; 32]> {
        let spec = self.spec()?;
        let mut hasher = blake3::Hasher::new_derive_key("fedshield-train v1 first adapter");
        hasher.update(&(spec.rank as u64).to_le_bytes());
        hasher.update(&spec.alpha.to_bits().to_le_bytes());
        let names =
            self.modules.iter().flat_map(|one| one.peft_names().into_iter().zip(&one.tensors));
        let names: BTreeMap<String, &String> = names.collect();
        for (name, stored) in names {
            let (shape, values) = self.source.read_any(stored)?;
            hasher.update(&(name.len() as u64).to_le_bytes());
            hasher.update(name.as_bytes());
            hasher.update(&(shape.len() as u64).to_le_bytes());
            for length in shape {
                hasher.update(&(length as u64).to_le_bytes());
            }
            for value in values {
                hasher.update(&value.to_bits().to_le_bytes());
            }
        }
        Ok(*hasher.finalize().as_bytes())
    }

    /// The adapter for a model, with the rank and scale of each projection.
    ///
    /// # Errors
    /// A tensor that is missing, has the wrong shape, or has a value that is not finite, by name; a
    /// module that the configuration selects and the file lacks, or the reverse.
    pub fn lora(&self, model: &ModelConfig) -> Result<LoraAdapter> {
        stored::check_targets(&self.modules, &self.config, model, &self.path)?;
        let mut projections = Vec::with_capacity(self.modules.len());
        for module in &self.modules {
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

    /// The adapter as the global adapter of a new federation: no round has been applied, and all
    /// scores are zero.
    ///
    /// # Errors
    /// What [`Self::lora`] and [`Self::spec`] refuse.
    pub fn global(
        &self,
        model: &ModelConfig,
        settings: &FederatedSettings,
    ) -> Result<GlobalAdapter> {
        let layout = AdapterLayout::new(model, &self.spec()?)?;
        let lora = self.lora(model)?;
        let (mut a, mut b) = (Vec::new(), Vec::new());
        let mut read = lora.projections.iter();
        for module in layout.modules() {
            let place = (module.layer, module.projection);
            let Some(one) = read.next().filter(|one| (one.layer, one.projection) == place) else {
                let (name, _) = tensor_of(&layout, module, Factor::A);
                let reason =
                    "missing: a federation's adapter has the same projections in every layer";
                return Err(TrainError::tensor(&self.path, &name, reason));
            };
            a.extend_from_slice(&one.a);
            b.extend_from_slice(&one.b);
        }
        if settings.algorithm == Algorithm::FedSb {
            self.check_not_zero(&layout, &b)?;
        }
        Ok(GlobalAdapter::from_values(layout, settings, a, b))
    }

    /// Checks that this folder is what [`export_peft`] writes of `global`: the same rank, alpha and
    /// projections, and bit-identical tensors.
    ///
    /// # Errors
    /// A difference, by its tensor; a tensor that cannot be read.
    pub fn check_is(&self, global: &GlobalAdapter) -> Result<()> {
        let layout = global.layout();
        let (spec, own) = (layout.spec(), self.spec()?);
        let mut projections = [spec.target_modules.clone(), own.target_modules.clone()];
        projections.iter_mut().for_each(|list| list.sort());
        if (spec.rank, spec.alpha) != (own.rank, own.alpha) || projections[0] != projections[1] {
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

    /// With B zero, R has no effect, whatever its values are.
    fn check_not_zero(&self, layout: &AdapterLayout, b: &[f32]) -> Result<()> {
        for (module, range) in layout.ranges(Factor::B) {
            if b[range].iter().all(|value| *value == 0.0) {
                let (name, _) = tensor_of(layout, module, Factor::B);
                let reason = "is zero, and fed-sb trains only what stands between lora_A and lora_B: \
                              start without a first adapter, or with one that was trained";
                return Err(TrainError::tensor(&self.path, &name, reason));
            }
        }
        Ok(())
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
        let (found, wanted) = (self.spec()?, layout.spec());
        if found != wanted {
            let reason = format!("describes {found}, the round's adapter is {wanted}");
            return Err(TrainError::format(&self.path.with_file_name(CONFIG_FILE), reason));
        }
        let settings = FederatedSettings { adapter: layout.spec(), ..FederatedSettings::default() };
        let result = self.global(model, &settings)?;
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

/// Reads a PEFT folder; see [`PeftAdapter::global`].
///
/// # Errors
/// Those of [`PeftAdapter::open`] and [`PeftAdapter::global`].
pub fn import_peft(
    folder: &Path,
    model: &ModelConfig,
    settings: &FederatedSettings,
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
