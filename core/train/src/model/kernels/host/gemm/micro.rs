//! The innermost loop: a tile of the result in registers, over one run of the depth.

use super::machine::Machine;

/// Rows of a tile. Six rows of two eight-lane vectors leave four of the sixteen registers of AVX2 for the
/// operands; measured at the machine's peak.
pub(crate) const ROWS: usize = 6;
/// Columns of a tile.
pub(crate) const COLUMNS: usize = 16;

/// One tile of the result.
pub(crate) type Tile = [[f32; COLUMNS]; ROWS];

/// `left` is `[depth][ROWS]`, `right` is `[depth][COLUMNS]`; the sum over the depth of their outer products.
#[inline(always)]
pub(super) fn tile<M: Machine>(left: &[f32], right: &[f32]) -> Tile {
    let mut sums = [[0f32; COLUMNS]; ROWS];
    let (left, _) = left.as_chunks::<ROWS>();
    let (right, _) = right.as_chunks::<COLUMNS>();
    for (a, b) in left.iter().zip(right) {
        for row in 0..ROWS {
            for column in 0..COLUMNS {
                let sum = &mut sums[row][column];
                *sum = match M::FUSED {
                    true => a[row].mul_add(b[column], *sum),
                    false => *sum + a[row] * b[column],
                };
            }
        }
    }
    sums
}
