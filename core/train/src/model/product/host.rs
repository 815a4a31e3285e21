//! Products on the processor, divided into tiles for all threads.
//!
//! One thread of the `gemm` crate keeps a core busy. Several threads of it do not: each slice of
//! the inner dimension ends with a barrier, small operands are packed by one thread, and Burn
//! clears the output first, also on one. So each tile of the output is a product of its own, and
//! an idle thread takes the next.

use burn_tensor::{Device, Tensor};
use rayon::prelude::*;

use super::matrix::{Existing, HostMatrix, Matrix, Place, multiply_at};
use crate::model::transfer::{to_vec, upload};

/// Fewest multiplications that are worth a second thread: some ten microseconds of one core.
const TILED: usize = 1 << 20;

/// Multiplications that make a tile large enough for its packing not to matter.
const TILE: usize = 4 << 20;

/// Tiles have a multiple of this many columns, which the kernel for AVX-512 computes at a time;
/// that for AVX2 computes 16.
const COLUMNS: usize = 64;

/// Tiles have a multiple of this many rows; both kernels compute 6 at a time.
const ROWS: usize = 12;

/// Two matrices of the processor that are multiplied.
pub(super) struct Operands {
    a: HostMatrix,
    b: HostMatrix,
    device: Device,
}

impl Operands {
    /// `None` unless both are matrices of the processor.
    pub(super) fn borrow<const D: usize>(a: &Tensor<D>, b: &Tensor<D>) -> Option<Self> {
        let device = a.device();
        Some(Self { a: HostMatrix::borrow(a)?, b: HostMatrix::borrow(b)?, device })
    }

    fn matrices(&self) -> [Matrix<'_>; 2] {
        [self.a.matrix(), self.b.matrix()]
    }

    /// `a b`.
    pub(super) fn product(&self) -> (Vec<f32>, [usize; 2]) {
        let operands = self.matrices();
        let dims = [operands[0].rows(), operands[1].columns()];
        let mut out = Vec::with_capacity(dims[0] * dims[1]);
        let place = Place { first: out.as_mut_ptr(), stride: dims[1] };
        // SAFETY: the capacity of `out` is the size of the product, and all of it is written.
        #[expect(unsafe_code, reason = "see the safety argument")]
        unsafe {
            tiled(place, operands, 1.0, Existing::Replaced);
            out.set_len(dims[0] * dims[1]);
        }
        (out, dims)
    }

    /// `sum + factor a b`, in the memory of `sum` if nothing else holds it.
    pub(super) fn add_to(&self, sum: Tensor<2>, factor: f32) -> Tensor<2> {
        let operands = self.matrices();
        let dims = sum.dims();
        assert_eq!(dims, [operands[0].rows(), operands[1].columns()], "the shape of a sum");
        let mut out = to_vec(sum);
        let place = Place { first: out.as_mut_ptr(), stride: dims[1] };
        // SAFETY: `out` has the shape of the product, as just checked.
        #[expect(unsafe_code, reason = "see the safety argument")]
        unsafe {
            tiled(place, operands, factor, Existing::Kept);
        }
        upload(out, dims, &self.device)
    }
}

/// The tiles of a product: how many rows and columns each has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tiles {
    rows: usize,
    columns: usize,
}

impl Tiles {
    /// Tiles for `a b`, `[rows, inner] [inner, columns]`. Columns are divided first, because then
    /// each value of `b`, which is nearly always the larger operand, is packed once.
    fn of([rows, inner, columns]: [usize; 3], threads: usize) -> Self {
        let work = rows.saturating_mul(inner).saturating_mul(columns);
        if work < TILED || threads < 2 {
            return Self { rows, columns };
        }
        let most = (4 * threads).min(work.div_ceil(TILE)).max(threads);
        let across = most.min(columns.div_ceil(2 * COLUMNS)).max(1);
        let width = columns.div_ceil(across).next_multiple_of(COLUMNS);
        let down = most.div_ceil(columns.div_ceil(width)).min(rows.div_ceil(3 * ROWS)).max(1);
        Self { rows: rows.div_ceil(down).next_multiple_of(ROWS), columns: width }
    }
}

/// A place that tasks may share because each writes its own tile.
#[derive(Clone, Copy)]
struct Shared(Place);

// SAFETY: an address alone; whoever writes to it answers for that.
#[expect(unsafe_code, reason = "see the safety argument")]
unsafe impl Send for Shared {}
// SAFETY: as for Send.
#[expect(unsafe_code, reason = "see the safety argument")]
unsafe impl Sync for Shared {}

impl Shared {
    fn tile(self, row: usize, column: usize) -> Place {
        let Place { first, stride } = self.0;
        Place { first: first.wrapping_add(row * stride + column), stride }
    }
}

