//! Matrix products on the host. Several results are computed at once, each the sum of several products: a
//! projection and its adapter are one result with two terms, the projections that read the same input share its
//! packed form, and gradients that meet are added where they are computed.
//!
//! Each result is cut into blocks of rows and columns, which are the tasks; in a block each group of sixteen
//! columns is packed where it is used, and stays in the first-level cache while the rows pass by.

mod machine;
mod micro;
mod pack;
#[cfg(test)]
mod tests;

use std::ops::Range;

use rayon::prelude::*;

use super::pool;
use machine::{Machine, OnMachine, on_this_machine};
use micro::{COLUMNS, ROWS, tile};
pub(crate) use pack::{Left, Right};

/// Depth of one packed group of columns: 16 KiB, half the first-level cache.
const DEPTH: usize = 256;
/// Rows of a block: at this depth they fill half a second-level cache.
const BLOCK_ROWS: usize = 85 * ROWS;
/// Values of packed left operands that exist at a time: 16 MiB.
const PACKED: usize = 1 << 22;

/// What a result is before the products are added.
#[derive(Clone, Copy)]
pub(crate) enum Start<'a> {
    /// Zero, whatever it held.
    Zero,
    /// These values, laid out as the result.
    Copy(&'a [f32]),
    /// The same row everywhere.
    Rows(&'a [f32]),
    /// What it held.
    Keep,
}

/// One result: `out` is `[rows, columns]` without gaps.
pub(crate) struct Job<'a> {
    pub(crate) out: &'a mut [f32],
    pub(crate) columns: usize,
    pub(crate) start: Start<'a>,
    pub(crate) terms: Vec<(Left<'a>, Right<'a>)>,
}

/// A packed left operand and a right one, over a range of the depth.
#[derive(Clone)]
struct Step<'a> {
    left: usize,
    right: Right<'a>,
    depth: Range<usize>,
}

/// A block of a result: parts of its rows, with their place.
struct Block<'a, 'o> {
    rows: Vec<&'o mut [f32]>,
    row: usize,
    column: usize,
    columns: usize,
    start: Start<'a>,
    steps: Vec<Step<'a>>,
}

/// Computes all results, on all threads.
pub(crate) fn run(jobs: Vec<Job<'_>>) {
    compute(jobs, true);
}

/// Computes all results on this thread: for work that is shared out already.
pub(crate) fn run_here(jobs: Vec<Job<'_>>) {
    compute(jobs, false);
}

fn compute(mut jobs: Vec<Job<'_>>, all_threads: bool) {
    let mut lefts: Vec<Left<'_>> = Vec::new();
    let mut places = Vec::new();
    for (job, (left, right)) in
        jobs.iter().enumerate().flat_map(|(i, job)| job.terms.iter().map(move |term| (i, *term)))
    {
        let known = lefts.iter().position(|other| other.same(&left));
        let index = known.unwrap_or_else(|| {
            lefts.push(left);
            lefts.len() - 1
        });
        places.push((job, index, right));
    }
    let mut started = vec![false; jobs.len()];
    for phase in phases(&lefts) {
        let sizes = phase.iter().map(|(left, depth)| lefts[*left].packed_len(depth.len()));
        let mut packed = pool::buffer(sizes.sum());
        let mut rest = packed.as_mut_slice();
        let mut parts = Vec::with_capacity(phase.len());
        for (left, depth) in &phase {
            let (part, after) = rest.split_at_mut(lefts[*left].packed_len(depth.len()));
            lefts[*left].pack(depth.clone(), part, all_threads);
            parts.push(&*part);
            rest = after;
        }
        let steps = |job: usize| {
            let mut steps = Vec::new();
            for (of, left, right) in &places {
                for (part, (index, depth)) in phase.iter().enumerate() {
                    if *of == job && index == left {
                        steps.push(Step { left: part, right: *right, depth: depth.clone() });
                    }
                }
            }
            steps
        };
        let blocks = blocks(&mut jobs, &mut started, steps, all_threads);
        match all_threads {
            true => blocks
                .into_par_iter()
                .with_max_len(1)
                .for_each(|block| on_this_machine(Work { block, parts: &parts, phase: &phase })),
            false => blocks
                .into_iter()
                .for_each(|block| on_this_machine(Work { block, parts: &parts, phase: &phase })),
        }
        pool::give(packed);
    }
}

