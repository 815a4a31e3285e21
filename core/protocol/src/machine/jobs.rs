//! Jobs that run at the host, by what they are for. A job that failed is tried again after the next status tick, a few
//! times.

use std::collections::{BTreeMap, BTreeSet};

use super::Machine;
use crate::effect::Effect;
use crate::ids::{Digest, MemberIndex, Round};
use crate::job::{Job, JobId, JobOutput};
use crate::limits::MAX_ATTEMPTS;
use crate::object::ObjectRef;

/// What a job is for. Only one of each runs at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tag {
    SealingKey(Round),
    Contribute(Round),
    SealShares(Round),
    ResealShare(MemberIndex),
    CheckResealedShare(Digest),
    Erase,
    CheckShare(Digest),
    CheckCiphertext(Digest),
    Prepare(Round),
    Reveal(MemberIndex),
    CheckShareOpening(Digest, MemberIndex),
    Aggregate(Digest),
    Partial(Round),
    Combine(Round),
    Apply(Round),
    Adopt(Digest),
    Settle(Round),
    CheckEvidence(Digest, MemberIndex),
    ProveAnswers(Round),
    CheckKey(ObjectRef),
}

impl Tag {
    /// Whether the job goes on when its round has ended.
    const fn outlives_round(self) -> bool {
        matches!(
            self,
            Self::SealingKey(_)
                | Self::Apply(_)
                | Self::Adopt(_)
                | Self::Settle(_)
                | Self::ProveAnswers(_)
                | Self::Erase
        )
    }
}

/// The jobs of one machine.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    next: u64,
    running: BTreeMap<JobId, Tag>,
    attempts: BTreeMap<Tag, u8>,
    /// Failed, and not started again yet.
    failed: BTreeSet<Tag>,
    /// Failed since the last status tick.
    resting: BTreeSet<Tag>,
}

impl Jobs {
    fn failed(&mut self, id: JobId) -> Option<Tag> {
        let tag = self.running.remove(&id)?;
        self.failed.insert(tag);
        self.resting.insert(tag);
        Some(tag)
    }

    /// A status tick: what failed may be tried again.
    pub(super) fn rested(&mut self) {
        self.resting.clear();
    }

    fn done(&mut self, id: JobId) -> Option<Tag> {
        self.running.remove(&id)
    }

    /// Whether a job is running.
    pub(crate) fn is_running(&self, tag: Tag) -> bool {
        self.running.values().any(|t| *t == tag)
    }

    /// Whether a job has failed and may be tried again.
    pub(crate) fn has_failed(&self, tag: Tag) -> bool {
        self.failed.contains(&tag)
    }
}

impl Machine {
    /// Starts a job unless it runs, rests after a failure, or has failed too often.
    pub(crate) fn start(&mut self, tag: Tag, job: Job) {
        let jobs = &mut self.jobs;
        if jobs.is_running(tag) || jobs.resting.contains(&tag) {
            return;
        }
        let attempts = jobs.attempts.entry(tag).or_default();
        // Without these a member could never take part again, or a round that it is needed for could not end; the last goes
        // on only while its key is in question. What keeps them from succeeding may pass: a full disk, for instance.
        let vital = matches!(
            tag,
            Tag::SealingKey(_)
                | Tag::Settle(_)
                | Tag::Adopt(_)
                | Tag::Prepare(_)
                | Tag::Erase
                | Tag::Partial(_)
                | Tag::Combine(_)
                | Tag::Apply(_)
                | Tag::CheckKey(_)
        );
        if *attempts >= MAX_ATTEMPTS && !vital {
            return;
        }
        *attempts = attempts.saturating_add(1);
        jobs.failed.remove(&tag);
        let id = JobId(jobs.next);
        jobs.next = jobs.next.saturating_add(1);
        jobs.running.insert(id, tag);
        self.out.push(Effect::Start(id, job));
    }

