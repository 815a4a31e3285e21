//! A PEFT adapter as the one that a federation starts from.

use std::collections::BTreeMap;

use super::{PeftAdapter, tensor_of};
use crate::adapter::federated_shape;
use crate::adapter::names::ModuleNames;
use crate::federated::{
    AdapterLayout, AdapterSpec, Algorithm, Factor, FederatedSettings, GlobalAdapter,
};
use crate::model::ModelConfig;
use crate::{Result, TrainError, Valid};

impl PeftAdapter {
    /// Rank, alpha and projections of the federation that starts from this adapter. If it has them
    /// alike in every layer and its alpha is whole, they are its own; otherwise they are those of a
    /// larger adapter that computes the same.
    pub fn federated_spec(&self) -> AdapterSpec {
        federated_shape::spec(&self.stored.modules)
    }

    /// Whether [`Self::federated_spec`] differs from what the adapter itself has.
    pub fn is_filled_up(&self) -> bool {
        let alike = self.config.is_alike_in_every_layer();
        !alike || self.spec().ok() != Some(self.federated_spec())
    }

    /// Digest of what the adapter computes, independent of everything else in its files: BLAKE3
    /// over rank, alpha, and the name, shape and f32 values of every tensor in the order of their
    /// names. If ranks, alphas or projections differ between modules, rank and alpha stand before
    /// each tensor instead, under a context of its own.
    ///
    /// # Errors
    /// A tensor that cannot be read.
    pub fn digest(&self) -> Result<[u8; 32]> {
        let even = self.spec().ok();
        let mut hasher = blake3::Hasher::new_derive_key(match even {
            Some(_) => "fedshield-train v1 first adapter",
            None => "fedshield-train v1 first adapter of several shapes",
        });
        let scale = |hasher: &mut blake3::Hasher, rank: usize, alpha: f64| {
            hasher.update(&(rank as u64).to_le_bytes());
            hasher.update(&alpha.to_bits().to_le_bytes());
        };
        if let Some(spec) = &even {
            scale(&mut hasher, spec.rank, spec.alpha);
        }
        let modules = self.stored.modules.iter();
        let tensors = modules.flat_map(|one| {
            let stored = one.tensors.iter().map(move |stored| (one, stored));
            one.peft_names(ModuleNames::Text).into_iter().zip(stored)
        });
        let tensors: BTreeMap<String, _> = tensors.collect();
        for (name, (module, stored)) in tensors {
            if even.is_none() {
                scale(&mut hasher, module.rank, module.alpha);
            }
            let (shape, values) = self.source.read_any(stored)?;
            hasher.update(&(name.len() as u64).to_le_bytes());
            hasher.update(name.as_bytes());
            hasher.update(&(shape.len() as u64).to_le_bytes());
            for length in shape {
                hasher.update(&(length as u64).to_le_bytes());
            }
            for value in values {
                hasher.update(&value.to_bits().to_le_bytes());
            }
        }
        Ok(*hasher.finalize().as_bytes())
    }

    /// The adapter as the global adapter of a new federation, in the shape of
    /// [`Self::federated_spec`]: no round has been applied, and all scores are zero.
    ///
    /// # Errors
    /// What [`Self::lora`] refuses; a rank or a size that a federation cannot have; with `fed-sb`,
    /// a B that is zero.
    pub fn global(
        &self,
        model: &ModelConfig,
        settings: &Valid<FederatedSettings>,
    ) -> Result<GlobalAdapter> {
        let layout = AdapterLayout::new(model, &self.federated_spec())?;
        self.in_shape(&layout, model, settings)
    }

    /// The adapter in the shape of `layout`, which has at least its ranks and projections.
    ///
    /// # Errors
    /// Those of [`Self::global`].
    pub(super) fn in_shape(
        &self,
        layout: &AdapterLayout,
        model: &ModelConfig,
        settings: &Valid<FederatedSettings>,
    ) -> Result<GlobalAdapter> {
        let lora = self.lora(model)?;
        let (a, b) = federated_shape::fill(layout, &lora.projections, self.digest()?);
        if settings.algorithm == Algorithm::FedSb {
            self.check_not_zero(layout, &b)?;
        }
        Ok(GlobalAdapter::from_values(layout.clone(), settings, a, b))
    }

    /// With B zero, R has no effect, whatever its values are.
    fn check_not_zero(&self, layout: &AdapterLayout, b: &[f32]) -> Result<()> {
        for (module, range) in layout.ranges(Factor::B) {
            if b[range].iter().all(|value| *value == 0.0) {
                let (name, _) = tensor_of(layout, module, Factor::B);
                let reason = "is zero or missing, and fed-sb trains only what stands between \
                              lora_A and lora_B: start without a first adapter, or with one that was \
                              trained in every layer";
                return Err(TrainError::tensor(&self.path, &name, reason));
            }
        }
        Ok(())
    }
}
