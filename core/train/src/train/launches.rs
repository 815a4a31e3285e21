//! Kernels that a piece of work launches on GPUs, counted by name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use burn_cubecl::cubecl::logging::{LaunchObservation, LaunchObserver};

#[derive(Default)]
struct Counts(Mutex<BTreeMap<&'static str, u64>>);

impl LaunchObserver for Counts {
    fn launched(&self, kernel: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(kernel).or_default() += 1;
    }
}

/// Runs `work` and gives how often it launched each kernel, of all threads of this process.
pub fn count_launches<R>(work: impl FnOnce() -> R) -> (R, BTreeMap<String, u64>) {
    let counts = Arc::new(Counts::default());
    let watching = LaunchObservation::new(Arc::clone(&counts) as Arc<dyn LaunchObserver>);
    let result = work();
    drop(watching);
    let counts = counts.0.lock().unwrap_or_else(PoisonError::into_inner);
    (result, short(&counts))
}

/// Kernels name themselves by their types; what tells them apart is the last part of the outermost
/// path.
fn short(counts: &BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    let mut by_name = BTreeMap::new();
    for (name, count) in counts {
        let outermost = name.split('<').next().unwrap_or(name);
        let last = outermost.rsplit("::").next().unwrap_or(outermost);
        *by_name.entry(last.to_owned()).or_default() += count;
    }
    by_name
}
