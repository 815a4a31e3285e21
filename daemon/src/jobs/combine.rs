//! combine: the summed key from partial decryptions, its check, and the opened sum.

use std::io::BufReader;

use fedshield_he::{Answers, PartialDecryption, combine};
use fedshield_protocol::ids::MemberIndex;
use fedshield_protocol::job::{Combined, JobOutput, RoundStart};
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::UpdateSet;

use super::observer::{Stage, timed};
use super::{Pipeline, PipelineError};
use crate::encryption::{member_index, share_index};

impl Pipeline {
    pub(super) fn combine(
        &self,
        start: &RoundStart,
        set: &UpdateSet,
        aggregate: ObjectRef,
        partials: &[(MemberIndex, ObjectRef)],
    ) -> Result<JobOutput, PipelineError> {
        let round = start.round;
        let context = self.terms.context(round);
        let contributors = self.contributors(round, set)?;
        let members = set.iter().map(|(member, _)| *member);
        let shape = self.terms.sum_shape(members, start.applied, self.value_count(start)?);
        let mut answers = Vec::with_capacity(partials.len());
        let mut parsed = Vec::with_capacity(partials.len());
        for (member, object) in partials {
            let bytes = self.objects.read(object)?;
            let from = share_index(*member);
            match PartialDecryption::from_bytes(&context, from, contributors.id(), &bytes) {
                Ok(answer) => {
                    answers.push(answer);
                    parsed.push((*member, None));
                }
                Err(reason) => parsed.push((*member, Some(reason.to_string()))),
            }
        }
        self.observer.parsed_partials(round, &parsed);
        let reader = BufReader::new(self.objects.file(&aggregate)?);
        let sharing = self.terms.sharing;
        // Grows with the values that are read, not with an announced length.
        let mut values = Vec::new();
        let result = timed(&*self.observer, round, Stage::Combine, || {
            combine(&context, &contributors, sharing, &answers, shape, reader, |block| {
                values.extend_from_slice(block);
                Ok(())
            })
        });
        let combined = match result {
            Ok(combined) => combined,
            // Too few or wrong answers: more may arrive. A residual is caused by the ciphertexts,
            // and no answer corrects it.
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
        let sum = self.keep_sum(round, values, &combined.summary)?;
        let culprits = match combined.answers {
            Answers::Culprits(indices) => indices.into_iter().map(member_index).collect(),
            Answers::Disputed(indices) => {
                let members: Vec<MemberIndex> = indices.into_iter().map(member_index).collect();
                tracing::warn!(%round, ?members, "answers disagree; too few agree to tell which \
                                                  are wrong");
                Vec::new()
            }
            Answers::Consistent => Vec::new(),
        };
        Ok(JobOutput::Combined(Combined::Opened { key, sum, culprits }))
    }
}
