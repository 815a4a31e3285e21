//! Buffers that are used again. A step allocates and frees the same sizes over and over; from the system each
//! comes back as fresh pages that must be mapped and cleared, which costs more than some of the kernels.

use std::sync::{Mutex, PoisonError};

/// Smaller ones are not worth keeping.
const SMALLEST: usize = 4096;

struct Kept {
    values: Vec<f32>,
    /// The pass that gave it.
    pass: u64,
}

struct Pool {
    kept: Vec<Kept>,
    pass: u64,
}

static POOL: Mutex<Pool> = Mutex::new(Pool { kept: Vec::new(), pass: 0 });

fn pool() -> std::sync::MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A buffer of `len` values, which may hold anything: every one must be written before it is read.
pub(crate) fn buffer(len: usize) -> Vec<f32> {
    if len >= SMALLEST {
        let mut pool = pool();
        let fits = |kept: &Kept| kept.values.len() >= len && kept.values.len() / 8 <= len / 7;
        let best = pool.kept.iter().enumerate().filter(|(_, kept)| fits(kept));
        let best = best.min_by_key(|(_, kept)| kept.values.len()).map(|(index, _)| index);
        if let Some(index) = best {
            let mut values = pool.kept.swap_remove(index).values;
            drop(pool);
            values.truncate(len);
            return values;
        }
    }
    vec![0.0; len]
}

/// Gives a buffer back.
pub(crate) fn give(values: Vec<f32>) {
    if values.len() >= SMALLEST {
        let mut pool = pool();
        let pass = pool.pass;
        pool.kept.push(Kept { values, pass });
    }
}

/// Marks the end of a pass: what lay unused during the whole of it is freed.
pub(crate) fn end_pass() {
    let mut pool = pool();
    let ended = pool.pass;
    pool.pass += 1;
    let old: Vec<Kept> = pool.kept.extract_if(.., |kept| kept.pass < ended).collect();
    drop(pool);
    drop(old);
}
