//! New buffers that are cleared by the thread that fills them, just before: cleared as a whole,
//! they would take another pass over memory, on one thread.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::{rows_in_task, vectorised};

/// `rows` rows of `width` values, as `work` leaves them. It gets the number of the first row and a
/// run of zeroed rows, as in [`for_rows`](super::for_rows).
pub(crate) fn new_rows(
    rows: usize,
    width: usize,
    work: impl Fn(usize, &mut [f32]) + Send + Sync,
) -> Vec<f32> {
    let mut out = Vec::with_capacity(rows * width);
    let at_a_time = rows_in_task(width);
    let room = &mut out.spare_capacity_mut()[..rows * width];
    room.par_chunks_mut((at_a_time * width).max(1)).enumerate().for_each(|(index, run)| {
        let run = zeroed(run);
        vectorised(|| work(index * at_a_time, run));
    });
    // SAFETY: the chunks, which cover this length, were all zeroed.
    #[expect(unsafe_code, reason = "see the safety argument")]
    unsafe {
        out.set_len(rows * width);
    }
    out
}

/// As [`new_rows`] with two buffers of the same width.
pub(crate) fn new_rows2(
    rows: usize,
    width: usize,
    work: impl Fn(usize, &mut [f32], &mut [f32]) + Send + Sync,
) -> (Vec<f32>, Vec<f32>) {
    let (mut first, mut second) =
        (Vec::with_capacity(rows * width), Vec::with_capacity(rows * width));
    let at_a_time = rows_in_task(width);
    let size = (at_a_time * width).max(1);
    let runs = first.spare_capacity_mut()[..rows * width].par_chunks_mut(size);
    let runs = runs.zip(second.spare_capacity_mut()[..rows * width].par_chunks_mut(size));
    runs.enumerate().for_each(|(index, (first, second))| {
        let (first, second) = (zeroed(first), zeroed(second));
        vectorised(|| work(index * at_a_time, first, second));
    });
    // SAFETY: the chunks, which cover this length in both, were all zeroed.
    #[expect(unsafe_code, reason = "see the safety argument")]
    unsafe {
        first.set_len(rows * width);
        second.set_len(rows * width);
    }
    (first, second)
}

fn zeroed(run: &mut [MaybeUninit<f32>]) -> &mut [f32] {
    run.fill(MaybeUninit::new(0.0));
    // SAFETY: every value was just written.
    #[expect(unsafe_code, reason = "see the safety argument")]
    unsafe {
        &mut *(std::ptr::from_mut(run) as *mut [f32])
    }
}
