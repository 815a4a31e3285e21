//! Jobs that run at the host, by purpose. A failed job is tried again after the next heartbeat
//! tick, a few times.

use std::collections::{BTreeMap, BTreeSet};

use super::Cx;
use crate::effect::Effect;
use crate::ids::{CommitmentDigest, Digest, MemberIndex, Round, SetDigest};
use crate::job::{Job, JobId};
use crate::limits::MAX_ATTEMPTS;
use crate::object::ObjectRef;

/// What a job is for. Only one of each runs at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tag {
    SealingKey(Round),
    Contribute(Round),
    SealShares(Round),
    ResealShare(MemberIndex),
    CheckResealedShare(CommitmentDigest),
    Erase,
    CheckShare(CommitmentDigest),
    CheckCiphertext(CommitmentDigest),
    Prepare(Round),
    Reveal(MemberIndex),
    CheckShareOpening(CommitmentDigest, MemberIndex),
    Aggregate(SetDigest),
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
    /// Failed since the last heartbeat tick.
    backing_off: BTreeSet<Tag>,
}

impl Jobs {
    /// The host could not do the job. Returns its purpose.
    pub(crate) fn failed(&mut self, id: JobId) -> Option<Tag> {
        let tag = self.running.remove(&id)?;
        self.failed.insert(tag);
        self.backing_off.insert(tag);
        Some(tag)
    }

    /// A heartbeat tick: failed jobs may be tried again.
    pub(crate) fn end_backoff(&mut self) {
        self.backing_off.clear();
    }

    /// The host has done the job. Returns its purpose.
    pub(crate) fn done(&mut self, id: JobId) -> Option<Tag> {
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

impl Cx {
    /// Starts a job unless it is running, is backing off after a failure, or has failed too often.
    pub(crate) fn start(&mut self, tag: Tag, job: Job) {
        let jobs = &mut self.jobs;
        if jobs.is_running(tag) || jobs.backing_off.contains(&tag) {
            return;
        }
        let attempts = jobs.attempts.entry(tag).or_default();
        // Without these a member could never take part again, or a round that it is needed for
        // could not end; the last goes on only while its key is in question. What keeps them from
        // succeeding may pass: a full disk, for instance.
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
        self.push(Effect::Start(id, job));
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
            self.push(Effect::Cancel(id));
        }
        self.jobs.attempts.retain(|tag, _| tag.outlives_round());
        self.jobs.failed.retain(|tag| tag.outlives_round());
        self.jobs.backing_off.retain(|tag| tag.outlives_round());
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
            self.push(Effect::Cancel(id));
        }
    }
}
