//! The optimiser's state that a member keeps from round to round, where the terms say so.
//!
//! Each factor has two files. A file says how many rounds were applied when its training began.
//! Training after t applied rounds goes on from the newer file of those that say less than t, and
//! replaces the other one. So a state whose round was not applied is passed over when that round is
//! trained again, and a crash at any moment leaves the file that the same training starts from: no
//! step has to be undone.

use std::path::PathBuf;

use fedshield_train::federated::{Factor, GlobalAdapter, LocalOptimizer};
use fedshield_train::{Moments, OptimizerState};
use zeroize::Zeroizing;

use super::name;
use crate::control::api::{Condition, Severity};
use crate::durable::DiskError;
use crate::identity::SecretStoreError;
use crate::jobs::{Pipeline, PipelineError};

/// Length of the number of applied rounds at the beginning of a file.
const STAMP_BYTES: usize = 8;

/// The state that a round's training starts from.
#[derive(Default)]
pub(in crate::jobs) struct KeptOptimizer {
    pub(in crate::jobs) state: OptimizerState,
    /// The trained factors, and which file of each is replaced.
    replaced: Vec<(Factor, usize)>,
}

/// The content of one file, or why it cannot be used.
enum Slot {
    Empty,
    Holds { applied: u64, moments: Moments },
    Refused { file: PathBuf, reason: String },
}

impl Pipeline {
    /// The state from which the factors of the next round of `global` are trained; fresh if none is
    /// kept. A file that cannot be used is reported and erased, with its counterpart, and its
    /// factor starts afresh.
    ///
    /// # Errors
    /// A disk that cannot be read.
    pub(in crate::jobs) fn optimizer_before(
        &self,
        global: &GlobalAdapter,
    ) -> Result<KeptOptimizer, PipelineError> {
        let mut kept = KeptOptimizer::default();
        if self.terms.settings.local_optimizer != LocalOptimizer::Kept {
            return Ok(kept);
        }
        let mut refused = Vec::new();
        for factor in global.trained_factors() {
            let mut newest = None;
            for slot in 0..name::MOMENT_SLOTS {
                match self.slot(*factor, slot, global.layout().len(*factor))? {
                    Slot::Holds { applied, moments }
                        if applied < global.applied()
                            && newest.as_ref().is_none_or(|(best, _, _)| *best < applied) =>
                    {
                        newest = Some((applied, slot, moments));
                    }
                    Slot::Refused { file, reason } => {
                        refused.push((*factor, format!("{}: {reason}", file.display())));
                    }
                    Slot::Holds { .. } | Slot::Empty => {}
                }
            }
            let is_refused = refused.iter().any(|(of, _)| of == factor);
            let newest = newest.filter(|_| !is_refused);
            let replaced = newest.as_ref().map_or(0, |(_, slot, _)| usize::from(*slot == 0));
            kept.replaced.push((*factor, replaced));
            if let Some((_, _, moments)) = newest {
                kept.state.set(*factor, moments);
            }
        }
        for (factor, _) in &refused {
            self.erase_moments(*factor)?;
        }
        let messages: Vec<String> = refused.into_iter().map(|(_, message)| message).collect();
        self.observer.optimizer_state((!messages.is_empty()).then(|| condition(&messages)));
        Ok(kept)
    }

    /// Keeps the state after the training that started from `kept`.
    ///
    /// # Errors
    /// A disk that cannot be written.
    pub(in crate::jobs) fn keep_optimizer(
        &self,
        global: &GlobalAdapter,
        kept: &KeptOptimizer,
        after: &OptimizerState,
    ) -> Result<(), PipelineError> {
        for (factor, slot) in &kept.replaced {
            let Some(moments) = after.of(*factor) else { continue };
            let moments = Zeroizing::new(moments.to_bytes());
            let mut bytes =
                Zeroizing::new(Vec::with_capacity(STAMP_BYTES.saturating_add(moments.len())));
            bytes.extend(global.applied().to_le_bytes());
            bytes.extend_from_slice(&moments);
            self.secrets.put(&name::moments(*factor, *slot), &bytes)?;
        }
        Ok(())
    }

    /// Erases what is kept: the federation is done.
    ///
    /// # Errors
    /// A disk that cannot be written.
    pub(in crate::jobs) fn erase_optimizer(&self) -> Result<(), PipelineError> {
        Factor::ALL.into_iter().try_for_each(|factor| self.erase_moments(factor))
    }

    fn erase_moments(&self, factor: Factor) -> Result<(), PipelineError> {
        for slot in 0..name::MOMENT_SLOTS {
            self.secrets.erase(&name::moments(factor, slot))?;
        }
        Ok(())
    }

    fn slot(&self, factor: Factor, slot: usize, len: usize) -> Result<Slot, PipelineError> {
        let name = name::moments(factor, slot);
        let file = self.secrets.file(&name);
        let refused = |reason: String| Slot::Refused { file: file.clone(), reason };
        let bytes = match self.secrets.get(&name) {
            Ok(None) => return Ok(Slot::Empty),
            Ok(Some(bytes)) => bytes,
            Err(SecretStoreError::Damaged { .. }) => {
                let reason = "it was not encrypted by this identity, or was changed";
                return Ok(refused(reason.to_owned()));
            }
            Err(SecretStoreError::Disk(DiskError::Io { source, .. }))
                if source.kind() == std::io::ErrorKind::InvalidData =>
            {
                return Ok(refused(source.to_string()));
            }
            Err(other) => return Err(other.into()),
        };
        let Some((stamp, moments)) = bytes.split_first_chunk::<STAMP_BYTES>() else {
            return Ok(refused("it is cut off".to_owned()));
        };
        Ok(match Moments::from_bytes(moments, len) {
            Ok(moments) => Slot::Holds { applied: u64::from_le_bytes(*stamp), moments },
            Err(error) => refused(error.to_string()),
        })
    }
}

fn condition(refused: &[String]) -> Condition {
    let message = format!(
        "the optimiser's state that this node kept cannot be used, and is erased: {}. The round \
         starts with a fresh one",
        refused.join("; ")
    );
    let hint = "nothing has to be done: the next rounds keep a new one. If it happens again, check \
                the disk";
    Condition::new(OPTIMIZER_CONDITION, Severity::Warning, message).with_hint(hint)
}

/// The name of the condition for an optimiser's state that cannot be used.
pub(crate) const OPTIMIZER_CONDITION: &str = "optimizer-state";
