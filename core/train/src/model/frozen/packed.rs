//! A matrix on the host in fewer bits than f32, and its decoding.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use rayon::prelude::*;

use super::blocks::{BLOCK, Block, Block4, Block8};
use super::precision::{BasePrecision, Unfit};
use crate::model::kernels::new_rows;

/// Rows that are decoded at a time when packed values are compared with the original.
const EQUAL_ROWS: usize = 256;

/// A matrix `[rows, columns]`. With blocks, each row starts a new block, and the last block of a
/// row may be partly empty.
pub(super) struct Packed {
    rows: usize,
    columns: usize,
    values: Values,
}

/// Row-major; the blocks of a row are consecutive.
pub(super) enum Values {
    Bf16(Vec<bf16>),
    F16(Vec<f16>),
    Q8(Vec<Block8>),
    Q4(Vec<Block4>),
}

impl Packed {
    /// Rounds `values`, row-major and finite, to `precision`. `None` for f32, which is not packed,
    /// and for `stored` where only f32 holds the values exactly.
    pub(super) fn encode(
        values: &[f32],
        columns: usize,
        precision: BasePrecision,
    ) -> Result<Option<Self>, Unfit> {
        let columns = columns.max(1);
        let packed = match precision {
            BasePrecision::F32 => return Ok(None),
            BasePrecision::Stored => return Ok(Self::exact(values, columns)),
            BasePrecision::Bf16 => {
                in_halves(values, columns, |half: bf16| half.is_finite()).map(Values::Bf16)
            }
            BasePrecision::F16 => {
                in_halves(values, columns, |half: f16| half.is_finite()).map(Values::F16)
            }
            BasePrecision::Q8 => in_blocks::<Block8>(values, columns).map(Values::Q8),
            BasePrecision::Q4 => in_blocks::<Block4>(values, columns).map(Values::Q4),
        };
        match packed {
            Ok(packed) => Ok(Some(Self { rows: values.len() / columns, columns, values: packed })),
            Err(NoFit { row, column }) => {
                let value = values[row * columns + column];
                Err(Unfit { value, row, column, precision })
            }
        }
    }

    /// `values` in the fewest bits that hold each of them exactly.
    fn exact(values: &[f32], columns: usize) -> Option<Self> {
        let few = [BasePrecision::Q4, BasePrecision::Q8, BasePrecision::F16, BasePrecision::Bf16];
        few.into_iter().find_map(|precision| {
            let hold = |values: &[f32]| {
                let packed = Self::encode(values, columns, precision).ok().flatten()?;
                packed.equals(values).then_some(packed)
            };
            // A precision that does not fit is nearly always ruled out by the first row.
            hold(values.get(..columns)?).and_then(|_| hold(values))
        })
    }

    fn equals(&self, values: &[f32]) -> bool {
        let runs = values.chunks(EQUAL_ROWS * self.columns).enumerate();
        let mut runs = runs.map(|(run, values)| (run * EQUAL_ROWS, values));
        runs.all(|(first, values)| self.decode(first, values.len() / self.columns) == values)
    }

    pub(super) fn values(&self) -> &Values {
        &self.values
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// Size in bytes.
    pub(super) fn bytes(&self) -> usize {
        match &self.values {
            Values::Bf16(values) => size_of_val(values.as_slice()),
            Values::F16(values) => size_of_val(values.as_slice()),
            Values::Q8(blocks) => size_of_val(blocks.as_slice()),
            Values::Q4(blocks) => size_of_val(blocks.as_slice()),
        }
    }

    /// `count` rows from row `first` on, in f32.
    pub(super) fn decode(&self, first: usize, count: usize) -> Vec<f32> {
        new_rows(count, self.columns, |row, run| self.decode_into(first + row, run))
    }

    /// The rows `ids`, in f32; every id is below [`rows`](Self::rows).
    pub(super) fn gather(&self, ids: &[u32]) -> Vec<f32> {
        new_rows(ids.len(), self.columns, |first, run| {
            for (id, out) in ids[first..].iter().zip(run.chunks_exact_mut(self.columns)) {
                self.decode_into(*id as usize, out);
            }
        })
    }

    /// Decodes whole rows from `first` on.
    #[inline(always)]
    fn decode_into(&self, first: usize, out: &mut [f32]) {
        let begin = first * self.columns;
        match &self.values {
            Values::Bf16(values) => {
                for (out, half) in out.iter_mut().zip(&values[begin..]) {
                    *out = f32::from_bits(u32::from(half.to_bits()) << 16);
                }
            }
            Values::F16(values) => values[begin..][..out.len()].convert_to_f32_slice(out),
            Values::Q8(blocks) => decode_blocks(blocks, first, self.columns, out),
            Values::Q4(blocks) => decode_blocks(blocks, first, self.columns, out),
        }
    }
}

#[inline(always)]
fn decode_blocks<B: Block>(blocks: &[B], first: usize, columns: usize, out: &mut [f32]) {
    let in_row = columns.div_ceil(BLOCK);
    let blocks = blocks[first * in_row..].chunks_exact(in_row);
    for (row, blocks) in out.chunks_exact_mut(columns).zip(blocks) {
        for (block, out) in blocks.iter().zip(row.chunks_mut(BLOCK)) {
            block.decode_part(out);
        }
    }
}

/// The position of the value that does not fit.
struct NoFit {
    row: usize,
    column: usize,
}

fn in_halves<T: Copy + Default + Send>(
    values: &[f32],
    columns: usize,
    is_finite: fn(T) -> bool,
) -> Result<Vec<T>, NoFit>
where
    [T]: HalfFloatSliceExt,
{
    let mut out = vec![T::default(); values.len()];
    let rows = out.par_chunks_mut(columns).zip(values.par_chunks(columns));
    rows.for_each(|(out, values)| out.convert_from_f32_slice(values));
    match out.iter().position(|half| !is_finite(*half)) {
        None => Ok(out),
        Some(index) => Err(NoFit { row: index / columns, column: index % columns }),
    }
}

fn in_blocks<B: Block>(values: &[f32], columns: usize) -> Result<Vec<B>, NoFit> {
    let in_row = columns.div_ceil(BLOCK);
    let mut out = vec![B::default(); values.len() / columns * in_row];
    let rows = out.par_chunks_mut(in_row).zip(values.par_chunks_exact(columns)).enumerate();
    let failed = rows.filter_map(|(row, (out, values))| {
        for (index, (out, values)) in out.iter_mut().zip(values.chunks(BLOCK)).enumerate() {
            let Some(block) = B::encode(values) else {
                let by_size = |x: &usize, y: &usize| values[*x].abs().total_cmp(&values[*y].abs());
                let largest = (0..values.len()).max_by(by_size).unwrap_or(0);
                return Some(NoFit { row, column: index * BLOCK + largest });
            };
            *out = block;
        }
        None
    });
    // The first such value, so that the same file always gives the same message.
    match failed.min_by_key(|place| place.row) {
        None => Ok(out),
        Some(place) => Err(place),
    }
}
