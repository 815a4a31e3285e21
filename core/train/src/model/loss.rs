//! Cross-entropy at the labelled positions, in chunks of rows: the logits of the whole batch never
//! exist at once, and positions without a label cost nothing.

use burn::tensor::Tensor;

use super::frozen::Frozen;
use super::kernels;
use super::product::product;

/// Rows of logits computed at a time.
const CHUNK_ROWS: usize = 128;

/// Sum of the losses, and the gradients asked for.
pub(crate) struct HeadOutcome {
    /// Sum over the rows of -log p(target).
    pub(crate) loss_sum: f64,
    /// `[rows, hidden]`, scaled.
    pub(crate) d_hidden: Option<Tensor<2>>,
    /// `[vocab, hidden]`, scaled.
    pub(crate) d_head: Option<Tensor<2>>,
}

/// `hidden` is `[rows, hidden]`, `head` is `[vocab, hidden]`, one target for each row. Gradients are
/// those of `scale * loss_sum`; with no scale, none are computed.
pub(crate) fn cross_entropy(
    hidden: &Tensor<2>,
    head: &Frozen,
    targets: &[u32],
    scale: Option<f64>,
    want_head: bool,
) -> HeadOutcome {
    let (mut loss_sum, mut d_rows, mut d_head) = (0.0, Vec::new(), None);
    for (index, chunk) in targets.chunks(CHUNK_ROWS).enumerate() {
        let rows = chunk.len();
        let h = hidden.clone().narrow(0, index * CHUNK_ROWS, rows);
        let logits = head.forward(h.clone());
        let (loss, d_logits) = kernels::cross_entropy(logits, chunk, scale);
        loss_sum += loss;
        let Some(d_logits) = d_logits else { continue };
        if want_head {
            let d = product(d_logits.clone().transpose(), h);
            d_head = Some(match d_head {
                None => d,
                Some(sum) => sum + d,
            });
        }
        d_rows.push(head.backward(d_logits));
    }
    let d_hidden = (!d_rows.is_empty()).then(|| Tensor::cat(d_rows, 0));
    HeadOutcome { loss_sum, d_hidden, d_head }
}
