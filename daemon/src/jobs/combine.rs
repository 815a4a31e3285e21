//! combine: the summed key from partial decryptions, its check, and the opened sum.

use std::io::BufReader;

use fedshield_he::{Answers, PartialDecryption, combine};
use fedshield_protocol::ids::MemberIndex;
use fedshield_protocol::job::{Combined, JobOutput, RoundStart};
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::Set;

use super::observer::{Stage, timed};
use super::{Pipeline, PipelineError};

impl Pipeline {
    pub(super) fn combine(
        &self,
        start: &RoundStart,
        set: &Set,
        aggregate: ObjectRef,
        partials: &[(MemberIndex, ObjectRef)],
    ) -> Result<JobOutput, PipelineError> {
        let round = start.round;
        let context = self.terms.context(round);
        let contributors = self.contributors(round, set)?;
        let members = set.iter().map(|(member, _)| *member);
        let shape = self.terms.sum_shape(members, start.applied, self.value_count(start)?);
        let mut answers = Vec::with_capacity(partials.len());
        for (member, object) in partials {
            let bytes = self.objects.read(object)?;
            match PartialDecryption::from_bytes(
                &context,
                member.share_index(),
                &contributors,
                &bytes,
            ) {
                Ok(answer) => answers.push(answer),
                Err(reason) => {
                    tracing::warn!(%round, %member, %reason, "partial decryption refused")
                }
            }
        }
        let reader = BufReader::new(self.objects.file(&aggregate)?);
        let limits = (self.terms.rules.threshold, self.terms.rules.max_faulty);
        // Grows with what is really read, not with what is announced.
        let mut values = Vec::new();
        let result = timed(&*self.observer, round, Stage::Combine, || {
            combine(&context, &contributors, limits, &answers, shape, reader, |block| {
                values.extend_from_slice(block);
                Ok(())
            })
        });
        let combined = match result {
            Ok(combined) => combined,
            // Too few or wrong answers: more may come. A residual is the ciphertexts' fault, and no answer mends it.
            Err(
                reason @ (fedshield_he::Error::NotOpened { .. }
                | fedshield_he::Error::Residual { .. }),
            ) => {
                tracing::warn!(%round, answers = answers.len(), %reason, "the sum does not open");
                return Ok(JobOutput::Combined(Combined::NotYet));
            }
            Err(other) => return Err(other.into()),
        };
        let key = self.objects.put(&combined.key.to_bytes(&context, &contributors))?;
        let sum = self.keep_sum(round, values, &combined.sum)?;
        let culprits = match combined.answers {
            Answers::Culprits(indices) => {
                indices.iter().map(|index| MemberIndex(index.saturating_sub(1))).collect()
            }
            Answers::Disputed(indices) => {
                tracing::warn!(%round, share_indices = ?indices, "answers off the others; too few agree to say who lied");
                Vec::new()
            }
            Answers::Consistent => Vec::new(),
        };
        Ok(JobOutput::Combined(Combined::Opened { key, sum, culprits }))
    }
}
