//! What the matrix product needs to know about the machine: whether a fused multiply-add is one instruction,
//! and how eight rows of eight values are turned.

/// A kind of processor. Work under [`Machine::run`] is compiled for it, as far as it is
/// `#[inline(always)]`.
pub(crate) trait Machine: Copy + Send + Sync {
    /// Whether `mul_add` is one instruction; else it would be a call of the library.
    const FUSED: bool;

    /// Runs `op` compiled for this machine.
    fn run<R>(self, op: impl FnOnce() -> R) -> R;

    /// The transpose of eight rows of eight values.
    fn turn(self, rows: [[f32; 8]; 8]) -> [[f32; 8]; 8];
}

/// Something to do that is generic over the machine.
pub(crate) trait OnMachine {
    /// What it gives back.
    type Output;
    /// Does it.
    fn call<M: Machine>(self, machine: M) -> Self::Output;
}

/// Calls `op` with the best machine this processor is.
pub(crate) fn on_this_machine<O: OnMachine>(op: O) -> O::Output {
    #[cfg(target_arch = "x86_64")]
    if let Some(v3) = pulp::x86::V3::try_new() {
        return op.call(v3);
    }
    op.call(Baseline)
}

/// What the target always has.
#[derive(Clone, Copy)]
pub(crate) struct Baseline;

impl Machine for Baseline {
    const FUSED: bool = cfg!(target_arch = "aarch64");

    #[inline(always)]
    fn run<R>(self, op: impl FnOnce() -> R) -> R {
        op()
    }

    #[inline(always)]
    fn turn(self, rows: [[f32; 8]; 8]) -> [[f32; 8]; 8] {
        std::array::from_fn(|i| std::array::from_fn(|j| rows[j][i]))
    }
}

#[cfg(target_arch = "x86_64")]
impl Machine for pulp::x86::V3 {
    const FUSED: bool = true;

    #[inline(always)]
    fn run<R>(self, op: impl FnOnce() -> R) -> R {
        pulp::Simd::vectorize(self, op)
    }

    /// Pairs, then fours inside each half, then the halves.
    #[inline(always)]
    fn turn(self, rows: [[f32; 8]; 8]) -> [[f32; 8]; 8] {
        let avx = self.avx;
        let r = rows.map(|row| pulp::cast(row));
        let low = |i: usize| avx._mm256_unpacklo_ps(r[i], r[i + 1]);
        let high = |i: usize| avx._mm256_unpackhi_ps(r[i], r[i + 1]);
        let pairs = [low(0), high(0), low(2), high(2), low(4), high(4), low(6), high(6)];
        let first = |a: usize, b: usize| avx._mm256_shuffle_ps::<0x44>(pairs[a], pairs[b]);
        let last = |a: usize, b: usize| avx._mm256_shuffle_ps::<0xee>(pairs[a], pairs[b]);
        let fours = [
            first(0, 2),
            last(0, 2),
            first(1, 3),
            last(1, 3),
            first(4, 6),
            last(4, 6),
            first(5, 7),
            last(5, 7),
        ];
        let lower = |i: usize| avx._mm256_permute2f128_ps::<0x20>(fours[i], fours[i + 4]);
        let upper = |i: usize| avx._mm256_permute2f128_ps::<0x31>(fours[i], fours[i + 4]);
        [lower(0), lower(1), lower(2), lower(3), upper(0), upper(1), upper(2), upper(3)]
            .map(|row| pulp::cast(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Turn([[f32; 8]; 8]);

    impl OnMachine for Turn {
        type Output = [[f32; 8]; 8];
        fn call<M: Machine>(self, machine: M) -> Self::Output {
            machine.run(|| machine.turn(self.0))
        }
    }

    #[test]
    fn turning_is_the_same_on_every_machine() {
        let rows = std::array::from_fn(|i| std::array::from_fn(|j| (8 * i + j) as f32));
        assert_eq!(on_this_machine(Turn(rows)), Baseline.turn(rows));
        assert_eq!(Baseline.turn(rows)[3][5], 43.0);
    }
}
