//! The projections of a layer with their adapters: each by itself, or several that share their input.

use burn_tensor::Tensor;

use super::LayerGradients;
use crate::Result;
use crate::model::config::ModelConfig;
use crate::model::frozen::Frozen;
use crate::model::linear::{Linear, LinearSaved, Wants};
use crate::model::lora::{Lora, Projection};
use crate::model::reader::Reader;

/// The adapters of one layer, by [`Projection::slot`].
pub(crate) type LayerAdapters = [Option<Lora>; Projection::COUNT];

/// A base projection and its place, by which its adapter is found.
#[derive(Clone)]
pub(crate) struct Placed {
    place: Projection,
    linear: Linear,
}

/// What its backward pass needs.
pub(super) struct PlacedSaved<'a> {
    placed: &'a Placed,
    lora: Option<&'a Lora>,
    saved: LinearSaved,
    wants: Wants,
}

impl Placed {
    /// Reads the projection at `place` of layer `layer`.
    pub(super) fn load(
        reader: &Reader<'_>,
        config: &ModelConfig,
        layer: usize,
        place: Projection,
    ) -> Result<Self> {
        Ok(Self { place, linear: reader.linear(config, layer, place)? })
    }

    pub(super) fn weight(&self) -> &Frozen {
        &self.linear.weight
    }

    pub(super) fn weight_mut(&mut self) -> &mut Frozen {
        &mut self.linear.weight
    }

    pub(super) fn forward<'a>(
        &'a self,
        x: &Tensor<2>,
        adapters: &'a LayerAdapters,
        wants: Wants,
    ) -> (Tensor<2>, PlacedSaved<'a>) {
        let lora = adapters[self.place.slot()].as_ref();
        let (y, saved) = self.linear.forward(x, lora, wants);
        (y, PlacedSaved { placed: self, lora, saved, wants })
    }
}

impl PlacedSaved<'_> {
    /// The gradient of the projection's input, added to `sum` if there is one.
    pub(super) fn backward(
        self,
        sum: Option<Tensor<2>>,
        dy: Tensor<2>,
        gradients: &mut LayerGradients,
    ) -> Tensor<2> {
        let Placed { place, linear } = self.placed;
        let (dx, own) = linear.backward(sum, dy, &self.saved, self.lora, self.wants);
        gradients.projections[place.slot()] = own;
        dx
    }
}

/// Outputs of one input: a first one and `MORE`.
#[derive(Clone)]
pub(crate) enum Joint<const MORE: usize> {
    /// A projection for each.
    Separate(Placed, [Placed; MORE]),
    /// One projection, in whose output they lie side by side.
    Fused {
        /// The one projection.
        all: Placed,
        /// The width of the first output.
        first: usize,
        /// The widths of the others.
        more: [usize; MORE],
    },
}

/// What its backward pass needs.
#[allow(clippy::large_enum_variant, reason = "a layer has two")]
pub(super) enum JointSaved<'a, const MORE: usize> {
    Separate(PlacedSaved<'a>, [PlacedSaved<'a>; MORE]),
    Fused(PlacedSaved<'a>),
}

/// The outputs, or their gradients.
pub(super) type Outputs<const MORE: usize> = (Tensor<2>, [Tensor<2>; MORE]);

impl<const MORE: usize> Joint<MORE> {
    pub(super) fn placed(&self) -> Vec<&Placed> {
        match self {
            Self::Separate(first, more) => std::iter::once(first).chain(more).collect(),
            Self::Fused { all, .. } => vec![all],
        }
    }

    pub(super) fn placed_mut(&mut self) -> Vec<&mut Placed> {
        match self {
            Self::Separate(first, more) => std::iter::once(first).chain(more).collect(),
            Self::Fused { all, .. } => vec![all],
        }
    }

    pub(super) fn forward<'a>(
        &'a self,
        x: &Tensor<2>,
        adapters: &'a LayerAdapters,
        wants: Wants,
    ) -> (Outputs<MORE>, JointSaved<'a, MORE>) {
        match self {
            Self::Separate(first, more) => {
                let (y, saved) = first.forward(x, adapters, wants);
                let passes = more.each_ref().map(|one| one.forward(x, adapters, wants));
                let others = passes.each_ref().map(|(y, _)| y.clone());
                ((y, others), JointSaved::Separate(saved, passes.map(|(_, saved)| saved)))
            }
            Self::Fused { all, first, more } => {
                let (y, saved) = all.forward(x, adapters, wants);
                let mut start = *first;
                let others = more.map(|width| {
                    let output = y.clone().narrow(1, start, width);
                    start += width;
                    output
                });
                ((y.narrow(1, 0, *first), others), JointSaved::Fused(saved))
            }
        }
    }
}

impl<const MORE: usize> JointSaved<'_, MORE> {
    /// The gradient of the common input; `dy` are those of the outputs.
    pub(super) fn backward(
        self,
        (dy, more): Outputs<MORE>,
        gradients: &mut LayerGradients,
    ) -> Tensor<2> {
        match self {
            Self::Fused(saved) => {
                let all = std::iter::once(dy).chain(more).collect();
                saved.backward(None, Tensor::cat(all, 1), gradients)
            }
            Self::Separate(first, others) => {
                let sum = first.backward(None, dy, gradients);
                let rest = others.into_iter().zip(more);
                rest.fold(sum, |sum, (one, dy)| one.backward(Some(sum), dy, gradients))
            }
        }
    }
}