/// The product of `operands` on all threads.
///
/// # Safety
/// As for [`multiply_at`].
#[expect(unsafe_code, reason = "see the safety arguments")]
unsafe fn tiled(out: Place, operands: [Matrix<'_>; 2], factor: f32, existing: Existing) {
    let [a, b] = operands;
    let (rows, columns) = (a.rows(), b.columns());
    let tiles = Tiles::of([rows, a.columns(), columns], rayon::current_num_threads());
    let (down, across) = (rows.div_ceil(tiles.rows.max(1)), columns.div_ceil(tiles.columns.max(1)));
    if down * across <= 1 {
        // SAFETY: the whole output, for which the caller answers.
        unsafe { multiply_at(out, operands, factor, existing) };
        return;
    }
    let out = Shared(out);
    (0..down * across).into_par_iter().with_max_len(1).for_each(|index| {
        let (row, column) = (index / across * tiles.rows, index % across * tiles.columns);
        let a = a.rows_from(row, tiles.rows.min(rows - row));
        let b = b.columns_from(column, tiles.columns.min(columns - column));
        // SAFETY: a part of the output that no other tile overlaps.
        unsafe { multiply_at(out.tile(row, column), [a, b], factor, existing) };
    });
}

#[cfg(test)]
mod tests {
    use burn_tensor::Distribution;

    use super::*;

    fn product(a: &Tensor<2>, b: &Tensor<2>) -> Vec<f32> {
        Operands::borrow(a, b).unwrap().product().0
    }

    fn random(shape: [usize; 2]) -> Tensor<2> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), &crate::cpu())
    }

    /// The plain sum in f64, and the sum of the sizes of its terms.
    fn exact(a: &[f32], b: &[f32], [rows, inner, columns]: [usize; 3]) -> Vec<(f64, f64)> {
        let at = |row: usize, column: usize| {
            let terms = (0..inner)
                .map(|i| f64::from(a[row * inner + i]) * f64::from(b[i * columns + column]));
            terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()))
        };
        (0..rows * columns).map(|index| at(index / columns, index % columns)).collect()
    }

    #[track_caller]
    fn close(ours: &[f32], exact: &[(f64, f64)]) {
        assert_eq!(ours.len(), exact.len());
        for (ours, (sum, size)) in ours.iter().zip(exact) {
            assert!((f64::from(*ours) - sum).abs() <= 1e-6 * size + 1e-30, "{ours} for {sum}");
        }
    }

    #[test]
    fn tiles_of_every_shape_give_the_plain_sum() {
        let shapes = [[1, 1, 1], [1, 700, 50], [3, 2, 5], [65, 48, 97], [129, 130, 131]];
        for [rows, inner, columns] in shapes.into_iter().chain([[257, 300, 33], [40, 999, 145]]) {
            let (a, b) = (random([rows, inner]), random([inner, columns]));
            let (values_a, values_b) = (to_vec(a.clone()), to_vec(b.clone()));
            let wanted = exact(&values_a, &values_b, [rows, inner, columns]);
            close(&product(&a, &b), &wanted);
            // The same operands, stored the other way round.
            let turned = |x: &Tensor<2>| {
                let stored = to_vec(x.clone().transpose());
                let [rows, columns] = x.dims();
                upload::<2>(stored, [columns, rows], &crate::cpu()).transpose()
            };
            close(&product(&turned(&a), &turned(&b)), &wanted);
            let sum = random([rows, columns]);
            let with_sum = to_vec(sum.clone());
            let wanted: Vec<(f64, f64)> = wanted
                .iter()
                .zip(&with_sum)
                .map(|((sum, size), old)| {
                    (f64::from(*old) + 0.5 * sum, size + f64::from(old.abs()))
                })
                .collect();
            let operands = Operands::borrow(&a, &b).unwrap();
            close(&to_vec(operands.add_to(sum, 0.5)), &wanted);
        }
    }

    #[test]
    fn an_empty_inner_dimension_gives_zeros() {
        assert_eq!(product(&random([3, 0]), &random([0, 4])), [0.0; 12]);
    }

    #[test]
    fn tiles_cover_the_output_and_are_enough_for_all_threads() {
        for rows in [1, 7, 100, 256, 4096] {
            for columns in [1, 32, 192, 576, 1536, 49_152] {
                for threads in [1, 2, 5, 64] {
                    let tiles = Tiles::of([rows, 576, columns], threads);
                    assert!(tiles.rows > 0 && tiles.columns > 0);
                    let count = rows.div_ceil(tiles.rows) * columns.div_ceil(tiles.columns);
                    assert!(count <= 8 * threads, "{count} tiles for {threads} threads");
                    if rows >= 256 && columns >= 192 && threads == 2 {
                        assert!(count >= 4, "{count} tiles of {rows} x {columns}");
                    }
                }
            }
        }
    }
}
