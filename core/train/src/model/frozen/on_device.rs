//! A matrix in 8 or 4 bits on a device with memory of its own, where it is also decoded.
//!
//! Codes are packed into words of 32 bits such that a shift by a row of shifts extracts all codes
//! of a word in one operation: part k of word j is code `k * words + j` of the block. The decoded
//! values are those of the host except for the last bit of `q4`, where a device may round once
//! instead of twice.

use burn_tensor::{Device, Int, Tensor};

use super::blocks::{BLOCK, Block4, Block8};
use super::packed::{Packed, Values};
use crate::model::transfer::{upload, upload_ints};

/// A matrix `[rows, columns]` in blocks of 32 neighbouring values of a row, the last of which may
/// be partly empty.
#[derive(Clone)]
pub(super) struct Blocks {
    rows: usize,
    columns: usize,
    /// `[rows, blocks in a row * words in a block]`.
    words: Tensor<2, Int>,
    /// `[rows, blocks in a row]`.
    steps: Tensor<2>,
    /// Of the same shape as `steps`. `None` where codes are signed: a value is then its step times
    /// its code.
    minimums: Option<Tensor<2>>,
    /// `[1, 1, codes in a word, 1]`.
    shifts: Tensor<4, Int>,
}

impl Blocks {
    /// `None` for a matrix that is not stored in blocks.
    pub(super) fn new(packed: &Packed, device: &Device) -> Option<Self> {
        match packed.values() {
            Values::Q8(blocks) => Some(Self::of_8_bits(packed, blocks, device)),
            Values::Q4(blocks) => Some(Self::of_4_bits(packed, blocks, device)),
            Values::Bf16(_) | Values::F16(_) => None,
        }
    }

    fn of_8_bits(packed: &Packed, blocks: &[Block8], device: &Device) -> Self {
        let words = blocks
            .iter()
            .flat_map(|block| words_of(8, |index| u32::from(block.codes()[index].cast_unsigned())));
        let steps = blocks.iter().map(Block8::step).collect();
        Self::put(packed, words.collect(), steps, None, device)
    }

    fn of_4_bits(packed: &Packed, blocks: &[Block4], device: &Device) -> Self {
        let words =
            blocks.iter().flat_map(|block| words_of(4, |index| u32::from(block.code(index))));
        let steps = blocks.iter().map(Block4::step).collect();
        let minimums = blocks.iter().map(Block4::minimum).collect();
        Self::put(packed, words.collect(), steps, Some(minimums), device)
    }

    fn put(
        packed: &Packed,
        words: Vec<i32>,
        steps: Vec<f32>,
        minimums: Option<Vec<f32>>,
        device: &Device,
    ) -> Self {
        let (rows, columns) = (packed.rows(), packed.columns());
        let in_row = columns.div_ceil(BLOCK);
        let in_words = words.len() / rows.max(1);
        // A signed code is shifted to the top of a word; the arithmetic shift back down extends its
        // sign.
        let shifts: Vec<i32> = match minimums {
            None => vec![24, 16, 8, 0],
            Some(_) => (0..8).map(|part| 4 * part).collect(),
        };
        let parts = shifts.len();
        Self {
            rows,
            columns,
            words: upload_ints(words, [rows, in_words], device),
            steps: upload(steps, [rows, in_row], device),
            minimums: minimums.map(|minimums| upload(minimums, [rows, in_row], device)),
            shifts: upload_ints(shifts, [1, 1, parts, 1], device),
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    pub(super) fn device(&self) -> Device {
        self.words.device()
    }

    /// Size in bytes.
    pub(super) fn bytes(&self) -> usize {
        let size = |dims: [usize; 2]| dims.iter().product::<usize>() * size_of::<f32>();
        let steps = size(self.steps.dims());
        size(self.words.dims()) + steps + self.minimums.as_ref().map_or(0, |_| steps)
    }

    /// `count` rows from row `first` on, in f32.
    pub(super) fn decode(&self, first: usize, count: usize) -> Tensor<2> {
        let part = |tensor: &Tensor<2>| tensor.clone().narrow(0, first, count);
        let words = self.words.clone().narrow(0, first, count);
        self.values(words, part(&self.steps), self.minimums.as_ref().map(part))
    }

    /// The rows `ids`, in f32.
    pub(super) fn gather(&self, ids: &Tensor<1, Int>) -> Tensor<2> {
        let part = |tensor: &Tensor<2>| tensor.clone().select(0, ids.clone());
        let words = self.words.clone().select(0, ids.clone());
        self.values(words, part(&self.steps), self.minimums.as_ref().map(part))
    }

    fn values(
        &self,
        words: Tensor<2, Int>,
        steps: Tensor<2>,
        minimums: Option<Tensor<2>>,
    ) -> Tensor<2> {
        let [rows, in_words] = words.dims();
        let in_row = steps.dims()[1];
        let [_, _, parts, _] = self.shifts.dims();
        let all = [rows, in_row, parts, in_words / in_row];
        let words = words.reshape([rows, in_row, 1, in_words / in_row]).expand(all);
        let shifts = self.shifts.clone().expand(all);
        let each = |tensor: Tensor<2>| tensor.reshape([rows, in_row, 1, 1]);
        let values = match minimums {
            None => {
                let codes = words.bitwise_left_shift(shifts).bitwise_right_shift_scalar(24);
                codes.float() * each(steps)
            }
            Some(minimums) => {
                let codes = words.bitwise_right_shift(shifts).bitwise_and_scalar(15);
                codes.float() * each(steps) + each(minimums)
            }
        };
        let values = values.reshape([rows, in_row * BLOCK]);
        match in_row * BLOCK == self.columns {
            true => values,
            false => values.narrow(1, 0, self.columns),
        }
    }
}

/// The words of a block whose codes have `bits` bits.
fn words_of(bits: usize, code: impl Fn(usize) -> u32) -> Vec<i32> {
    let words = BLOCK * bits / 32;
    let word = |word: usize| {
        let parts = (0..32 / bits).map(|part| code(part * words + word) << (part * bits));
        parts.fold(0, |all, part| all | part).cast_signed()
    };
    (0..words).map(word).collect()
}