/// Which ranges of which left operands are packed together.
fn phases(lefts: &[Left<'_>]) -> Vec<Vec<(usize, Range<usize>)>> {
    let mut phases = vec![Vec::new()];
    let mut held = 0;
    for (index, left) in lefts.iter().enumerate() {
        let mut from = 0;
        while from < left.depth {
            let per_depth = left.packed_len(1).max(1);
            let room = (PACKED.saturating_sub(held) / per_depth) / DEPTH * DEPTH;
            if room == 0 && held > 0 {
                phases.push(Vec::new());
                held = 0;
                continue;
            }
            let to = left.depth.min(from + room.max(DEPTH));
            held += left.packed_len(to - from);
            if let Some(phase) = phases.last_mut() {
                phase.push((index, from..to));
            }
            from = to;
        }
    }
    phases
}

/// Cuts every result that has steps in this phase into blocks.
fn blocks<'a, 'o>(
    jobs: &'o mut [Job<'a>],
    started: &mut [bool],
    steps: impl Fn(usize) -> Vec<Step<'a>>,
    all_threads: bool,
) -> Vec<Block<'a, 'o>> {
    let groups = |job: &Job<'_>| job.columns.div_ceil(COLUMNS);
    let total: usize = jobs.iter().map(groups).sum();
    let tasks = if all_threads { 8 * rayon::current_num_threads() } else { 1 };
    let width = total.div_ceil(tasks).clamp(1, 64) * COLUMNS;
    let mut blocks = Vec::new();
    for (index, job) in jobs.iter_mut().enumerate() {
        let steps = steps(index);
        if steps.is_empty() || job.columns == 0 {
            continue;
        }
        let start = if started[index] { Start::Keep } else { job.start };
        started[index] = true;
        let columns = job.columns;
        let width = if all_threads { width } else { columns };
        let across = columns.div_ceil(width);
        for (down, rows) in job.out.chunks_mut(BLOCK_ROWS * columns).enumerate() {
            let first = blocks.len();
            let count = rows.len() / columns;
            for part in 0..across {
                blocks.push(Block {
                    rows: Vec::with_capacity(count),
                    row: down * BLOCK_ROWS,
                    column: part * width,
                    columns,
                    start,
                    steps: steps.clone(),
                });
            }
            for row in rows.chunks_exact_mut(columns) {
                for (block, part) in blocks[first..].iter_mut().zip(row.chunks_mut(width)) {
                    block.rows.push(part);
                }
            }
        }
    }
    blocks
}

/// Computing one block.
struct Work<'a, 'o, 'p> {
    block: Block<'a, 'o>,
    parts: &'p [&'p [f32]],
    phase: &'p [(usize, Range<usize>)],
}

impl OnMachine for Work<'_, '_, '_> {
    type Output = ();

    fn call<M: Machine>(self, machine: M) {
        machine.run(
            #[inline(always)]
            || self.compute(machine),
        );
    }
}

impl Work<'_, '_, '_> {
    #[inline(always)]
    fn compute<M: Machine>(mut self, machine: M) {
        let width = self.block.rows.first().map_or(0, |row| row.len());
        let mut packed = [0f32; DEPTH * COLUMNS];
        let mut start = self.block.start;
        let steps = std::mem::take(&mut self.block.steps);
        for step in &steps {
            let whole = self.phase[step.left].1.len();
            let left = self.parts[step.left];
            let mut from = 0;
            while from < step.depth.len() {
                let to = (from + DEPTH).min(step.depth.len());
                let depth = step.depth.start + from..step.depth.start + to;
                for group in (0..width).step_by(COLUMNS) {
                    let packed = &mut packed[..(to - from) * COLUMNS];
                    step.right.pack(machine, self.block.column + group, depth.clone(), packed);
                    self.column_group::<M>(group, left, whole, from..to, packed, start);
                }
                start = Start::Keep;
                from = to;
            }
        }
    }

    /// All rows of the block against one packed group of columns.
    #[inline(always)]
    fn column_group<M: Machine>(
        &mut self,
        group: usize,
        left: &[f32],
        whole: usize,
        depth: Range<usize>,
        packed: &[f32],
        start: Start<'_>,
    ) {
        let first = self.block.row / ROWS;
        let (top, columns, place) = (self.block.row, self.block.columns, self.block.column + group);
        for (index, rows) in self.block.rows.chunks_mut(ROWS).enumerate() {
            let six = &left[(first + index) * whole * ROWS..][..whole * ROWS];
            let sums = tile::<M>(&six[depth.start * ROWS..depth.end * ROWS], packed);
            for (i, (row, sums)) in rows.iter_mut().zip(&sums).enumerate() {
                let end = row.len().min(group + COLUMNS);
                let to = &mut row[group..end];
                let other = match start {
                    Start::Zero => None,
                    Start::Keep => {
                        add(to, sums);
                        continue;
                    }
                    Start::Copy(from) => Some(&from[(top + index * ROWS + i) * columns + place..]),
                    Start::Rows(from) => Some(&from[place..]),
                };
                let sums = &sums[..to.len()];
                match other {
                    None => to.copy_from_slice(sums),
                    Some(from) => {
                        for ((to, sum), from) in to.iter_mut().zip(sums).zip(from) {
                            *to = sum + from;
                        }
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn add(to: &mut [f32], sums: &[f32; COLUMNS]) {
    match <&mut [f32; COLUMNS]>::try_from(&mut *to) {
        Ok(to) => to.iter_mut().zip(sums).for_each(|(to, sum)| *to += sum),
        Err(_) => to.iter_mut().zip(sums).for_each(|(to, sum)| *to += sum),
    }
}
