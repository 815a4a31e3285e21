//! Random weights drawn when they are read, so that the peak memory is that of a decoder and not of its source.

use std::path::Path;

use fedshield_train::Result;
use fedshield_train::model::TensorSource;

/// Matrices near normal with standard deviation 0.02, vectors of ones; the same on every machine.
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
        let mut state = name.bytes().fold(1u64, |state, byte| mix(state ^ u64::from(byte)));
        let value = |_| {
            state = mix(state);
            // Four uniform numbers in 0..65536: their sum has mean 131070 and standard deviation 37837.
            let sum: u32 = (0..4).map(|part| (state >> (16 * part)) as u32 & 0xffff).sum();
            (sum as f32 - 131_070.0) / 37_837.0 * 0.02
        };
        Ok((0..count).map(value).collect())
    }
}

/// One step of splitmix64.
fn mix(state: u64) -> u64 {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
