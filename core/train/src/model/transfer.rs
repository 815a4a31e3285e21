//! Transfers between the host and a device with memory of its own, counted. A transfer can make the
//! caller wait for everything that was launched before it, so a training step should have few.

use std::sync::atomic::{AtomicU64, Ordering};

use burn_tensor::{Device, Int, Tensor, TensorData};
use serde::Serialize;

static UPLOADS: AtomicU64 = AtomicU64::new(0);
static UPLOADED_BYTES: AtomicU64 = AtomicU64::new(0);
static DOWNLOADS: AtomicU64 = AtomicU64::new(0);
static DOWNLOADED_BYTES: AtomicU64 = AtomicU64::new(0);

/// Transfers of this process since it started, over all devices. Tensors of the processor are not
/// transferred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Transfers {
    /// Number of buffers sent to a device.
    pub uploads: u64,
    /// Their size in bytes.
    pub uploaded_bytes: u64,
    /// Number of buffers read back; each waits for the device.
    pub downloads: u64,
    /// Their size in bytes.
    pub downloaded_bytes: u64,
}

impl Transfers {
    /// The transfers so far.
    #[must_use]
    pub fn so_far() -> Self {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Self {
            uploads: read(&UPLOADS),
            uploaded_bytes: read(&UPLOADED_BYTES),
            downloads: read(&DOWNLOADS),
            downloaded_bytes: read(&DOWNLOADED_BYTES),
        }
    }
}

impl std::ops::Sub for Transfers {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            uploads: self.uploads - earlier.uploads,
            uploaded_bytes: self.uploaded_bytes - earlier.uploaded_bytes,
            downloads: self.downloads - earlier.downloads,
            downloaded_bytes: self.downloaded_bytes - earlier.downloaded_bytes,
        }
    }
}

/// Whether tensors of this device are in the processor's memory.
pub(crate) fn is_host(device: &Device) -> bool {
    *device == Device::flex()
}

/// An f32 tensor from row-major values on the host.
pub(crate) fn upload<const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    device: &Device,
) -> Tensor<D> {
    count(device, &UPLOADS, &UPLOADED_BYTES, size_of_val(values.as_slice()));
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// A tensor of integers from row-major values on the host.
pub(crate) fn upload_ints<const D: usize>(
    values: Vec<i32>,
    shape: [usize; D],
    device: &Device,
) -> Tensor<D, Int> {
    count(device, &UPLOADS, &UPLOADED_BYTES, size_of_val(values.as_slice()));
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The values of an f32 tensor on the host, row-major.
pub(crate) fn to_vec<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    let bytes = tensor.dims().iter().product::<usize>() * size_of::<f32>();
    count(&tensor.device(), &DOWNLOADS, &DOWNLOADED_BYTES, bytes);
    tensor.into_data().try_into_vec_as::<f32>().unwrap_or_default()
}

fn count(device: &Device, number: &AtomicU64, size: &AtomicU64, bytes: usize) {
    if !is_host(device) {
        number.fetch_add(1, Ordering::Relaxed);
        size.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}
