//! An adapter as a model applies it: for each adapted projection, y = W x + alpha/rank B A x.

use std::borrow::Cow;

use crate::federated::{Factor, GlobalAdapter};
use crate::model::{ModelConfig, Projection};
use crate::{Result, TrainError};

/// One adapted projection.
#[derive(Clone, Debug, PartialEq)]
pub struct AdaptedProjection<'a> {
    /// Layer, from 0.
    pub layer: usize,
    /// Projection inside the layer.
    pub projection: Projection,
    /// Inner dimension of the factors.
    pub rank: usize,
    /// Numerator of the scale alpha / rank.
    pub alpha: f64,
    /// `[rank, inputs]`, row-major.
    pub a: Cow<'a, [f32]>,
    /// `[outputs, rank]`, row-major.
    pub b: Cow<'a, [f32]>,
}

impl AdaptedProjection<'_> {
    /// The scale of B A.
    pub fn scale(&self) -> f64 {
        self.alpha / self.rank as f64
    }
}

/// Factors for the projections of a model: those of a federation's global adapter, or of one that
/// was read from files.
pub trait Adapter {
    /// Every adapted projection, once.
    fn projections(&self) -> Vec<AdaptedProjection<'_>>;
}

impl Adapter for GlobalAdapter {
    fn projections(&self) -> Vec<AdaptedProjection<'_>> {
        let layout = self.layout();
        let (all_a, all_b) = (self.values(Factor::A), self.lora_b());
        let ranges = layout.ranges(Factor::A).zip(layout.ranges(Factor::B));
        let projections = ranges.map(|((module, a), (_, b))| AdaptedProjection {
            layer: module.layer,
            projection: module.projection,
            rank: layout.rank(),
            alpha: layout.numerator(),
            a: Cow::Borrowed(&all_a[a]),
            b: match &all_b {
                Cow::Borrowed(all) => Cow::Borrowed(&all[b]),
                Cow::Owned(all) => Cow::Owned(all[b].to_vec()),
            },
        });
        projections.collect()
    }
}

/// An adapter that was read from files: each projection may have its own rank and scale.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraAdapter {
    pub(super) projections: Vec<AdaptedProjection<'static>>,
}

impl Adapter for LoraAdapter {
    fn projections(&self) -> Vec<AdaptedProjection<'_>> {
        let borrowed = self.projections.iter().map(|one| AdaptedProjection {
            a: Cow::Borrowed(&one.a),
            b: Cow::Borrowed(&one.b),
            ..*one
        });
        borrowed.collect()
    }
}

/// Checks that the adapter's projections and their sizes are those of a model.
///
/// # Errors
/// An adapter for another base model; the error names the first projection that does not fit.
pub(crate) fn check_fits(
    projections: &[AdaptedProjection<'_>],
    config: &ModelConfig,
) -> Result<()> {
    for one in projections {
        let (outputs, inputs) = one.projection.shape(config);
        let sizes = (one.rank * inputs, outputs * one.rank);
        if one.layer >= config.layers || sizes != (one.a.len(), one.b.len()) {
            let (layer, name) = (one.layer, one.projection.name());
            let reason = format!("it was made for another base model: {name} of layer {layer}");
            return Err(TrainError::Adapter(reason));
        }
    }
    Ok(())
}
