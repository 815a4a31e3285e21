//! Products against sums in f64.

use super::*;

fn values(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect()
}

fn at_left(left: &Left<'_>, i: usize, k: usize) -> f64 {
    let index = if left.turned { k * left.stride + i } else { i * left.stride + k };
    f64::from(left.values[index]) * f64::from(left.scale)
}

fn at_right(right: &Right<'_>, k: usize, j: usize) -> f64 {
    let index = if right.turned { j * right.stride + k } else { k * right.stride + j };
    f64::from(right.values[index])
}

fn check(rows: usize, depths: &[usize], columns: usize, turned: (bool, bool), here: bool) {
    let lefts: Vec<Vec<f32>> = depths.iter().map(|d| values(rows * d, *d)).collect();
    let rights: Vec<Vec<f32>> = depths.iter().map(|d| values(columns * d, d + 1)).collect();
    let terms = || -> Vec<(Left<'_>, Right<'_>)> {
        let of = |(index, depth): (usize, &usize)| {
            let left = match turned.0 {
                true => Left::transposed(&lefts[index], rows, *depth),
                false => Left::new(&lefts[index], rows, *depth),
            };
            let right = match turned.1 {
                true => Right::transposed(&rights[index], *depth, columns),
                false => Right::new(&rights[index], *depth, columns),
            };
            (left.scaled(1.0 - 0.25 * index as f32), right)
        };
        depths.iter().enumerate().map(of).collect()
    };
    let base = values(rows * columns, 99);
    let line = values(columns, 98);
    for start in [Start::Zero, Start::Copy(&base), Start::Rows(&line), Start::Keep] {
        let mut out = values(rows * columns, 97);
        let held = out.clone();
        let mut twin = held.clone();
        let job = |out| Job { out, columns, start, terms: terms() };
        let both = vec![job(&mut out), job(&mut twin)];
        if here {
            run_here(both)
        } else {
            run(both)
        }
        assert_eq!(out, twin);
        for i in 0..rows {
            for j in 0..columns {
                let mut sum = match start {
                    Start::Zero => 0.0,
                    Start::Copy(from) => f64::from(from[i * columns + j]),
                    Start::Rows(from) => f64::from(from[j]),
                    Start::Keep => f64::from(held[i * columns + j]),
                };
                for (left, right) in &terms() {
                    sum += (0..left.depth)
                        .map(|k| at_left(left, i, k) * at_right(right, k, j))
                        .sum::<f64>();
                }
                let ours = f64::from(out[i * columns + j]);
                assert!((ours - sum).abs() < 2e-5 * (1.0 + sum.abs()), "{i} {j}: {ours} {sum}");
            }
        }
    }
}

#[test]
fn every_layout_and_every_rest() {
    for turned in [(false, false), (false, true), (true, false), (true, true)] {
        for here in [false, true] {
            check(1, &[1], 1, turned, here);
            check(13, &[17, 3], 37, turned, here);
            check(7, &[300], 16, turned, here);
            check(24, &[8, 16], 64, turned, here);
        }
    }
}

#[test]
fn more_rows_than_a_block_and_more_depth_than_is_packed_at_once() {
    check(BLOCK_ROWS + 5, &[9], 20, (false, true), false);
    let lefts = [Left::new(&[], 6000, 2000), Left::new(&[], 6, 10)];
    let phases = phases(&lefts);
    assert!(phases.len() > 2);
    let whole: usize = phases.iter().flatten().filter(|(i, _)| *i == 0).map(|(_, d)| d.len()).sum();
    assert_eq!(whole, 2000);
}
