//! Reads tensors of a known shape from a source to a device.

use burn_tensor::{Device, Tensor, TensorData};

use super::config::ModelConfig;
use super::frozen::{BasePrecision, Frozen};
use super::linear::Linear;
use super::lora::Projection;
use super::weights::{TensorSource, has_bias, layer_name};
use crate::{Result, TrainError};

/// Reads one tensor at a time, so that the host never holds more than one in f32.
pub(crate) struct Reader<'a> {
    pub(crate) source: &'a dyn TensorSource,
    pub(crate) device: &'a Device,
    pub(crate) precision: BasePrecision,
}

impl Reader<'_> {
    pub(crate) fn vector(&self, name: &str, width: usize) -> Result<Tensor<1>> {
        let values = self.finite(name, &[width])?;
        Ok(Tensor::from_data(TensorData::new(values, [width]), self.device))
    }

    /// A norm's weight; `offset` is added to the stored values.
    pub(crate) fn gamma(&self, name: &str, width: usize, offset: f32) -> Result<Tensor<1>> {
        let values = self.finite(name, &[width])?.into_iter().map(|value| value + offset).collect();
        Ok(Tensor::from_data(TensorData::new::<f32, _>(values, [width]), self.device))
    }

    pub(crate) fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<Frozen> {
        let values = self.finite(name, &[rows, columns])?;
        Frozen::new(values, [rows, columns], self.precision, self.device)
            .map_err(|unfit| self.error(name, unfit.to_string()))
    }

    pub(crate) fn linear(
        &self,
        config: &ModelConfig,
        layer: usize,
        which: Projection,
    ) -> Result<Linear> {
        let (outputs, inputs) = which.shape(config);
        let path = layer_name(layer, &which.path());
        let bias = match has_bias(config, which) {
            true => Some(self.vector(&format!("{path}.bias"), outputs)?),
            false => None,
        };
        Ok(Linear { weight: self.matrix(&format!("{path}.weight"), outputs, inputs)?, bias })
    }

    fn finite(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let values = self.source.read(name, shape)?;
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(index) => {
                let reason = format!("value {index} is {}, not a finite number", values[index]);
                Err(self.error(name, reason))
            }
        }
    }

    fn error(&self, name: &str, reason: String) -> TrainError {
        TrainError::tensor(self.source.file(name), name, reason)
    }
}
