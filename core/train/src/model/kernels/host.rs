//! The kernels on host memory. They read tensors of the CPU backend (flex) in place and write new
//! ones. Rows are distributed over the threads in runs, and each run is compiled for the vector
//! units of the machine.

pub(crate) mod cross_entropy;
mod exp;
mod fresh;
pub(crate) mod geglu;
pub(crate) mod heads;
pub(crate) mod norm;
pub(crate) mod swiglu;

use burn_flex::Flex;
use burn_flex::FlexTensor;
use burn_tensor::{Tensor, TensorData};
use rayon::prelude::*;

pub(crate) use exp::exp;
pub(crate) use fresh::{new_rows, new_rows2};

/// A tensor of the CPU backend, contiguous, whose values can be read without copying.
pub(crate) struct HostTensor {
    inner: FlexTensor,
    len: usize,
}

impl HostTensor {
    /// `None` on other devices. Copies only if the tensor is a view with gaps.
    pub(crate) fn borrow<const D: usize>(tensor: &Tensor<D>) -> Option<Self> {
        let len = tensor.dims().iter().product();
        let inner = tensor.clone().try_into_primitive::<Flex>().ok()?;
        let whole = inner.is_contiguous() && inner.dtype() == burn_tensor::DType::F32;
        let inner = if whole { inner } else { inner.to_contiguous() };
        (inner.dtype() == burn_tensor::DType::F32).then_some(Self { inner, len })
    }

    /// The values, row-major.
    pub(crate) fn values(&self) -> &[f32] {
        let start = self.inner.layout().start_offset();
        &self.inner.storage::<f32>()[start..start + self.len]
    }
}

/// A new tensor with these values.
pub(crate) fn tensor<const D: usize, const E: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    like: &Tensor<E>,
) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), &like.device())
}

/// The values of a tensor, for writing: not copied if nothing else holds the tensor.
pub(crate) fn take<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    crate::model::to_vec(tensor)
}

/// Runs `op` compiled for AVX2 and FMA where the machine has them. Everything `op` calls must be
/// `#[inline(always)]`, or it stays at the baseline.
#[inline(always)]
pub(crate) fn vectorised<R>(op: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    if let Some(v3) = pulp::x86::V3::try_new() {
        return pulp::Simd::vectorize(v3, op);
    }
    op()
}

/// Runs `work` over runs of rows on all threads. `work` gets the first row's number and the run's
/// part of `out`, which has `width` values for each row; it is compiled for the machine's vector
/// units.
pub(crate) fn for_rows(
    out: &mut [f32],
    width: usize,
    work: impl Fn(usize, &mut [f32]) + Send + Sync,
) {
    let rows = rows_in_task(width);
    out.par_chunks_mut(rows * width.max(1)).enumerate().for_each(|(index, run)| {
        vectorised(|| work(index * rows, run));
    });
}

/// Rows of `width` values for a task: about 16 Ki values, enough to pay for the task and few enough
/// to balance the load.
fn rows_in_task(width: usize) -> usize {
    (16_384 / width.max(1)).max(1)
}

/// `sum + x`, in the memory of `sum` if nothing else holds it.
pub(crate) fn add(sum: Tensor<2>, x: &HostTensor) -> Tensor<2> {
    let (dims, device) = (sum.dims(), sum.device());
    let (mut out, x) = (take(sum), x.values());
    for_rows(&mut out, 1, |first, out| {
        out.iter_mut().zip(&x[first..]).for_each(|(out, x)| *out += x);
    });
    crate::model::upload(out, dims, &device)
}

/// Sum of `f` over a row, in eight partial sums so that it vectorises. The order is always the
/// same.
#[inline(always)]
pub(crate) fn sum_of(len: usize, f: impl Fn(usize) -> f32) -> f32 {
    let mut sums = [0f32; 8];
    let whole = len / 8 * 8;
    let mut index = 0;
    while index < whole {
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum += f(index + lane);
        }
        index += 8;
    }
    let mut total =
        ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
    for rest in whole..len {
        total += f(rest);
    }
    total
}