    /// Cancels what belongs to the round that has ended.
    pub(crate) fn cancel_round_jobs(&mut self) {
        let ended: Vec<JobId> = self
            .jobs
            .running
            .iter()
            .filter(|(_, tag)| !tag.outlives_round())
            .map(|(id, _)| *id)
            .collect();
        for id in ended {
            self.jobs.running.remove(&id);
            self.out.push(Effect::Cancel(id));
        }
        self.jobs.attempts.retain(|tag, _| tag.outlives_round());
        self.jobs.failed.retain(|tag| tag.outlives_round());
        self.jobs.resting.retain(|tag| tag.outlives_round());
    }

    /// A job may be started again: more has arrived that it can use.
    pub(crate) fn may_repeat(&mut self, tag: Tag) {
        self.jobs.attempts.remove(&tag);
    }

    /// Nobody is interested in the job any more.
    pub(crate) fn cancel(&mut self, tag: Tag) {
        let of_tag = |(id, running): (&JobId, &Tag)| (*running == tag).then_some(*id);
        if let Some(id) = self.jobs.running.iter().find_map(of_tag) {
            self.jobs.running.remove(&id);
            self.out.push(Effect::Cancel(id));
        }
    }

    pub(super) fn job_failed(&mut self, id: JobId) {
        match self.jobs.failed(id) {
            Some(Tag::Apply(round)) => self.not_applied(round),
            Some(Tag::CheckCiphertext(of)) => self.ciphertext_not_checked(&of),
            _ => {}
        }
    }

    pub(super) fn job_done(&mut self, id: JobId, output: JobOutput) {
        let Some(tag) = self.jobs.done(id) else { return self.dropped("job: not running") };
        match (tag, output) {
            (Tag::SealingKey(round), JobOutput::SealingKey(key)) => self.have_key(round, key),
            (Tag::Contribute(_), JobOutput::Encrypted) => self.round.encrypted = true,
            (Tag::SealShares(_), JobOutput::Contribution(body)) => self.contributed(body),
            (Tag::ResealShare(to), JobOutput::ResealedShare(sealed)) => self.resealed(to, sealed),
            (Tag::CheckResealedShare(of), JobOutput::Checked { valid }) => {
                self.box_checked(of, valid)
            }
            (Tag::Erase, JobOutput::Erased) => self.erased(),
            (Tag::CheckShare(of), JobOutput::Checked { valid }) => self.share_checked(of, valid),
            (Tag::CheckCiphertext(of), JobOutput::Checked { valid }) => {
                self.ciphertext_checked(of, valid);
            }
            (Tag::Prepare(_), JobOutput::Prepared(shape)) => self.prepared(shape),
            (Tag::Reveal(to), JobOutput::ShareOpening(bytes)) => self.revealed(to, bytes),
            (Tag::CheckShareOpening(of, member), JobOutput::Checked { valid }) => {
                self.share_opening_checked(of, member, valid);
            }
            (Tag::Aggregate(set), JobOutput::Aggregated(sum)) => self.aggregated(set, sum),
            (Tag::Partial(_), JobOutput::Partial(object)) => self.release(object),
            (Tag::Combine(_), JobOutput::Combined(combined)) => self.combined(combined),
            (Tag::Apply(round), JobOutput::Applied(applied)) => self.applied(round, applied),
            (Tag::Adopt(root), JobOutput::Adopted) => self.adopted(root),
            (Tag::Settle(round), JobOutput::Settled) => self.settled(round),
            (Tag::CheckEvidence(root, member), JobOutput::Evidence(bytes)) => {
                self.evidence_checked(root, member, bytes.as_deref());
            }
            (Tag::ProveAnswers(_), JobOutput::Proven(list)) => self.answers_proven(&list),
            (Tag::CheckKey(key), JobOutput::KeyChecked { sum }) => self.key_checked(key, sum),
            _ => self.dropped("job: an answer of another kind"),
        }
    }
}
