//! Frozen matrices in memory: on the device, or, if that is the processor, packed in fewer bits
//! beside the tensors.

mod blocks;
mod on_device;
mod packed;
mod precision;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use burn_tensor::{DType, Device, Tensor, TensorData};

use super::batch::Indices;
use super::product::{ComputePrecision, add_product, product};
use super::transfer::{is_host, upload};
use on_device::Blocks;
use packed::Packed;
pub use precision::{BasePrecision, Unfit};

/// Most values that the processor decodes to f32 at a time (16 MiB): a larger matrix is decoded in
/// runs of rows.
const DECODED_VALUES: usize = 4 << 20;

/// As [`DECODED_VALUES`], for devices with memory of their own, where each run costs a launch (256
/// MiB).
const DECODED_VALUES_ON_DEVICE: usize = 64 << 20;

/// A base matrix `[outputs, inputs]` that is never trained. Cheap to clone: clones share the
/// values.
///
/// Packed values are decoded where they are stored, a part at a time. A product gives the same
/// result as one with a dense matrix of the decoded values.
#[derive(Clone)]
pub(crate) struct Frozen {
    values: Values,
    /// Rows that are decoded at a time.
    run: usize,
    compute: ComputePrecision,
}

#[derive(Clone)]
#[allow(clippy::large_enum_variant, reason = "a model has some hundreds of them")]
enum Values {
    /// In f32, or in a 16-bit type on devices with memory of their own that compute with it.
    Dense(Tensor<2>),
    /// Packed, on the processor.
    Packed(Arc<Packed>, Device),
    /// In blocks, on a device with memory of its own.
    Blocks(Blocks),
}

impl Frozen {
    /// `values` is row-major, `[outputs, inputs]`, and finite. Products are in f32.
    ///
    /// # Errors
    /// A value that does not fit the precision.
    pub(crate) fn new(
        values: Vec<f32>,
        [outputs, inputs]: [usize; 2],
        precision: BasePrecision,
        device: &Device,
    ) -> Result<Self, Unfit> {
        let most = if is_host(device) { DECODED_VALUES } else { DECODED_VALUES_ON_DEVICE };
        let run = (most / inputs.max(1)).max(1);
        let values = match Packed::encode(&values, inputs, precision)? {
            None => Values::Dense(upload(values, [outputs, inputs], device)),
            Some(packed) if is_host(device) => Values::Packed(Arc::new(packed), device.clone()),
            Some(packed) => match Blocks::new(&packed, device) {
                Some(blocks) => Values::Blocks(blocks),
                None => Values::Dense(in_halves(&packed, device)),
            },
        };
        Ok(Self { values, run, compute: ComputePrecision::F32 })
    }

    /// Lets products be computed in `compute` from now on, where the device supports it.
    pub(crate) fn compute_in(&mut self, compute: ComputePrecision) {
        self.compute = compute;
        if let Values::Dense(weight) = &self.values
            && weight.dtype() != DType::BF16
            && self.operands() == DType::BF16
        {
            self.values = Values::Dense(weight.clone().cast(DType::BF16));
        }
    }

    /// The minimum precision of products.
    pub(crate) fn compute(&self) -> ComputePrecision {
        self.compute
    }

    /// Size in bytes, on the host or on the device.
    pub(crate) fn bytes(&self) -> usize {
        match &self.values {
            Values::Dense(weight) => {
                weight.dims().iter().product::<usize>() * weight.dtype().size()
            }
            Values::Packed(packed, _) => packed.bytes(),
            Values::Blocks(blocks) => blocks.bytes(),
        }
    }

