//! The matrix product of this crate: in f32 on every device, unless less is requested.
//!
//! On NVIDIA's tensor cores, Burn computes f32 products in TF32: both operands are rounded to 11
//! bits of significand. Logits are then off by up to 3e-3 of the largest, thirty times what the
//! parity suite allows. So each operand is split in two, its value in bf16 and the remainder, and
//! three products are added. What is left out, the product of the remainders and their rounding, is
//! below 2^-17 of the result's terms. The split is a type conversion, because a split by sums
//! (Veltkamp's) does not survive a compiler that contracts a product and a sum once fusion puts
//! them into one kernel.

mod host;
mod matrix;

use std::fmt;
use std::str::FromStr;

use burn_tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::transfer::upload;
use crate::TrainError;
pub(crate) use matrix::{Existing, Matrix, multiply};

/// The minimum precision of matrix products. A device without the named precision computes more
/// exactly: the processor and `wgpu` always use f32. In all cases, sums, adapters, their gradients,
/// the optimiser, norms and the softmax are in f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ComputePrecision {
    /// Both operands with 24 bits of significand, which is what the parity tests require on every
    /// device. On CUDA, such a product consists of three of `tf32`.
    #[default]
    F32,
    /// Both operands rounded to 11 bits of significand.
    Tf32,
    /// Operands and results of products with base matrices rounded to 8 bits of significand; all
    /// other products as `tf32`. The base matrices are then held in bf16 unless `base_precision`
    /// has them in fewer bits.
    Bf16,
}

impl ComputePrecision {
    /// All names, for error messages.
    pub const NAMES: [&str; 3] = ["f32", "tf32", "bf16"];

    /// Its name in settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

impl fmt::Display for ComputePrecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ComputePrecision {
    type Err = TrainError;

    fn from_str(name: &str) -> Result<Self, TrainError> {
        let all = [Self::F32, Self::Tf32, Self::Bf16];
        all.into_iter().find(|precision| precision.name() == name).ok_or_else(|| {
            let reason = format!("`{name}` is not one of {}", Self::NAMES.join(", "));
            TrainError::setting("compute_precision", reason)
        })
    }
}

/// The f32 product `a b` over the last two dimensions.
pub(crate) fn product<const D: usize>(
    a: Tensor<D>,
    b: Tensor<D>,
    precision: ComputePrecision,
) -> Tensor<D> {
    if let Some(operands) = host::Operands::borrow(&a, &b) {
        let (values, [rows, columns]) = operands.product();
        let mut dims = [rows; D];
        dims[D - 1] = columns;
        return upload(values, dims, &a.device());
    }
    match precision == ComputePrecision::F32 && rounds_operands(&a) {
        true => in_three(a, b),
        false => a.matmul(b),
    }
}

/// The f32 sum `sum + factor a b`.
pub(crate) fn add_product(
    sum: Tensor<2>,
    a: Tensor<2>,
    b: Tensor<2>,
    factor: f64,
    precision: ComputePrecision,
) -> Tensor<2> {
    match host::Operands::borrow(&a, &b) {
        Some(operands) => operands.add_to(sum, factor as f32),
        None => sum + product(a, scaled(b, factor), precision),
    }
}

/// `factor x`.
pub(crate) fn scaled<const D: usize>(x: Tensor<D>, factor: f64) -> Tensor<D> {
    if factor == 1.0 { x } else { x.mul_scalar(factor) }
}

fn in_three<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    let (a_high, a_low) = split(a);
    let (b_high, b_low) = split(b);
    let small = a_low.matmul(b_high.clone()) + a_high.clone().matmul(b_low);
    a_high.matmul(b_high) + small
}

/// Splits x into a sum: the nearest value of 8 bits, and the remainder, which is exact.
fn split<const D: usize>(x: Tensor<D>) -> (Tensor<D>, Tensor<D>) {
    let high = x.clone().cast(DType::BF16).cast(DType::F32);
    let low = x - high.clone();
    (high, low)
}

#[cfg(feature = "cuda")]
fn rounds_operands<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.device() == burn_tensor::Device::cuda(0)
}

#[cfg(not(feature = "cuda"))]
const fn rounds_operands<const D: usize>(_: &Tensor<D>) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use burn_tensor::{Device, TensorData};

    use super::*;
    use crate::model::to_vec;
    use crate::random::Stream;

    /// Values of both signs over four orders of magnitude.
    fn values(count: usize) -> Vec<f32> {
        let mut stream = Stream::new([7; 32], "product");
        let mut next = || (2.0 * stream.unit() - 1.0) * 10f64.powi(stream.below(4) as i32);
        (0..count).map(|_| next() as f32).collect()
    }

    /// What a tensor core keeps of an operand: 11 bits of significand.
    fn tf32(x: f32) -> f32 {
        f32::from_bits(x.to_bits() & !0x1fff)
    }

    #[test]
    fn the_high_part_is_exact_on_a_tensor_core_and_both_parts_are_the_whole() {
        let values = values(4096);
        let x = Tensor::<1>::from_data(TensorData::new(values.clone(), [4096]), &Device::flex());
        let (high, low) = split(x);
        for ((value, high), low) in values.iter().zip(to_vec(high)).zip(to_vec(low)) {
            assert_eq!(tf32(high).to_bits(), high.to_bits(), "{value}");
            assert_eq!(high + low, *value);
        }
    }

    #[test]
    fn three_products_of_rounded_operands_are_one_in_f32() {
        let (a, b) = (values(512), values(512));
        let tensor = |v: &[f32], shape| {
            Tensor::<2>::from_data(TensorData::new(v.to_vec(), shape), &Device::flex())
        };
        let exact: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        let size: f64 = a.iter().zip(&b).map(|(a, b)| f64::from((a * b).abs())).sum();
        let three = to_vec(in_three(tensor(&a, [1, 512]), tensor(&b, [512, 1])))[0];
        assert!((f64::from(three) - exact).abs() <= 2f64.powi(-17) * size, "{three} for {exact}");

        let parts = |v: &[f32]| {
            let (high, low) = split(tensor(v, [1, 512]));
            (to_vec(high), to_vec(low).into_iter().map(tf32).collect::<Vec<f32>>())
        };
        let ((a_high, a_low), (b_high, b_low)) = (parts(&a), parts(&b));
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let rounded = dot(&a_high, &b_high) + dot(&a_high, &b_low) + dot(&a_low, &b_high);
        assert!((rounded - exact).abs() <= 2f64.powi(-17) * size, "{rounded} for {exact}");
        let once = |v: &[f32]| v.iter().map(|x| tf32(*x)).collect::<Vec<f32>>();
        assert!((dot(&once(&a), &once(&b)) - exact).abs() > 1e-5 * size);
    }
}
