//! Loss and adapter gradient of one step.

use crate::Result;
use crate::adapter::Adapter;
use crate::federated::{Factor, GlobalAdapter, gradient_of_r};
use crate::model::{Batch, Decoder, LayerGradients, Lora, LoraLayers, StageSeconds, Wants, to_vec};

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
    let mut flat = Vec::new();
    for factor in factors {
        match factor {
            Factor::A => flat.extend(flatten_one(adapter, Factor::A, &mut layers)),
            Factor::B => flat.extend(flatten_one(adapter, Factor::B, &mut layers)),
            Factor::R => {
                flat.extend(gradient_of_r(adapter, &flatten_one(adapter, Factor::B, &mut layers)));
            }
        }
    }
    flat
}

/// The decoder's gradient of factor A or B.
fn flatten_one(adapter: &GlobalAdapter, factor: Factor, layers: &mut [LayerGradients]) -> Vec<f32> {
    let mut flat = Vec::with_capacity(adapter.layout().len(factor));
    for (module, range) in adapter.layout().ranges(factor) {
        let linear = &mut layers[module.layer].projections[module.projection.slot()];
        let gradient = if factor == Factor::A { linear.a.take() } else { linear.b.take() };
        match gradient {
            Some(gradient) => flat.extend(to_vec(gradient)),
            None => flat.extend(range.map(|_| 0.0)),
        }
    }
    flat
}

/// Uploads the adapter's factors to the decoder's device. Layers and sizes must match the decoder.
pub(crate) fn lora_layers(decoder: &Decoder, adapter: &dyn Adapter) -> LoraLayers {
    let mut lora = LoraLayers::none(decoder.layers.len());
    for one in adapter.projections() {
        let (outputs, inputs) = one.projection.shape(&decoder.config);
        let sizes = (one.rank, inputs, outputs);
        lora.layers[one.layer][one.projection.slot()] =
            Some(Lora::new(&one.a, &one.b, sizes, one.scale(), &decoder.device));
    }
    lora
}
