//! Frozen matrices in memory: f32 on the device, or fewer bits on the host.

mod blocks;
mod packed;
mod precision;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use burn_tensor::{Device, Int, Tensor, TensorData};

use super::product::product;
use packed::Packed;
pub use precision::{BasePrecision, Unfit};

/// Values that are in f32 at a time, 16 MiB of them: a matrix with more is decoded in runs of rows.
const DECODED_VALUES: usize = 4 << 20;

/// A base matrix `[outputs, inputs]` that is never trained. Cheap to clone: clones share the values.
///
/// Packed values stay on the host whatever the device, are decoded there and handed over; what a product gives
/// is the same as with a dense matrix of the decoded values.
#[derive(Clone)]
pub(crate) struct Frozen(Values);

#[derive(Clone)]
#[allow(clippy::large_enum_variant, reason = "a model has some hundreds of them")]
enum Values {
    Dense(Tensor<2>),
    Packed { packed: Arc<Packed>, device: Device, run: usize },
}

impl Frozen {
    /// `values` is row-major, `[outputs, inputs]`, and finite.
    ///
    /// # Errors
    /// A value that does not fit the precision.
    pub(crate) fn new(
        values: Vec<f32>,
        [outputs, inputs]: [usize; 2],
        precision: BasePrecision,
        device: &Device,
    ) -> Result<Self, Unfit> {
        Ok(Self(match Packed::encode(&values, inputs, precision)? {
            None => {
                Values::Dense(Tensor::from_data(TensorData::new(values, [outputs, inputs]), device))
            }
            Some(packed) => {
                let run = (DECODED_VALUES / packed.columns()).max(1);
                Values::Packed { packed: Arc::new(packed), device: device.clone(), run }
            }
        }))
    }

    /// Bytes held, here or on the device.
    pub(crate) fn bytes(&self) -> usize {
        match &self.0 {
            Values::Dense(weight) => weight.dims().iter().product::<usize>() * size_of::<f32>(),
            Values::Packed { packed, .. } => packed.bytes(),
        }
    }

    /// x W^T: `[rows, inputs]` to `[rows, outputs]`.
    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        match &self.0 {
            Values::Dense(weight) => product(x, weight.clone().transpose()),
            Values::Packed { packed, device, run } => {
                let mut parts = runs(packed, *run, device)
                    .map(|(_, weight)| product(x.clone(), weight.transpose()))
                    .collect::<Vec<_>>();
                match parts.len() {
                    1 => parts.remove(0),
                    _ => Tensor::cat(parts, 1),
                }
            }
        }
    }

    /// dy W: `[rows, outputs]` to `[rows, inputs]`.
    pub(crate) fn backward(&self, dy: Tensor<2>) -> Tensor<2> {
        match &self.0 {
            Values::Dense(weight) => product(dy, weight.clone()),
            Values::Packed { packed, device, run } => {
                let parts = runs(packed, *run, device).map(|(first, weight)| {
                    let outputs = weight.dims()[0];
                    product(dy.clone().narrow(1, first, outputs), weight)
                });
                let none = || Tensor::zeros([dy.dims()[0], packed.columns()], device);
                parts.reduce(|sum, part| sum + part).unwrap_or_else(none)
            }
        }
    }

    /// The rows `ids`, `[ids, inputs]`; every id is below the number of outputs.
    pub(crate) fn select(&self, ids: &[u32]) -> Tensor<2> {
        match &self.0 {
            Values::Dense(weight) => {
                let rows: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
                let rows = TensorData::new(rows, [ids.len()]);
                weight.clone().select(0, Tensor::<1, Int>::from_data(rows, &weight.device()))
            }
            Values::Packed { packed, device, .. } => {
                let rows = TensorData::new(packed.gather(ids), [ids.len(), packed.columns()]);
                Tensor::from_data(rows, device)
            }
        }
    }
}

/// Runs of at most `run` rows, each decoded when it is asked for, with the number of its first row.
fn runs(packed: &Packed, run: usize, device: &Device) -> impl Iterator<Item = (usize, Tensor<2>)> {
    (0..packed.rows()).step_by(run).map(move |first| {
        let count = run.min(packed.rows() - first);
        let values = TensorData::new(packed.decode(first, count), [count, packed.columns()]);
        (first, Tensor::from_data(values, device))
    })
}
