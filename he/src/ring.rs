//! The ring R_q = Z_q[X]/(X^N + 1) and its number theoretic transform.
//!
//! The transform is the negacyclic one: position i of the NTT domain holds the value of the
//! polynomial at psi^(2 r(i) + 1), where r reverses the log2 N bits of i and psi = g^((q-1)/2N) for
//! the smallest g >= 2 with psi^N = -1. The order is part of the scheme, because the common
//! polynomials are drawn in the NTT domain. Butterflies are Harvey's (Journal of Symbolic
//! Computation 60, 2014, doi:10.1016/j.jsc.2013.09.002): values stay lazily below 4q, q < 2^62.

use zeroize::{Zeroize, Zeroizing};

use crate::kernel::{BlockKernel, Kernel};
use crate::modular::{self, Factor};
use crate::params::Preset;

/// Tables of one ring: N and q of a preset.
pub(crate) struct Ring {
    degree: usize,
    modulus: u64,
    /// psi^r(i), and psi^-r(i): values and Shoup quotients in arrays of their own, so that a vector
    /// path loads them without shuffling.
    forward: Twiddles,
    inverse: Twiddles,
    degree_inverse: Factor,
    kernel: Kernel,
}

/// Twiddle factors in bit-reversed order.
pub(crate) struct Twiddles {
    pub(crate) values: Vec<u64>,
    pub(crate) quotients: Vec<u64>,
}

impl Twiddles {
    fn new(root: u64, degree: usize, q: u64) -> Self {
        let shift = u32::BITS - degree.trailing_zeros();
        let mut values = vec![0; degree];
        let mut power = 1;
        for i in 0..degree as u32 {
            values[(i.reverse_bits() >> shift) as usize] = power;
            power = modular::mul(power, root, q);
        }
        let quotients = values.iter().map(|&v| modular::quotient(v, q)).collect();
        Self { values, quotients }
    }
}

/// A ring element that every block is multiplied by, in the NTT domain with its Shoup quotients and
/// with N^-1 already multiplied in. Holds a key: zeroised.
pub(crate) struct Multiplier {
    pub(crate) values: Zeroizing<Vec<u64>>,
    pub(crate) quotients: Zeroizing<Vec<u64>>,
}

impl Ring {
    pub(crate) fn new(preset: &Preset, kernel: Kernel) -> Self {
        let (degree, q) = (preset.ring_degree(), preset.modulus());
        let psi = root_of_unity(degree, q);
        Self {
            degree,
            modulus: q,
            forward: Twiddles::new(psi, degree, q),
            inverse: Twiddles::new(modular::inverse(psi, q), degree, q),
            degree_inverse: Factor::new(modular::inverse(degree as u64, q), q),
            kernel,
        }
    }

    pub(crate) fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Coefficients to values, in place; input below q, output below q.
    pub(crate) fn forward(&self, poly: &mut [u64]) {
        debug_assert_eq!(poly.len(), self.degree);
        self.kernel.ntt_forward(poly, &self.forward, self.modulus);
    }

    /// Values to N times the coefficients, in place; input and output below 2q.
    pub(crate) fn inverse_lazy(&self, poly: &mut [u64]) {
        debug_assert_eq!(poly.len(), self.degree);
        self.kernel.ntt_inverse(poly, &self.inverse, self.modulus);
    }

    /// Prepares a polynomial with small signed coefficients as a multiplier.
    pub(crate) fn multiplier(&self, small: &[i32]) -> Multiplier {
        let q = self.modulus;
        let mut values: Zeroizing<Vec<u64>> =
            Zeroizing::new(small.iter().map(|&c| signed_residue(i64::from(c), q)).collect());
        self.forward(&mut values);
        for v in values.iter_mut() {
            *v = modular::reduce_once(self.degree_inverse.mul_lazy(*v, q), q);
        }
        let mut quotients = values.clone();
        self.kernel.shoup_quotients(&mut quotients, q);
        Multiplier { values, quotients }
    }

    /// `poly * multiplier`: takes a polynomial in the NTT domain (below q) and leaves the
    /// coefficients of the product, below 2q.
    pub(crate) fn multiply(&self, poly: &mut [u64], multiplier: &Multiplier) {
        self.kernel.mul_pointwise(poly, multiplier, self.modulus);
        self.inverse_lazy(poly);
    }
}

