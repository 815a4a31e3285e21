//! Simulated jobs, on names instead of numbers, in place of the daemon's. The jobs of a real round
//! take seconds of processor time, these take microseconds, and from names a checker can tell
//! whether what was opened is the sum of U. So training, encryption, the range of sums and the
//! errors inside a job are not simulated; the daemon's tests and `tests/tests` run those.

mod contributions;
mod sums;

use fedshield_protocol::ids::Round;
use fedshield_protocol::job::{Fate, Job, JobOutput, RoundStart, UpdateShape};
use fedshield_protocol::object::ObjectRef;

use super::content::{CONTENT_BYTES, Content, layout_of, stalled_layout_of};
use super::faults::Fault;
use super::node::Node;

/// No sum that contains a vector with this or a greater number opens.
const UNOPENABLE: u32 = 1 << 31;

/// The shape of every update of a round.
pub(super) fn shape_of(start: &RoundStart) -> UpdateShape {
    let length = CONTENT_BYTES as u64;
    UpdateShape {
        layout: layout_of(&start.beacon),
        stalled: start.stopped.is_none().then(|| stalled_layout_of(&start.beacon)),
        ciphertext_bytes: length,
        sealed_share_bytes: length,
    }
}

impl Node {
    /// Runs a job to its end.
    ///
    /// # Errors
    /// Why the job failed.
    pub(crate) fn run_job(
        &mut self,
        job: &Job,
        threshold: u16,
        resend_spent: bool,
    ) -> Result<JobOutput, String> {
        let withheld = matches!(
            job,
            Job::ResealShare { .. } | Job::OpenShare { .. } | Job::PartialDecrypt { .. }
        );
        if self.fault == Some(Fault::BadSharesUnanswered) && withheld {
            return Err("it does not answer".into());
        }
        match job {
            Job::MakeSealingKey { round } => Ok(JobOutput::SealingKey(self.sealing_key(*round))),
            Job::Contribute { start } => {
                self.adapter_at(start.applied)?;
                Ok(self.contribute(start))
            }
            Job::PrepareRound { start } => {
                self.adapter_at(start.applied)?;
                Ok(JobOutput::Prepared(shape_of(start)))
            }
            Job::CheckCiphertext { update, .. } => self.check_ciphertext(update),
            Job::OpenShare { .. } if self.fault == Some(Fault::SplitsOutcome) => {
                Err("does not answer complaints".into())
            }
            Job::SealShares { round, sealing_keys } => self.seal_shares(*round, sealing_keys),
            Job::CheckShare { round, update } => self.check_share(*round, update),
            Job::ResealShare { round, member, sealing_key } => {
                self.seal_again(*round, *member, sealing_key)
            }
            Job::CheckResealedShare { round, update, sealed } => {
                self.check_resealed_share(*round, update, sealed)
            }
            Job::OpenShare { member, .. } => Ok(JobOutput::ShareOpening(vec![member.0 as u8; 4])),
            Job::CheckShareOpening { update, member, .. } => {
                if *member == self.member {
                    self.disk.shares.insert(update.commitment);
                }
                Ok(JobOutput::Checked { valid: true })
            }
            Job::Aggregate { start, set } => {
                self.adapter_at(start.applied)?;
                self.aggregate(set)
            }
            Job::PartialDecrypt { set, .. } => self.partial(set),
            Job::Combine { start, set, aggregate, partials } => {
                self.adapter_at(start.applied)?;
                self.combine(start.round, set, aggregate, partials, threshold)
            }
            Job::CheckKey { start, set, aggregate, key } => {
                self.adapter_at(start.applied)?;
                self.check_key(start.round, set, aggregate, key)
            }
            Job::Apply { start, sum, .. } => self.apply(start, *sum),
            Job::Adopt { adapter, applied } => {
                if !self.disk.objects.contains_key(adapter) {
                    return Err("the adapter is not here".into());
                }
                self.set_adapter(*applied, *adapter);
                Ok(JobOutput::Adopted)
            }
            // Jobs about evidence are run by `evidence`.
            Job::CheckEvidence { .. } | Job::ProveAnswers { .. } => {
                Err("nothing to compute".into())
            }
            Job::Settle { round, fate } => {
                self.settle(*round, *fate, resend_spent);
                Ok(JobOutput::Settled)
            }
            Job::EraseSecrets { .. } => {
                self.disk.keys.clear();
                self.disk.contributions.clear();
                Ok(JobOutput::Erased)
            }
        }
    }

    /// The sealing key of a round: generated once, and a different one after a loss of the disk.
    fn sealing_key(&mut self, round: Round) -> Vec<u8> {
        if let Some(key) = self.disk.keys.get(&round) {
            return key.clone();
        }
        self.disk.salt += 1;
        let mut key = vec![self.member.0 as u8 + 1; 24];
        key.extend_from_slice(&self.disk.salt.to_le_bytes());
        key.extend_from_slice(&round.0.to_le_bytes());
        self.disk.keys.insert(round, key.clone());
        key
    }

    fn put(&mut self, content: &Content) -> ObjectRef {
        self.put_bytes(content.bytes())
    }

    fn put_bytes(&mut self, bytes: Vec<u8>) -> ObjectRef {
        let object = ObjectRef::of(&bytes);
        self.disk.objects.insert(object, bytes.into());
        object
    }

    fn read(&self, object: &ObjectRef) -> Option<Content> {
        self.disk.objects.get(object).and_then(|bytes| Content::read(bytes))
    }

    /// The adapter after `applied` rounds; the initial one, `None`, needs no disk.
    fn adapter_at(&self, applied: u64) -> Result<Option<ObjectRef>, String> {
        if applied == 0 && !self.disk.first_is_gone {
            return Ok(None);
        }
        let mut kept = self.disk.adapters.iter().flatten();
        match kept.find(|(t, object)| *t == applied && self.disk.objects.contains_key(object)) {
            Some((_, object)) => Ok(Some(*object)),
            None => Err(format!("no adapter of {applied} applied rounds is here")),
        }
    }

    fn set_adapter(&mut self, applied: u64, adapter: ObjectRef) {
        let [newest, _] = self.disk.adapters;
        if newest != Some((applied, adapter)) {
            self.disk.adapters = [Some((applied, adapter)), newest];
        }
    }

    /// Erases the round's encryption and all sealing keys up to the round. A spent vector is never
    /// sent again, unless that bug is planted.
    fn settle(&mut self, round: Round, fate: Option<Fate>, resend_spent: bool) {
        self.disk.contributions.remove(&round);
        self.disk.keys.retain(|of, _| *of > round);
        if self.disk.settled.insert(round) && fate == Some(Fate::Spent) && !resend_spent {
            self.disk.vector += 1;
        }
    }
}
