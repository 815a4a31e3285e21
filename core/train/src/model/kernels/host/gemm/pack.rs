//! Operands laid out for the innermost loop: rows of the left one in groups of six, columns of the right one in
//! groups of sixteen, both along the depth.

use std::ops::Range;

use rayon::prelude::*;

use super::machine::{Machine, OnMachine, on_this_machine};
use super::micro::{COLUMNS, ROWS};

/// The left operand, `[rows, depth]`, multiplied by `scale`.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a> {
    pub(crate) values: &'a [f32],
    /// Distance between two stored rows.
    pub(crate) stride: usize,
    pub(crate) rows: usize,
    pub(crate) depth: usize,
    /// Stored as `[depth, rows]`.
    pub(crate) turned: bool,
    pub(crate) scale: f32,
}

impl<'a> Left<'a> {
    /// `values` is `[rows, depth]` without gaps.
    pub(crate) fn new(values: &'a [f32], rows: usize, depth: usize) -> Self {
        Self { values, stride: depth, rows, depth, turned: false, scale: 1.0 }
    }

    /// The transpose of `values`, which is `[depth, rows]` without gaps.
    pub(crate) fn transposed(values: &'a [f32], rows: usize, depth: usize) -> Self {
        Self { values, stride: rows, rows, depth, turned: true, scale: 1.0 }
    }

    pub(crate) fn scaled(self, scale: f32) -> Self {
        Self { scale, ..self }
    }

    /// Whether packing gives the same as packing `other`.
    pub(super) fn same(&self, other: &Self) -> bool {
        std::ptr::eq(self.values, other.values)
            && (self.stride, self.rows, self.depth, self.turned)
                == (other.stride, other.rows, other.depth, other.turned)
            && self.scale.to_bits() == other.scale.to_bits()
    }

    /// Values that [`Self::pack`] writes for a depth.
    pub(super) fn packed_len(&self, depth: usize) -> usize {
        self.rows.div_ceil(ROWS) * ROWS * depth
    }

    /// Group g of six rows goes to `out[g * depth * 6..]`, as `[depth][6]`; missing rows are zero.
    #[inline(always)]
    fn pack_group<M: Machine>(
        &self,
        machine: M,
        group: usize,
        depth: &Range<usize>,
        out: &mut [f32],
    ) {
        let first = group * ROWS;
        let rows = ROWS.min(self.rows - first);
        if self.turned {
            for (k, six) in depth.clone().zip(out.chunks_exact_mut(ROWS)) {
                let from = &self.values[k * self.stride + first..][..rows];
                for (to, from) in six.iter_mut().zip(from) {
                    *to = from * self.scale;
                }
                six[rows..].fill(0.0);
            }
            return;
        }
        let row = |i: usize| match i < rows {
            true => &self.values[(first + i) * self.stride..][depth.clone()],
            false => &[],
        };
        let sources: [&[f32]; ROWS] = std::array::from_fn(row);
        let eights = depth.len() / 8;
        for eight in 0..eights {
            let mut block = [[0f32; 8]; 8];
            for (to, from) in block.iter_mut().zip(&sources) {
                if let Some(from) = from.get(8 * eight..8 * eight + 8) {
                    to.copy_from_slice(from);
                    to.iter_mut().for_each(|v| *v *= self.scale);
                }
            }
            let turned = machine.turn(block);
            let to = &mut out[8 * eight * ROWS..][..8 * ROWS];
            for (six, column) in to.chunks_exact_mut(ROWS).zip(&turned) {
                six.copy_from_slice(&column[..ROWS]);
            }
        }
        for k in 8 * eights..depth.len() {
            let six = &mut out[k * ROWS..][..ROWS];
            for (to, from) in six.iter_mut().zip(&sources) {
                *to = from.get(k).map_or(0.0, |v| v * self.scale);
            }
        }
    }

