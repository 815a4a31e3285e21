//! All weights of a base model on the host.

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::path::{Path, PathBuf};

use fedshield_train::load::{Precision, SafetensorsWriter};
use fedshield_train::model::{ModelConfig, TensorSource, parameter_shapes};
use fedshield_train::{Result, TrainError};

use crate::synth::Choice;

/// One tensor on the host, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    /// Dimensions; a projection is `[outputs, inputs]`.
    pub shape: Vec<usize>,
    /// As many values as the product of the dimensions.
    pub values: Vec<f32>,
}

/// All weights of a base model on the host, by Hugging Face name.
#[derive(Clone, Debug, PartialEq)]
pub struct BaseWeights {
    path: PathBuf,
    /// The tensors, for example `model.layers.0.self_attn.q_proj.weight`.
    pub tensors: BTreeMap<String, HostTensor>,
}

impl BaseWeights {
    /// Reads every tensor that `config` requires.
    ///
    /// # Errors
    /// A tensor that is missing or has the wrong shape.
    pub fn read(config: &ModelConfig, source: &dyn TensorSource) -> Result<Self> {
        let mut tensors = BTreeMap::new();
        for (name, shape) in parameter_shapes(config) {
            let values = source.read(&name, &shape)?;
            tensors.insert(name, HostTensor { shape, values });
        }
        Ok(Self { path: source.path().to_owned(), tensors })
    }

    /// Freshly initialised weights: matrices normal with standard deviation `std`, norms one,
    /// biases zero.
    pub fn random(config: &ModelConfig, seed: u64, std: f32) -> Self {
        let mut choice = Choice::labelled(seed, "base weights");
        let tensors = parameter_shapes(config).into_iter().map(|(name, shape)| {
            let count = shape.iter().product();
            let values = match shape.len() {
                1 if name.ends_with("bias") => vec![0.0; count],
                1 => vec![1.0; count],
                _ => (0..count).map(|_| normal(&mut choice) as f32 * std).collect(),
            };
            (name, HostTensor { shape, values })
        });
        Self { path: PathBuf::from("random weights"), tensors: tensors.collect() }
    }

    /// Number of values in all tensors.
    pub fn parameter_count(&self) -> usize {
        self.tensors.values().map(|tensor| tensor.values.len()).sum()
    }
}

impl TensorSource for BaseWeights {
    fn path(&self) -> &Path {
        &self.path
    }

    fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let error = |reason| {
            let (path, name) = (self.path.clone(), name.to_owned());
            TrainError::Tensor { path, name, reason }
        };
        let tensor = self.tensors.get(name).ok_or_else(|| error("missing".to_owned()))?;
        match tensor.shape == shape {
            true => Ok(tensor.values.clone()),
            false => Err(error(format!("shape {:?}, expected {shape:?}", tensor.shape))),
        }
    }
}

/// Saves base weights as `model.safetensors` in `folder`, which is created if it does not exist.
///
/// # Errors
/// A file that cannot be written, or a value that `precision` cannot hold.
pub fn save_base(folder: &Path, weights: &BaseWeights, precision: Precision) -> Result<()> {
    std::fs::create_dir_all(folder)
        .map_err(|source| TrainError::Io { path: folder.to_owned(), source })?;
    let shapes: Vec<_> =
        weights.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect();
    let path = folder.join("model.safetensors");
    let mut writer = SafetensorsWriter::create(&path, &shapes, precision)?;
    for (name, tensor) in &weights.tensors {
        writer.write(name, &tensor.values)?;
    }
    writer.finish()
}

/// A standard normal value, by the Box-Muller transform of two uniform numbers of 53 bits.
pub(crate) fn normal(choice: &mut Choice) -> f64 {
    let mut unit = || (choice.bits() >> 11) as f64 / (1u64 << 53) as f64;
    let radius = (-2.0 * (1.0 - unit()).ln()).sqrt();
    radius * (TAU * unit()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_numbers_have_unit_variance() {
        let mut choice = Choice::new(3);
        let values: Vec<f64> = (0..20_000).map(|_| normal(&mut choice)).collect();
        let variance = values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64;
        assert!((variance - 1.0).abs() < 0.05, "{variance}");
    }
}
