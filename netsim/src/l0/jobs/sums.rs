//! Simulated sums: adding ciphertexts, partial decryptions, opening, and applying what was opened.

use fedshield_protocol::ids::{CommitmentDigest, MemberIndex, Round, SumDigest};
use fedshield_protocol::job::{Applied, Combined, Included, JobOutput, RoundStart};
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::UpdateSet;

use super::UNOPENABLE;
use crate::l0::byzantine::split_outcome;
use crate::l0::content::{Content, is_in_range, nonce_of, sum_of};
use crate::l0::faults::Fault;
use crate::l0::node::Node;

fn digests(set: &[Included]) -> Vec<CommitmentDigest> {
    set.iter().map(|included| included.commitment).collect()
}

fn commitments(set: &UpdateSet) -> Vec<CommitmentDigest> {
    set.commitments().collect()
}

impl Node {
    pub(super) fn aggregate(&mut self, set: &[Included]) -> Result<JobOutput, String> {
        let mut parts = Vec::new();
        let mut vectors = Vec::new();
        for included in set {
            match self.read(&included.body.ciphertext) {
                Some(Content::Ciphertext { vector, .. }) => vectors.push(vector),
                _ => return Err("a ciphertext is not here".into()),
            }
            parts.push(included.body.ciphertext.root);
        }
        parts.sort_unstable();
        vectors.sort_unstable();
        if self.fault == Some(Fault::WrongSum) {
            vectors.pop();
        }
        Ok(JobOutput::Aggregated(self.put(&Content::Aggregate { parts, vectors })))
    }

    pub(super) fn partial(&mut self, set: &[Included]) -> Result<JobOutput, String> {
        if !set.iter().all(|included| self.disk.shares.contains(&included.commitment)) {
            return Err("a share is not here".into());
        }
        let correct = self.fault != Some(Fault::WrongPartial);
        let content = Content::Partial { member: self.member, set: digests(set), correct };
        if self.fault == Some(Fault::SplitsOutcome)
            && let Some(other) = split_outcome::other_answer(&content)
        {
            let other = self.put(&other);
            self.served.insert(other, None);
        }
        Ok(JobOutput::Partial(self.put(&content)))
    }

    pub(super) fn combine(
        &mut self,
        round: Round,
        set: &UpdateSet,
        aggregate: &ObjectRef,
        partials: &[(MemberIndex, ObjectRef)],
        threshold: u16,
    ) -> Result<JobOutput, String> {
        let Some(Content::Aggregate { vectors, .. }) = self.read(aggregate) else {
            return Err("the aggregate is not here".into());
        };
        let wanted = commitments(set);
        let mut good = 0;
        let mut culprits = Vec::new();
        for (by, object) in partials {
            match self.read(object) {
                Some(Content::Partial { member, set, correct })
                    if correct && member == *by && set == wanted =>
                {
                    good += 1;
                }
                Some(_) => culprits.push(*by),
                None => return Err("a partial decryption is not here".into()),
            }
        }
        let unopenable = vectors.iter().any(|vector| vector.number >= UNOPENABLE);
        if good < usize::from(threshold) || unopenable {
            return Ok(JobOutput::Combined(Combined::NotYet));
        }
        let sum = sum_of(&vectors);
        self.disk.sums.insert(round, sum);
        let key = self.put(&Content::Key { set: wanted, correct: true });
        Ok(JobOutput::Combined(Combined::Opened { key, sum, culprits }))
    }

    pub(super) fn check_key(
        &mut self,
        round: Round,
        set: &UpdateSet,
        aggregate: &ObjectRef,
        key: &ObjectRef,
    ) -> Result<JobOutput, String> {
        let Some(Content::Aggregate { vectors, .. }) = self.read(aggregate) else {
            return Err("the aggregate is not here".into());
        };
        let fits = match self.disk.objects.get(key).map(|bytes| Content::read(bytes)) {
            Some(Some(Content::Key { set: of, correct })) => correct && of == commitments(set),
            Some(_) => false,
            None => return Err("the key is not here".into()),
        };
        if !fits || vectors.iter().any(|vector| vector.number >= UNOPENABLE) {
            return Ok(JobOutput::KeyChecked { sum: None });
        }
        let sum = sum_of(&vectors);
        self.disk.sums.insert(round, sum);
        Ok(JobOutput::KeyChecked { sum: Some(sum) })
    }

    /// Applying the same round again gives the same result.
    pub(super) fn apply(
        &mut self,
        start: &RoundStart,
        sum: SumDigest,
    ) -> Result<JobOutput, String> {
        if self.disk.sums.get(&start.round) != Some(&sum) {
            return Err("this sum was not opened here".into());
        }
        let before = self.adapter_at(start.applied)?;
        let accepted = is_in_range(&sum);
        let content = Content::Adapter { round: start.round, before: before.map(|a| a.root), sum };
        let adapter = match (accepted, before) {
            (false, Some(before)) => before,
            _ => self.put(&content),
        };
        if accepted {
            self.set_adapter(start.applied + 1, adapter);
        }
        let measured = None;
        Ok(JobOutput::Applied(Applied { adapter, accepted, nonce: nonce_of(&sum), measured }))
    }
}
