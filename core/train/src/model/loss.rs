//! Cross-entropy at the labelled positions, in chunks of rows: the logits of the whole batch never
//! exist at once, and positions without a label cost nothing.

use burn_tensor::{Device, Tensor};

use super::batch::Indices;
use super::frozen::Frozen;
use super::kernels;
use super::product::{ComputePrecision, product};
use super::transfer::{is_host, to_vec, upload};

/// Rows of logits that the processor computes at a time: enough that preparing the head's matrix
/// for their product is a small part of it.
const CHUNK_ROWS: usize = 256;

/// Most logits computed at a time on a device with memory of its own (256 MiB).
const CHUNK_LOGITS: usize = 64 << 20;

/// A sum of losses, kept where it was computed. On a device it stays there until the whole step has
/// been launched.
#[derive(Clone)]
#[allow(clippy::large_enum_variant, reason = "a pass has one")]
pub(crate) enum LossSum {
    /// In f64 on the processor.
    Host(f64),
    /// `[1]`, in f32.
    Device(Tensor<1>),
}

impl LossSum {
    /// Adds two sums, which must be on the same device.
    pub(crate) fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Device(sum), Self::Device(other)) => Self::Device(sum + other),
            (sum, other) => Self::Host(sum.value() + other.value()),
        }
    }

    /// `[1]`, on `device`.
    pub(crate) fn tensor(self, device: &Device) -> Tensor<1> {
        match self {
            Self::Host(sum) => upload(vec![sum as f32], [1], device),
            Self::Device(sum) => sum,
        }
    }

    /// The sum on the host; downloaded if it is on a device.
    pub(crate) fn value(self) -> f64 {
        match self {
            Self::Host(sum) => sum,
            Self::Device(sum) => to_vec(sum).first().map_or(f64::NAN, |sum| f64::from(*sum)),
        }
    }
}

/// Sum of the losses, and the requested gradients.
pub(crate) struct HeadOutcome {
    /// Sum over the rows of -log p(target).
    pub(crate) loss_sum: LossSum,
    /// `[rows, hidden]`, scaled.
    pub(crate) d_hidden: Tensor<2>,
    /// `[vocab, hidden]`, scaled.
    pub(crate) d_head: Option<Tensor<2>>,
}

/// `hidden` is `[rows, hidden]`, `head` is `[vocab, hidden]`, with one target per row. Gradients
/// are those of `scale * loss_sum`.
pub(crate) fn cross_entropy(
    hidden: &Tensor<2>,
    head: &Frozen,
    targets: &Indices,
    scale: f64,
    want_head: bool,
) -> HeadOutcome {
    let (mut loss_sum, mut d_rows, mut d_head) = (None::<LossSum>, Vec::new(), None);
    let rows = targets.host.len();
    let at_a_time = chunk_rows(hidden, head, rows);
    for start in (0..rows).step_by(at_a_time) {
        let chunk = at_a_time.min(rows - start);
        let h = hidden.clone().narrow(0, start, chunk);
        let logits = head.forward(h.clone());
        let (loss, d_logits) = kernels::cross_entropy(logits, &targets.narrow(start, chunk), scale);
        loss_sum = Some(match loss_sum {
            None => loss,
            Some(sum) => sum.plus(loss),
        });
        if want_head {
            let d = product(d_logits.clone().transpose(), h, ComputePrecision::F32);
            d_head = Some(match d_head {
                None => d,
                Some(sum) => sum + d,
            });
        }
        d_rows.push(head.backward(None, d_logits));
    }
    let d_hidden = match d_rows.is_empty() {
        true => hidden.zeros_like(),
        false => Tensor::cat(d_rows, 0),
    };
    HeadOutcome { loss_sum: loss_sum.unwrap_or(LossSum::Host(0.0)), d_hidden, d_head }
}

/// The loss of each row: -log p(target). Arguments as in [`cross_entropy`].
pub(crate) fn losses(hidden: &Tensor<2>, head: &Frozen, targets: &Indices) -> Vec<f64> {
    let rows = targets.host.len();
    let at_a_time = chunk_rows(hidden, head, rows);
    let starts = (0..rows).step_by(at_a_time);
    let chunks = starts.map(|start| (start, at_a_time.min(rows - start)));
    let of_chunk = |(start, chunk)| {
        let logits = head.forward(hidden.clone().narrow(0, start, chunk));
        kernels::losses(logits, &targets.narrow(start, chunk))
    };
    chunks.flat_map(of_chunk).collect()
}

/// Rows of logits per chunk. On a device the chunks are of nearly equal size, so that one set of
/// compiled kernels serves all.
fn chunk_rows(hidden: &Tensor<2>, head: &Frozen, rows: usize) -> usize {
    if is_host(&hidden.device()) {
        return CHUNK_ROWS;
    }
    let most = (CHUNK_LOGITS / head.outputs().max(1)).max(1);
    rows.div_ceil(rows.div_ceil(most).max(1)).max(1)
}
