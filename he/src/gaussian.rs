//! The discrete Gaussian, sampled in constant time by inversion of a cumulative table.
//!
//! A 64-bit random word gives one sample: its upper 63 bits the magnitude, by counting the table
//! entries they reach, its lowest bit the sign. Every entry is compared with every word, so neither a
//! branch nor an address depends on a sample. The table and its distance from the exact distribution
//! come from `he/scripts/gaussian_table.py`.

mod table;

use zeroize::{Zeroize, Zeroizing};

use crate::kernel::Kernel;
use crate::stream::fill_secret;
pub(crate) use table::{ERROR_TABLE, KEY_TABLE};

/// Errors of one block, sigma = 6.4, as two's complement words; `stream key` and block number decide
/// them.
pub(crate) fn errors(kernel: Kernel, key: &[u8; 32], block: u64, out: &mut [u64]) {
    fill_secret(key, block, out);
    kernel.gaussian(out, &ERROR_TABLE);
}

/// One key polynomial, sigma = 3.2 * sqrt(2): coefficients in -42..=42.
pub(crate) fn key(kernel: Kernel, stream_key: &[u8; 32], degree: usize) -> Zeroizing<Vec<i32>> {
    let mut words = Zeroizing::new(vec![0u64; degree]);
    fill_secret(stream_key, 0, &mut words);
    kernel.gaussian(&mut words, &KEY_TABLE);
    let key = Zeroizing::new(words.iter().map(|&w| w as i32).collect());
    words.zeroize();
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_counts_the_same_entries() {
        let edges: Vec<u64> = ERROR_TABLE
            .iter()
            .flat_map(|&t| [t - 1, t, t + 1])
            .chain([0, 1, (1 << 63) - 1])
            .flat_map(|r| [r << 1, r << 1 | 1])
            .collect();
        for table in [&KEY_TABLE[..], &ERROR_TABLE[..]] {
            for kernel in Kernel::available() {
                let mut words = edges.clone();
                kernel.gaussian(&mut words, table);
                for (&edge, &word) in edges.iter().zip(&words) {
                    let magnitude = table.iter().filter(|&&t| edge >> 1 >= t).count() as i64;
                    let expected = if edge & 1 == 1 { -magnitude } else { magnitude };
                    assert_eq!(word as i64, expected, "{kernel:?}");
                }
            }
        }
    }

    /// Chi-squared of the sampled magnitudes and signs against the exact probabilities.
    fn chi_squared(table: &[u64], sigma: f64, samples: &[i64]) -> (f64, usize) {
        let weight = |k: i64| (-(k * k) as f64 / (2.0 * sigma * sigma)).exp();
        let total: f64 = (-200..=200).map(weight).sum();
        let edge = (3.5 * sigma) as i64;
        assert!(edge < table.len() as i64);
        let (mut statistic, mut inside, mut p_inside) = (0.0, 0, 0.0);
        let n = samples.len() as f64;
        for k in -edge..=edge {
            let found = samples.iter().filter(|&&s| s == k).count();
            let p = weight(k) / total;
            statistic += (found as f64 - n * p).powi(2) / (n * p);
            inside += found;
            p_inside += p;
        }
        let outside = n - inside as f64;
        let p_outside = 1.0 - p_inside;
        statistic += (outside - n * p_outside).powi(2) / (n * p_outside);
        (statistic, 2 * edge as usize + 1)
    }

    #[test]
    fn samples_follow_the_distribution() {
        let mut words = vec![0; 1 << 20];
        errors(Kernel::best(), &[3; 32], 1, &mut words);
        let samples: Vec<i64> = words.iter().map(|&w| w as i64).collect();
        let (statistic, freedom) = chi_squared(&ERROR_TABLE, 6.4, &samples);
        // Mean `freedom`, standard deviation sqrt(2 freedom): six of them.
        let freedom = freedom as f64;
        assert!((statistic - freedom).abs() < 6.0 * (2.0 * freedom).sqrt(), "{statistic}");
        let variance = samples.iter().map(|s| (s * s) as f64).sum::<f64>() / samples.len() as f64;
        assert!((variance - 40.96).abs() < 0.34, "{variance}");
        let kurtosis = samples.iter().map(|s| (s * s * s * s) as f64).sum::<f64>()
            / samples.len() as f64
            / (variance * variance);
        assert!((kurtosis - 3.0).abs() < 0.03, "{kurtosis}");

        let samples: Vec<i64> = (0u8..64)
            .flat_map(|i| {
                key(Kernel::best(), &[i; 32], 4096).iter().map(|&k| k.into()).collect::<Vec<_>>()
            })
            .collect();
        assert!(samples.iter().all(|k| k.abs() <= i64::from(crate::params::KEY_BOUND)));
        let (statistic, freedom) = chi_squared(&KEY_TABLE, 20.48f64.sqrt(), &samples);
        let freedom = freedom as f64;
        assert!((statistic - freedom).abs() < 6.0 * (2.0 * freedom).sqrt(), "{statistic}");
    }
}
