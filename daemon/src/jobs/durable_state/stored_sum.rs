//! The opened sum of a round on disk: written by `combine` or `check_key`, read by `apply`.

use fedshield_he::SumSummary;
use fedshield_protocol::ids::{NonceDigest, Round, SumDigest};
use fedshield_protocol::wire::Measured;
use serde::{Deserialize, Serialize};

use super::{name, read_value, write_value};
use crate::encryption::{nonce_digest, sum_digest};
use crate::jobs::{Pipeline, PipelineError};

/// The opened sum, identical at every member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSum {
    /// The digest that members agree on.
    pub digest: SumDigest,
    /// Sum over the contributors of `round(scale * weight_i * x_i)`, in the mask's order.
    pub values: Vec<i64>,
    /// Digest of the sum of their nonces.
    pub nonce: NonceDigest,
    /// Number of slots with a value that honest contributors cannot have produced.
    pub out_of_range: u64,
    /// The sum of the contributors' measurements, if there is one.
    pub measured: Option<Measured>,
}

impl Pipeline {
    /// Writes an opened sum to disk; its key is stored as an object already. Returns its digest.
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
            measured: opened.measured.map(|it| Measured { count: it.count, sum: it.sum }),
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
