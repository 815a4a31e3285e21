//! Where the work of the processor runs.

use burn_tensor::Device;

use super::transfer::is_host;

/// Runs `work` on a thread of rayon's pool if its tensors are on the processor. From any other
/// thread, each piece of parallel work is handed over, and the thread sleeps until the pool has
/// done it: some thousand times in a training step, and ten times for each layer of a token.
pub(crate) fn in_pool<R: Send>(device: &Device, work: impl FnOnce() -> R + Send) -> R {
    match is_host(device) {
        true => rayon::scope(|_| work()),
        false => work(),
    }
}
