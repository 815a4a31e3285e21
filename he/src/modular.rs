//! Arithmetic modulo a prime below 2^62, in one machine word.

/// `a + b mod q` for `a, b < q`.
#[cfg(test)]
pub(crate) fn add(a: u64, b: u64, q: u64) -> u64 {
    reduce_once(a + b, q)
}

/// `a - b mod q` for `a, b < q`.
#[cfg(test)]
pub(crate) fn sub(a: u64, b: u64, q: u64) -> u64 {
    reduce_once(a + q - b, q)
}

/// `x mod q` for `x < 2q`, without a branch: the wrapped difference is huge when `x < q`.
#[inline(always)]
pub(crate) fn reduce_once(x: u64, q: u64) -> u64 {
    x.min(x.wrapping_sub(q))
}

/// `a * b mod q`; slow, for tables.
pub(crate) fn mul(a: u64, b: u64, q: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(q)) as u64
}

/// `base ^ exponent mod q`; slow, for tables.
pub(crate) fn pow(mut base: u64, mut exponent: u64, q: u64) -> u64 {
    let mut result = 1;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = mul(result, base, q);
        }
        base = mul(base, base, q);
        exponent >>= 1;
    }
    result
}

/// `a^-1 mod q` for a prime `q` and `a` not 0.
pub(crate) fn inverse(a: u64, q: u64) -> u64 {
    pow(a, q - 2, q)
}

/// A factor that many words are multiplied by, with its quotient (Shoup):
/// `quotient = floor(value * 2^64 / q)`.
#[derive(Clone, Copy, Default)]
pub(crate) struct Factor {
    /// The factor itself, below q.
    pub(crate) value: u64,
    /// Its quotient.
    pub(crate) quotient: u64,
}

impl Factor {
    /// Prepares `value < q`.
    pub(crate) fn new(value: u64, q: u64) -> Self {
        Self { value, quotient: quotient(value, q) }
    }

    /// `x * value mod q`, up to one q too large: the result lies in `0..2q` for any `x`.
    #[inline(always)]
    pub(crate) fn mul_lazy(self, x: u64, q: u64) -> u64 {
        mul_shoup_lazy(x, self.value, self.quotient, q)
    }
}

/// `floor(value * 2^64 / q)` for `value < q`.
pub(crate) fn quotient(value: u64, q: u64) -> u64 {
    ((u128::from(value) << 64) / u128::from(q)) as u64
}

/// `x * value mod q` in `0..2q`, for any `x`, with the quotient of `value`.
#[inline(always)]
pub(crate) fn mul_shoup_lazy(x: u64, value: u64, quotient: u64, q: u64) -> u64 {
    let high = ((u128::from(x) * u128::from(quotient)) >> 64) as u64;
    x.wrapping_mul(value).wrapping_sub(high.wrapping_mul(q))
}

#[cfg(test)]
mod tests {
    use super::*;

    const Q: u64 = 4_611_686_018_427_322_369;

    #[test]
    fn inverse_and_shoup_agree_with_the_plain_product() {
        for i in 1..500u64 {
            let a = i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % Q;
            assert_eq!(mul(a, inverse(a, Q), Q), 1);
            let x = i.wrapping_mul(0xd1b5_4a32_d192_ed03);
            let lazy = Factor::new(a, Q).mul_lazy(x, Q);
            assert!(lazy < 2 * Q);
            assert_eq!(reduce_once(lazy, Q), mul(a, x % Q, Q));
        }
    }

    #[test]
    fn sums_wrap_once() {
        assert_eq!(add(Q - 1, Q - 1, Q), Q - 2);
        assert_eq!(sub(0, Q - 1, Q), 1);
        assert_eq!(sub(5, 5, Q), 0);
    }
}