    /// Packs a range of the depth into `out`, on all threads or on this one.
    pub(super) fn pack(&self, depth: Range<usize>, out: &mut [f32], all_threads: bool) {
        let size = depth.len() * ROWS;
        if !all_threads {
            return on_this_machine(PackLeft { left: self, first: 0, depth, out });
        }
        // About 64 KiB a task.
        let groups = (16_384 / size.max(1)).max(1);
        out.par_chunks_mut(size * groups).enumerate().for_each(|(chunk, out)| {
            let (first, depth) = (chunk * groups, depth.clone());
            on_this_machine(PackLeft { left: self, first, depth, out });
        });
    }
}

struct PackLeft<'a, 'b> {
    left: &'a Left<'a>,
    first: usize,
    depth: Range<usize>,
    out: &'b mut [f32],
}

impl OnMachine for PackLeft<'_, '_> {
    type Output = ();

    fn call<M: Machine>(self, machine: M) {
        let Self { left, first, depth, out } = self;
        let size = depth.len() * ROWS;
        machine.run(
            #[inline(always)]
            || {
                for (group, out) in out.chunks_exact_mut(size).enumerate() {
                    left.pack_group(machine, first + group, &depth, out);
                }
            },
        );
    }
}

/// The right operand, `[depth, columns]`.
#[derive(Clone, Copy)]
pub(crate) struct Right<'a> {
    pub(crate) values: &'a [f32],
    /// Distance between two stored rows.
    pub(crate) stride: usize,
    pub(crate) columns: usize,
    /// Stored as `[columns, depth]`.
    pub(crate) turned: bool,
}

impl<'a> Right<'a> {
    /// `values` is `[depth, columns]` without gaps.
    pub(crate) fn new(values: &'a [f32], depth: usize, columns: usize) -> Self {
        debug_assert_eq!(values.len(), depth * columns);
        Self { values, stride: columns, columns, turned: false }
    }

    /// The transpose of `values`, which is `[columns, depth]` without gaps.
    pub(crate) fn transposed(values: &'a [f32], depth: usize, columns: usize) -> Self {
        debug_assert_eq!(values.len(), depth * columns);
        Self { values, stride: depth, columns, turned: true }
    }

    /// Sixteen columns from `first` on, over a range of the depth, to `out` as `[depth][16]`; missing columns
    /// are zero.
    #[inline(always)]
    pub(super) fn pack<M: Machine>(
        &self,
        machine: M,
        first: usize,
        depth: Range<usize>,
        out: &mut [f32],
    ) {
        let columns = COLUMNS.min(self.columns - first);
        if !self.turned {
            for (k, to) in depth.zip(out.chunks_exact_mut(COLUMNS)) {
                let from = &self.values[k * self.stride + first..][..columns];
                match <&[f32; COLUMNS]>::try_from(from) {
                    Ok(from) => to.copy_from_slice(from),
                    Err(_) => {
                        to[..columns].copy_from_slice(from);
                        to[columns..].fill(0.0);
                    }
                }
            }
            return;
        }
        let row = |j: usize| match j < columns {
            true => &self.values[(first + j) * self.stride..][depth.clone()],
            false => &[],
        };
        let sources: [&[f32]; COLUMNS] = std::array::from_fn(row);
        let eights = depth.len() / 8;
        for (half, sources) in sources.chunks_exact(8).enumerate() {
            for eight in 0..eights {
                let mut block = [[0f32; 8]; 8];
                for (to, from) in block.iter_mut().zip(sources) {
                    if let Some(from) = from.get(8 * eight..8 * eight + 8) {
                        to.copy_from_slice(from);
                    }
                }
                let turned = machine.turn(block);
                let to = &mut out[8 * eight * COLUMNS..][..8 * COLUMNS];
                for (line, column) in to.chunks_exact_mut(COLUMNS).zip(&turned) {
                    line[8 * half..8 * half + 8].copy_from_slice(column);
                }
            }
        }
        for k in 8 * eights..depth.len() {
            let line = &mut out[k * COLUMNS..][..COLUMNS];
            for (to, from) in line.iter_mut().zip(&sources) {
                *to = from.get(k).copied().unwrap_or(0.0);
            }
        }
    }
}
