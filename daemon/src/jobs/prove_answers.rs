//! Evidence produced here: which member's partial decryption was wrong, provable to anyone.

use fedshield_protocol::ids::{MemberIndex, Round};
use fedshield_protocol::job::JobOutput;
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::sign::Signature;
use fedshield_protocol::wire::evidence::{Evidence, Proof, SignedAnswer, WrongAnswer};
use fedshield_protocol::wire::{Decided, Value};

use super::{Pipeline, PipelineError};
use crate::evidence;

/// An opened sum, and the answers that have arrived.
pub(super) struct OpenedAnswers<'a> {
    pub(super) round: Round,
    pub(super) set: &'a Decided,
    pub(super) outcome: &'a Decided,
    pub(super) answers: &'a [(MemberIndex, ObjectRef, Signature)],
    pub(super) culprits: &'a [MemberIndex],
}

impl Pipeline {
    /// Proofs that these members' answers are wrong, where enough others agree.
    pub(super) fn prove_answers(
        &self,
        opening: &OpenedAnswers<'_>,
    ) -> Result<JobOutput, PipelineError> {
        let round = opening.round;
        let Value::Opened { key, .. } = &opening.outcome.value else {
            return Ok(JobOutput::Proven(Vec::new()));
        };
        let key = self.objects.read(key)?;
        let mut answers = Vec::with_capacity(opening.answers.len());
        for (member, object, signature) in opening.answers {
            let bytes = self.objects.read(object)?;
            answers.push(SignedAnswer { member: *member, signature: *signature, bytes });
        }
        let manifest = self.terms.valid_manifest()?;
        let mut proofs = Vec::new();
        for culprit in opening.culprits {
            let Some(accused) = answers.iter().find(|it| it.member == *culprit) else { continue };
            let Some(agreeing) = self.agreeing(round, &answers, opening.culprits) else {
                continue;
            };
            let proof = WrongAnswer {
                set: opening.set.clone(),
                outcome: opening.outcome.clone(),
                key: key.clone(),
                accused: accused.clone(),
                agreeing,
            };
            let proof = Proof::WrongAnswer(Box::new(proof));
            let found = Evidence { member: *culprit, round, proof };
            match (evidence::check(&found, &manifest), found.encode()) {
                (Ok(()), Ok(bytes)) => proofs.push(bytes),
                (Err(reason), _) => {
                    tracing::warn!(%round, %culprit, %reason, "a wrong answer cannot be proven");
                }
                (_, Err(reason)) => {
                    tracing::warn!(%round, %culprit, %reason, "a wrong answer cannot be proven");
                }
            }
        }
        Ok(JobOutput::Proven(proofs))
    }

    /// Exactly as many answers as a proof needs, since evidence stores each of them, and none from
    /// a culprit; `None` if there are too few.
    fn agreeing(
        &self,
        round: Round,
        answers: &[SignedAnswer],
        culprits: &[MemberIndex],
    ) -> Option<Vec<SignedAnswer>> {
        let rules = &self.terms.rules;
        let needed = usize::from(rules.threshold) + usize::from(rules.max_faulty);
        let needed = needed.saturating_sub(1);
        let agreeing: Vec<SignedAnswer> = answers
            .iter()
            .filter(|answer| !culprits.contains(&answer.member))
            .take(needed)
            .cloned()
            .collect();
        if agreeing.len() < needed {
            tracing::warn!(%round, here = agreeing.len(), needed, "too few answers to prove which one is wrong");
            return None;
        }
        Some(agreeing)
    }
}
