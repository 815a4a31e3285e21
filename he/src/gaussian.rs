//! The discrete Gaussian, sampled in constant time by inversion of a cumulative table.
//!
//! A 64-bit random word gives one sample: its upper 63 bits give the magnitude, the number of table
//! entries that they reach; its lowest bit gives the sign. Every word goes through the same
//! comparisons (with every entry, or with AVX-512 a search of fixed depth within registers), so
//! neither a branch nor an address depends on a sample (inversion: Peikert, Crypto 2010, ePrint
//! 2010/088; what the distance from the exact distribution costs: Prest, Asiacrypt 2017, ePrint
//! 2017/480). The table and its distance from the exact distribution come from
//! `he/scripts/gaussian_table.py`.

mod table;
#[cfg(test)]
mod tests;

use zeroize::{Zeroize, Zeroizing};

use crate::kernel::{BlockKernel, Kernel};
use crate::stream::fill_secret;
pub(crate) use table::{ERROR_TABLE, KEY_TABLE};

/// Errors of one block, sigma = 6.4, as two's complement words; `stream key` and block number
/// decide them.
pub(crate) fn errors(kernel: Kernel, key: &[u8; 32], block: u64, out: &mut [u64]) {
    fill_secret(key, block, out);
    kernel.sample_gaussian(out, &ERROR_TABLE);
}

/// One key polynomial, sigma = 3.2 * sqrt(2): coefficients in -42..=42.
pub(crate) fn key(kernel: Kernel, stream_key: &[u8; 32], degree: usize) -> Zeroizing<Vec<i32>> {
    let mut words = Zeroizing::new(vec![0u64; degree]);
    fill_secret(stream_key, 0, &mut words);
    kernel.sample_gaussian(&mut words, &KEY_TABLE);
    let key = Zeroizing::new(words.iter().map(|&w| w as i32).collect());
    words.zeroize();
    key
}