impl Drop for Multiplier {
    fn drop(&mut self) {
        self.values.zeroize();
        self.quotients.zeroize();
    }
}

/// `c mod q` for a small signed `c`, without a branch.
#[inline(always)]
pub(crate) fn signed_residue(c: i64, q: u64) -> u64 {
    (c as u64).wrapping_add(((c >> 63) as u64) & q)
}

/// The psi of the module's description.
fn root_of_unity(degree: usize, q: u64) -> u64 {
    let step = (q - 1) / (2 * degree as u64);
    let mut generator = 2;
    loop {
        let psi = modular::pow(generator, step, q);
        if modular::pow(psi, degree as u64, q) == q - 1 {
            return psi;
        }
        generator += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive_product(a: &[u64], b: &[u64], q: u64) -> Vec<u64> {
        let n = a.len();
        let mut c = vec![0; n];
        for (i, &x) in a.iter().enumerate() {
            for (j, &y) in b.iter().enumerate() {
                let p = modular::mul(x, y, q);
                let k = (i + j) % n;
                c[k] = if i + j < n { modular::add(c[k], p, q) } else { modular::sub(c[k], p, q) };
            }
        }
        c
    }

    fn noise(i: usize, q: u64) -> u64 {
        (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17) % q
    }

    #[test]
    fn the_product_is_negacyclic_on_every_path() {
        for preset in ["INSECURE-rlwe-sum/b16/n16", "INSECURE-rlwe-sum/b8/n16"] {
            let preset = Preset::by_name(preset).unwrap();
            let (n, q) = (preset.ring_degree(), preset.modulus());
            let a: Vec<u64> = (0..n).map(|i| noise(i, q)).collect();
            let small: Vec<i32> = (0..n).map(|i| (i as i32 * 37) % 85 - 42).collect();
            let residues: Vec<u64> = small.iter().map(|&c| signed_residue(c.into(), q)).collect();
            let expected = naive_product(&a, &residues, q);
            for kernel in Kernel::available() {
                let ring = Ring::new(preset, kernel);
                let mut poly = a.clone();
                ring.forward(&mut poly);
                assert!(poly.iter().all(|&x| x < q));
                ring.multiply(&mut poly, &ring.multiplier(&small));
                assert!(poly.iter().all(|&x| x < 2 * q));
                let reduced: Vec<u64> = poly.iter().map(|&x| modular::reduce_once(x, q)).collect();
                assert_eq!(reduced, expected, "{preset} {kernel:?}");
            }
        }
    }

    #[test]
    fn the_transform_evaluates_at_the_documented_points() {
        let preset = Preset::by_name("rlwe-sum/b16/n16").unwrap();
        let (n, q) = (preset.ring_degree(), preset.modulus());
        assert_eq!(root_of_unity(n, q), 1_742_162_739_775_129);
        let ring = Ring::new(preset, Kernel::SCALAR);
        let mut poly: Vec<u64> = (0..n).map(|i| noise(i, q)).collect();
        let original = poly.clone();
        ring.forward(&mut poly);
        for i in [0usize, 1, 2, 1000, 4095] {
            let reversed = (i as u32).reverse_bits() >> 20;
            let point = modular::pow(root_of_unity(n, q), 2 * u64::from(reversed) + 1, q);
            let mut value = 0;
            for &c in original.iter().rev() {
                value = modular::add(modular::mul(value, point, q), c, q);
            }
            assert_eq!(poly[i], value);
        }
    }

    #[test]
    fn the_quotients_of_secrets_are_the_quotients() {
        for q in [68_719_403_009u64, 4_611_686_018_427_322_369] {
            let values: Vec<u64> = (0..203).map(|i| noise(i, q)).collect();
            let expected: Vec<u64> = values.iter().map(|&v| modular::quotient(v, q)).collect();
            for kernel in Kernel::available() {
                let mut found = values.clone();
                kernel.shoup_quotients(&mut found, q);
                assert_eq!(found, expected, "{kernel:?}");
            }
        }
    }
}
