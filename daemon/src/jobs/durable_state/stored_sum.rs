//! The opened sum of a round on disk: `combine` or `check_key` leaves it, `apply` reads it.

use fedshield_he::SumSummary;
use fedshield_protocol::ids::{NonceDigest, Round, SumDigest};
use serde::{Deserialize, Serialize};

use super::{name, read_value, write_value};
use crate::encryption::{nonce_digest, sum_digest};
use crate::jobs::{Pipeline, PipelineError};

/// The opened sum, as every member has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSum {
    /// Digest that members agreed on.
    pub digest: SumDigest,
    /// Sum over the contributors of `round(scale * weight_i * x_i)`, in the mask's order.
    pub values: Vec<i64>,
    /// Digest of the sum of their nonces.
    pub nonce: NonceDigest,
    /// Slots that no honest contributors can have produced.
    pub out_of_range: u64,
}

impl Pipeline {
    /// Puts an opened sum on disk; its key is there as an object. Returns its digest.
    pub(in crate::jobs) fn keep_sum(
        &self,
        round: Round,
        values: Vec<i64>,
        opened: &SumSummary,
    ) -> Result<SumDigest, PipelineError> {
        let sum = StoredSum {
            digest: sum_digest(opened.digest),
            values,
            nonce: nonce_digest(opened.nonce_digest),
            out_of_range: opened.out_of_range,
        };
        write_value(&self.round_folder(round)?.join(name::SUM), &sum)?;
        Ok(sum.digest)
    }

    /// The sum that this member opened in a round, once [`combine`](Self::run) has opened it.
    ///
    /// # Errors
    /// If the round's folder does not hold it.
    pub fn opened_sum(&self, round: Round) -> Result<StoredSum, PipelineError> {
        read_value(&self.round_folder(round)?.join(name::SUM))
    }
}
