//! Loss and adapter gradient of one step.

use rayon::prelude::*;

use crate::Result;
use crate::adapter::Adapter;
use crate::federated::{Factor, GlobalAdapter, gradient_of_r};
use crate::model::{
    Batch, Decoder, LayerGradients, Lora, LoraLayers, StageSeconds, Wants, new_rows, to_vec,
};

/// Result of one step's batches.
#[derive(Clone, Debug)]
pub struct StepGradient {
    /// Mean loss over the labelled tokens.
    pub loss: f64,
    /// Gradient of the mean loss, flat.
    pub gradient: Vec<f32>,
    /// Wall-clock seconds of each stage.
    pub seconds: StageSeconds,
}

/// Mean loss over the labelled tokens of `batches` together, and its gradient for `factors`, flat
/// and in the layout's order, with the seconds of each stage. A round computes this in each step.
/// It is public for parity tests with other programs and for custom trainers.
pub fn adapter_gradient(
    decoder: &Decoder,
    adapter: &GlobalAdapter,
    factors: &[Factor],
    batches: &[Batch],
) -> Result<StepGradient> {
    let wants = Wants {
        base: false,
        factor_a: factors.contains(&Factor::A),
        factor_b: factors.contains(&Factor::B) || factors.contains(&Factor::R),
    };
    let labels: usize = batches.iter().map(Batch::label_count).sum();
    let lora = lora_layers(decoder, adapter);
    let (mut loss, mut sum, mut seconds) = (0.0, Vec::new(), StageSeconds::default());
    for batch in batches {
        let result = decoder.gradients(&lora, batch, 1.0 / labels as f64, wants)?;
        loss += result.loss_sum.value();
        seconds += result.seconds;
        let flat = flatten(adapter, factors, result.layers);
        match sum.is_empty() {
            true => sum = flat,
            false => sum.iter_mut().zip(&flat).for_each(|(sum, value)| *sum += value),
        }
    }
    Ok(StepGradient { loss: loss / labels as f64, gradient: sum, seconds })
}

/// Logits of every position, `[ids.len(), vocab]` row-major, for sequences of `len` tokens each.
pub fn adapter_logits(
    decoder: &Decoder,
    adapter: &dyn Adapter,
    ids: &[u32],
    len: usize,
) -> Vec<f32> {
    to_vec(decoder.logits(&lora_layers(decoder, adapter), ids, len))
}

fn flatten(
    adapter: &GlobalAdapter,
    factors: &[Factor],
    mut layers: Vec<LayerGradients>,
) -> Vec<f32> {
    let parts = factors.iter().flat_map(|factor| match factor {
        Factor::A | Factor::B => parts_of(adapter, *factor, &mut layers),
        Factor::R => {
            let of_b = joined(&parts_of(adapter, Factor::B, &mut layers));
            vec![gradient_of_r(adapter, &of_b)]
        }
    });
    joined(&parts.collect::<Vec<_>>())
}

/// The decoder's gradient of factor A or B, a part for each module.
fn parts_of(
    adapter: &GlobalAdapter,
    factor: Factor,
    layers: &mut [LayerGradients],
) -> Vec<Vec<f32>> {
    let parts = adapter.layout().ranges(factor).map(|(module, range)| {
        let linear = &mut layers[module.layer].projections[module.projection.slot()];
        let gradient = if factor == Factor::A { linear.a.take() } else { linear.b.take() };
        gradient.map_or_else(|| vec![0.0; range.len()], to_vec)
    });
    parts.collect()
}

/// All values one after the other, copied on all threads: these are megabytes in memory that is not
/// mapped yet.
fn joined(parts: &[Vec<f32>]) -> Vec<f32> {
    let ends = parts.iter().scan(0, |end, part| {
        *end += part.len();
        Some(*end)
    });
    let ends: Vec<usize> = ends.collect();
    new_rows(ends.last().copied().unwrap_or(0), 1, |first, mut run| {
        let mut index = ends.partition_point(|end| *end <= first);
        let mut place = first;
        while !run.is_empty() {
            let part = &parts[index];
            let values = &part[place + part.len() - ends[index]..];
            let count = values.len().min(run.len());
            let (head, tail) = run.split_at_mut(count);
            head.copy_from_slice(&values[..count]);
            (run, place, index) = (tail, place + count, index + 1);
        }
    })
}

/// Uploads the adapter's factors to the decoder's device. Layers and sizes must match the decoder.
pub(crate) fn lora_layers(decoder: &Decoder, adapter: &dyn Adapter) -> LoraLayers {
    let mut lora = LoraLayers::none(decoder.layers.len());
    let projections = adapter.projections();
    let factors: Vec<[Vec<f32>; 2]> =
        projections.par_iter().map(|one| [one.a.to_vec(), one.b.to_vec()]).collect();
    for (one, factors) in projections.iter().zip(factors) {
        let (outputs, inputs) = one.projection.shape(&decoder.config);
        let sizes = (one.rank, inputs, outputs);
        lora.layers[one.layer][one.projection.slot()] =
            Some(Lora::new(factors, sizes, one.scale(), &decoder.device));
    }
    lora
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined_in_order_whatever_their_lengths() {
        let part = |length: usize, from: usize| (from..from + length).map(|v| v as f32).collect();
        let lengths = [0, 3, 16_384, 0, 1, 40_000, 0, 16_384, 5, 0];
        let mut parts: Vec<Vec<f32>> = Vec::new();
        for length in lengths {
            parts.push(part(length, parts.iter().map(Vec::len).sum()));
        }
        let all: Vec<f32> = part(lengths.iter().sum(), 0);
        assert_eq!(joined(&parts), all);
        assert_eq!(joined(&[]), [0f32; 0]);
    }
}