    /// x W^T: `[rows, inputs]` to `[rows, outputs]`.
    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        if let Values::Dense(weight) = &self.values {
            return self.product(x, weight.clone().transpose());
        }
        let mut parts = self
            .runs()
            .map(|(_, weight)| self.product(x.clone(), weight.transpose()))
            .collect::<Vec<_>>();
        match parts.len() {
            1 => parts.remove(0),
            _ => Tensor::cat(parts, 1),
        }
    }

    /// dy W, added to `sum` if there is one: `[rows, outputs]` to `[rows, inputs]`.
    pub(crate) fn backward(&self, sum: Option<Tensor<2>>, dy: Tensor<2>) -> Tensor<2> {
        if let Values::Dense(weight) = &self.values {
            return self.add_product(sum, dy, weight.clone());
        }
        let [_, inputs] = self.dims();
        let parts = self.runs().fold(sum, |sum, (first, weight)| {
            let outputs = weight.dims()[0];
            Some(self.add_product(sum, dy.clone().narrow(1, first, outputs), weight))
        });
        parts.unwrap_or_else(|| Tensor::zeros([dy.dims()[0], inputs], &dy.device()))
    }

    /// The rows `ids`, `[ids, inputs]`, in f32; every id is below the number of outputs.
    pub(crate) fn select(&self, ids: &Indices) -> Tensor<2> {
        match &self.values {
            Values::Dense(weight) => weight.clone().select(0, ids.tensor.clone()).cast(DType::F32),
            Values::Packed(packed, device) => {
                upload(packed.gather(&ids.host), [ids.host.len(), packed.columns()], device)
            }
            Values::Blocks(blocks) => blocks.gather(&ids.tensor),
        }
    }

    /// Number of rows.
    pub(crate) fn outputs(&self) -> usize {
        self.dims()[0]
    }

    fn dims(&self) -> [usize; 2] {
        match &self.values {
            Values::Dense(weight) => weight.dims(),
            Values::Packed(packed, _) => [packed.rows(), packed.columns()],
            Values::Blocks(blocks) => [blocks.rows(), blocks.columns()],
        }
    }

    /// The type of a product's operands.
    fn operands(&self) -> DType {
        let device = match &self.values {
            Values::Packed(..) => return DType::F32,
            Values::Dense(weight) => weight.device(),
            Values::Blocks(blocks) => blocks.device(),
        };
        match self.compute == ComputePrecision::Bf16 && has(&device, DType::BF16) {
            true => DType::BF16,
            false => DType::F32,
        }
    }

    /// The product with the weight or its transpose; the result is in f32, whatever the operands'
    /// type.
    fn product(&self, x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
        match self.operands() {
            DType::BF16 => x.cast(DType::BF16).matmul(weight.cast(DType::BF16)).cast(DType::F32),
            _ => product(x, weight.cast(DType::F32), self.compute),
        }
    }

    /// [`Self::product`], added to `sum` if there is one.
    fn add_product(&self, sum: Option<Tensor<2>>, x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
        match sum {
            Some(sum) if self.operands() == DType::F32 => {
                add_product(sum, x, weight.cast(DType::F32), 1.0, self.compute)
            }
            Some(sum) => sum + self.product(x, weight),
            None => self.product(x, weight),
        }
    }

    /// The runs of rows, each decoded on demand, with the index of its first row.
    fn runs(&self) -> impl Iterator<Item = (usize, Tensor<2>)> {
        let [rows, columns] = self.dims();
        (0..rows).step_by(self.run).map(move |first| {
            let count = self.run.min(rows - first);
            let weight = match &self.values {
                Values::Dense(weight) => weight.clone().narrow(0, first, count),
                Values::Packed(packed, device) => {
                    upload(packed.decode(first, count), [count, columns], device)
                }
                Values::Blocks(blocks) => blocks.decode(first, count),
            };
            (first, weight)
        })
    }
}

/// Whether `device` has memory of its own and supports arithmetic in this type.
fn has(device: &Device, dtype: DType) -> bool {
    !is_host(device) && device.supports_dtype(dtype)
}

/// Uploads a matrix of 16-bit values to a device with memory of its own: unchanged if the device
/// computes with that type, else in f32.
fn in_halves(packed: &Packed, device: &Device) -> Tensor<2> {
    let shape = [packed.rows(), packed.columns()];
    match packed.values() {
        packed::Values::Bf16(values) if has(device, DType::BF16) => {
            Tensor::from_data(TensorData::new(values.clone(), shape), (device, DType::BF16))
        }
        packed::Values::F16(values) if has(device, DType::F16) => {
            Tensor::from_data(TensorData::new(values.clone(), shape), (device, DType::F16))
        }
        _ => upload(packed.decode(0, packed.rows()), shape, device),
    }
}
