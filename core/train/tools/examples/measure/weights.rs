//! Random weights generated when read, so that the peak memory is that of the decoder and not of
//! the source.

use std::path::Path;

use fedshield_train::Result;
use fedshield_train::model::TensorSource;
use rayon::prelude::*;

/// Values generated sequentially; runs of this many values are generated on all threads.
const RUN: usize = 1 << 16;

/// Approximately normal matrices with standard deviation 0.02, and vectors of ones; the same on
/// every machine.
pub(crate) struct Drawn;

impl TensorSource for Drawn {
    fn path(&self) -> &Path {
        Path::new("drawn weights")
    }

    fn contains(&self, _: &str) -> bool {
        true
    }

    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let count = shape.iter().product();
        if shape.len() == 1 {
            return Ok(vec![1.0; count]);
        }
        let seed = name.bytes().fold(1u64, |state, byte| mix(state ^ u64::from(byte)));
        let mut values = vec![0f32; count];
        let runs = values.par_chunks_mut(RUN).enumerate();
        runs.for_each(|(run, values)| {
            let mut state = mix(seed ^ run as u64);
            for value in values {
                state = mix(state);
                // Four uniform numbers in 0..65536: their sum has mean 131070 and standard
                // deviation 37837.
                let sum: u32 = (0..4).map(|part| (state >> (16 * part)) as u32 & 0xffff).sum();
                *value = (sum as f32 - 131_070.0) / 37_837.0 * 0.02;
            }
        });
        Ok(values)
    }
}

/// One step of splitmix64.
fn mix(state: u64) -> u64 {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
