//! Shamir's sharing (Communications of the ACM 22 (11), 1979, doi:10.1145/359168.359176) of many
//! numbers at once, over any prime field below 2^16.
//!
//! Row d of `rows` holds the coefficients of X^d of `width` polynomials; a share is a column of
//! values at one point.

use zeroize::{Zeroize, Zeroizing};

use crate::field::Field;

/// Values of all polynomials at `point`, at most 700, by Horner's rule over whole rows.
pub(crate) fn evaluate<F: Field>(rows: &[u16], width: usize, point: u16) -> Zeroizing<Vec<u16>> {
    let point = u32::from(point);
    let mut values = Zeroizing::new(vec![0u32; width]);
    for row in rows.chunks_exact(width).rev() {
        for (value, &coefficient) in values.iter_mut().zip(row) {
            *value = F::reduce(*value * point + u32::from(coefficient));
        }
    }
    let out = Zeroizing::new(values.iter().map(|&v| v as u16).collect());
    values.zeroize();
    out
}

/// Weights with which values at `points` give the value at `at`: distinct points below p.
pub(crate) fn lagrange<F: Field>(points: &[u16], at: u16) -> Vec<u32> {
    let difference = |a: u16, b: u16| (u32::from(a) + F::P - u32::from(b)) % F::P;
    let others = |j: u16| points.iter().copied().filter(move |&k| k != j);
    points
        .iter()
        .map(|&j| {
            let over = others(j).fold(1, |acc, k| F::mul(acc, difference(at, k)));
            let under = others(j).fold(1, |acc, k| F::mul(acc, difference(j, k)));
            F::mul(over, F::inverse(under))
        })
        .collect()
}

/// The weighted sum of at most 700 values: with the weights of [`lagrange`], the value that they
/// interpolate to.
pub(crate) fn interpolate<F: Field>(weights: &[u32], values: impl Iterator<Item = u16>) -> u32 {
    // At most 700 products below 2^32.
    F::reduce_wide(weights.iter().zip(values).map(|(&w, v)| u64::from(w) * u64::from(v)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::F65521;

    #[test]
    fn interpolation_recovers_a_polynomial() {
        let poly = [11, 65_520, 3, 40_000];
        let value = |x| evaluate::<F65521>(&poly, 1, x)[0];
        let points = [1, 5, 9, 700];
        for at in [0, 2, 5, 699] {
            let weights = lagrange::<F65521>(&points, at);
            let found = interpolate::<F65521>(&weights, points.map(value).into_iter());
            assert_eq!(found, u32::from(value(at)));
        }
        assert_eq!(u64::from(value(2)), (11 + 2 * 65_520 + 4 * 3 + 8 * 40_000) % 65_521);
    }
}
