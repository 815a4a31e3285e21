//! Kernel launches on GPUs, counted by kernel name.

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

/// Runs `work` and returns how often each kernel was launched meanwhile by any thread of this
/// process.
pub fn count_launches<R>(work: impl FnOnce() -> R) -> (R, BTreeMap<String, u64>) {
    let counts = Arc::new(Counts::default());
    let watching = LaunchObservation::new(Arc::clone(&counts) as Arc<dyn LaunchObserver>);
    let result = work();
    drop(watching);
    let counts = counts.0.lock().unwrap_or_else(PoisonError::into_inner);
    (result, short(&counts))
}

/// Kernel names are those of their types; the last segment of the outermost path distinguishes
/// them.
fn short(counts: &BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    let mut by_name = BTreeMap::new();
    for (name, count) in counts {
        let outermost = name.split('<').next().unwrap_or(name);
        let last = outermost.rsplit("::").next().unwrap_or(outermost);
        *by_name.entry(last.to_owned()).or_default() += count;
    }
    by_name
}
