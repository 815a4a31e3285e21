//! Words of `bits` bits on the wire, in eight lanes.
//!
//! Word i belongs to lane i mod 8. Each lane is a little-endian bit stream of its own (the first
//! word in the lowest bits), padded with zeros to whole 64-bit words; the words of the eight lanes
//! alternate, word k of lane 0, word k of lane 1, ... , each little-endian. So shift counts are the
//! same for all lanes, and a vector unit packs and unpacks eight words with three instructions
//! each.

/// Lanes of the packed format.
pub(crate) const LANES: usize = 8;

/// Words of one stripe: 64 rows of eight, which fill whole packed words whatever their bits. A
/// block can be packed, read and added stripe by stripe, so that the working set (4 KiB of words)
/// stays in the first-level cache.
pub(crate) const STRIPE: usize = 64 * LANES;

/// Bytes of `count` packed words of `bits` bits; `count` is a multiple of eight.
pub(crate) fn packed_len(count: usize, bits: u32) -> usize {
    (count / LANES * bits as usize).div_ceil(64) * 8 * LANES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{BlockKernel, Kernel};

    /// The format word by word, as the module documents it.
    fn plain_pack(words: &[u64], bits: u32) -> Vec<u8> {
        let mut out = vec![0u8; packed_len(words.len(), bits)];
        for (i, &word) in words.iter().enumerate() {
            let (lane, start) = (i % LANES, i / LANES * bits as usize);
            for bit in 0..bits as usize {
                let position = start + bit;
                let byte = (position / 64 * LANES + lane) * 8 + position % 64 / 8;
                out[byte] |= ((word >> bit & 1) as u8) << (position % 8);
            }
        }
        out
    }

    #[test]
    fn every_path_writes_the_documented_format_and_reads_it_back() {
        for kernel in Kernel::available() {
            for bits in [1, 7, 32, 33, 45, 49, 53, 54, 57, 61, 63] {
                for count in [8, 24, 64, 512, 1000] {
                    let mask = u64::MAX >> (64 - bits);
                    let words: Vec<u64> = (0..count as u64)
                        .map(|i| (i + 3).wrapping_mul(0x9e37_79b9_7f4a_7c15) & mask)
                        .collect();
                    let mut packed = vec![0xaa; packed_len(count, bits)];
                    kernel.pack(&words, bits, &mut packed);
                    assert_eq!(packed, plain_pack(&words, bits), "{kernel:?} {bits} {count}");
                    let mut sum: Vec<u64> = (0..count as u64).collect();
                    let largest = kernel.unpack_add(&packed, bits, &mut sum);
                    assert_eq!(largest, *words.iter().max().unwrap());
                    for (i, (s, w)) in sum.iter().zip(&words).enumerate() {
                        assert_eq!(*s, w.wrapping_add(i as u64));
                    }
                }
            }
        }
    }
}
