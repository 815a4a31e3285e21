//! Evidence in the simulation: the protocol checks signatures and certificates, this module the
//! simulated arithmetic.

use std::collections::BTreeMap;
use std::sync::Arc;

use fedshield_protocol::ids::{CommitmentDigest, MemberIndex, Round};
use fedshield_protocol::job::{Job, JobOutput};
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::roster::Roster;
use fedshield_protocol::sign::Signature;
use fedshield_protocol::wire::evidence::{Evidence, Proof, SignedAnswer, WrongAnswer};
use fedshield_protocol::wire::{Decided, Value};

use super::content::Content;
use super::federation::Federation;

/// The objects of one node.
type Objects = BTreeMap<ObjectRef, Arc<[u8]>>;

/// Decodes and verifies evidence against `member`.
///
/// # Errors
/// Why the bytes prove nothing against it.
pub(super) fn check(
    federation: &Federation,
    member: MemberIndex,
    bytes: &[u8],
) -> Result<Evidence, String> {
    let evidence = Evidence::decode(bytes).map_err(|error| error.to_string())?;
    if evidence.member != member {
        return Err(format!("it is about member {}", evidence.member));
    }
    let signatures = federation.signatures(member);
    let roster = Roster::new(&federation.manifest, &signatures);
    evidence.check(&roster).map_err(|error| error.to_string())?;
    match &evidence.proof {
        // Every simulated opening of a share is correct.
        Proof::WrongOpening { .. } => Err("the answer is true".into()),
        Proof::WrongAnswer(answer) => is_wrong(answer).map(|()| evidence),
        _ => Ok(evidence),
    }
}

fn is_wrong(answer: &WrongAnswer) -> Result<(), String> {
    let (Value::Aggregate { set, .. }, Value::Opened { key, .. }) =
        (&answer.set.value, &answer.outcome.value)
    else {
        return Err("nothing was opened".into());
    };
    let set: Vec<CommitmentDigest> = set.commitments().collect();
    if answer.key != key_bytes(&set) || *key != ObjectRef::of(&answer.key) {
        return Err("it is another key".into());
    }
    if !answer.agreeing.iter().all(|it| is_right(it.member, &it.bytes, &set)) {
        return Err("the others do not agree".into());
    }
    match is_right(answer.accused.member, &answer.accused.bytes, &set) {
        true => Err("the answer is right".into()),
        false => Ok(()),
    }
}

fn is_right(by: MemberIndex, bytes: &[u8], of: &[CommitmentDigest]) -> bool {
    matches!(Content::read(bytes), Some(Content::Partial { member, set, correct })
        if correct && member == by && set == of)
}

fn key_bytes(set: &[CommitmentDigest]) -> Vec<u8> {
    Content::Key { set: set.to_vec(), correct: true }.bytes()
}

/// Runs a job about evidence; `None` for other jobs.
pub(super) fn run_job(
    federation: &Federation,
    objects: &Objects,
    job: &Job,
) -> Option<Result<JobOutput, String>> {
    match job {
        Job::CheckEvidence { member, object, .. } => {
            let Some(bytes) = objects.get(object) else {
                return Some(Err("the evidence is not here".into()));
            };
            let proves = check(federation, *member, bytes).is_ok();
            Some(Ok(JobOutput::Evidence(proves.then(|| bytes.to_vec()))))
        }
        Job::ProveAnswers { round, set, outcome: end, answers, culprits } => {
            let known = Known { federation, objects, round: *round, set, end, answers };
            let proofs = culprits.iter().filter_map(|culprit| known.prove(*culprit)).collect();
            Some(Ok(JobOutput::Proven(proofs)))
        }
        _ => None,
    }
}

/// What a member needs to prove wrong partial decryptions of an opened sum.
struct Known<'a> {
    federation: &'a Federation,
    objects: &'a Objects,
    round: Round,
    set: &'a Decided,
    end: &'a Decided,
    answers: &'a [(MemberIndex, ObjectRef, Signature)],
}

impl Known<'_> {
    fn prove(&self, culprit: MemberIndex) -> Option<Vec<u8>> {
        let Value::Aggregate { set, .. } = &self.set.value else { return None };
        let digests: Vec<CommitmentDigest> = set.commitments().collect();
        let signed = |(member, object, signature): &(MemberIndex, ObjectRef, Signature)| {
            let bytes = self.objects.get(object)?.clone();
            Some(SignedAnswer { member: *member, signature: *signature, bytes: bytes.to_vec() })
        };
        let answers: Vec<SignedAnswer> = self.answers.iter().filter_map(signed).collect();
        let accused = answers.iter().find(|it| it.member == culprit)?.clone();
        let right = |it: &SignedAnswer| is_right(it.member, &it.bytes, &digests);
        let agreeing = answers.into_iter().filter(right).collect();
        let proof = WrongAnswer {
            set: self.set.clone(),
            outcome: self.end.clone(),
            key: key_bytes(&digests),
            accused,
            agreeing,
        };
        let evidence = Evidence {
            member: culprit,
            round: self.round,
            proof: Proof::WrongAnswer(Box::new(proof)),
        };
        let bytes = evidence.encode().ok()?;
        check(self.federation, culprit, &bytes).ok().map(|_| bytes)
    }
}
