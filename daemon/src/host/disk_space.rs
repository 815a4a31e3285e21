//! Waiting for free space: writes that failed because the disk is full, over its quota or read-only
//! are retried until they succeed, and a condition is shown meanwhile.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fedshield_protocol::job::JobId;

use crate::conditions::Conditions;
use crate::control::api::{Condition, Severity};

/// The condition's name.
pub(crate) const DISK_FULL: &str = "disk-full";
/// The pause between two attempts of a write that blocks everything else, and between two checks of
/// the disk.
const PAUSE: Duration = Duration::from_secs(2);
/// The longest pause between two attempts of a job, which may compute for long before it writes.
const JOB_PAUSE_MAX: Duration = Duration::from_secs(120);
/// An increase of free space that justifies an attempt before the pause is over, in bytes.
const WORTH_TRYING_BYTES: u64 = 1 << 20;
/// A fetch that found no free space is forgotten if none has failed for this long.
const FETCH_MEMORY: Duration = Duration::from_secs(60);

/// What waits for free space.
pub(super) struct DiskSpace {
    conditions: Conditions,
    home: PathBuf,
    /// The last error of the disk.
    reason: String,
    /// When to retry a failed write that everything waits for.
    stalled: Option<Instant>,
    /// Jobs that found no free space.
    jobs: BTreeSet<JobId>,
    /// Those of them that are being retried.
    trying: BTreeSet<JobId>,
    check_at: Instant,
    jobs_at: Instant,
    job_pause: Duration,
    /// Free bytes when the last job failed.
    free: u64,
    fetch_failed: Option<Instant>,
}

impl DiskSpace {
    pub(super) fn new(conditions: Conditions, home: PathBuf) -> Self {
        Self {
            conditions,
            home,
            reason: String::new(),
            stalled: None,
            jobs: BTreeSet::new(),
            trying: BTreeSet::new(),
            check_at: Instant::now(),
            jobs_at: Instant::now(),
            job_pause: PAUSE,
            free: 0,
            fetch_failed: None,
        }
    }

    /// Nothing proceeds before this is written.
    pub(super) fn stall(&mut self, reason: &str) {
        self.stalled = Some(Instant::now() + PAUSE);
        self.failed(reason);
    }

    /// The write that everything waits for is being retried now.
    pub(super) fn resume(&mut self) {
        self.stalled = None;
    }

    pub(super) const fn is_stalled(&self) -> bool {
        self.stalled.is_some()
    }

    /// Why nothing proceeds, for the operator.
    pub(super) fn stalled_by(&self) -> Option<&str> {
        self.stalled.map(|_| self.reason.as_str())
    }

    /// A job found no free space.
    pub(super) fn job_failed(&mut self, id: JobId, reason: &str) {
        self.trying.remove(&id);
        self.jobs.insert(id);
        self.free = self.free_bytes();
        self.jobs_at = Instant::now() + self.job_pause;
        self.job_pause = (self.job_pause * 2).min(JOB_PAUSE_MAX);
        self.failed(reason);
    }

    /// A job has completed its writes, or is not wanted any more.
    pub(super) fn job_ended(&mut self, id: JobId) {
        if self.trying.remove(&id) | self.jobs.remove(&id) {
            self.job_pause = PAUSE;
            self.show();
        }
    }

    /// An object could not be fetched for lack of free space; the machine asks for it again.
    pub(super) fn fetch_failed(&mut self, reason: &str) {
        self.fetch_failed = Some(Instant::now());
        self.failed(reason);
    }

    /// An object was fetched, so there is space for fetches again.
    pub(super) fn fetched(&mut self) {
        if self.fetch_failed.take().is_some() {
            self.show();
        }
    }

    /// When to check next; `None` while nothing waits for free space.
    pub(super) fn next_check(&self) -> Option<Instant> {
        let waits = !self.jobs.is_empty() || self.fetch_failed.is_some();
        self.stalled.or_else(|| waits.then_some(self.check_at))
    }

    /// The jobs that are to be retried now.
    pub(super) fn due_jobs(&mut self) -> Vec<JobId> {
        self.check_at = Instant::now() + PAUSE;
        if self.fetch_failed.is_some_and(|at| at.elapsed() >= FETCH_MEMORY) {
            self.fetched();
        }
        let more = self.free_bytes() > self.free.saturating_add(WORTH_TRYING_BYTES);
        if !more && Instant::now() < self.jobs_at {
            return Vec::new();
        }
        let again = std::mem::take(&mut self.jobs);
        self.trying.extend(&again);
        again.into_iter().collect()
    }

    /// Clears the condition once nothing waits for free space any more.
    pub(super) fn show(&self) {
        let waits = self.stalled.is_some() || self.fetch_failed.is_some();
        if !waits && self.jobs.is_empty() && self.trying.is_empty() {
            self.conditions.clear(DISK_FULL);
        }
    }

    fn failed(&mut self, reason: &str) {
        reason.clone_into(&mut self.reason);
        self.check_at = Instant::now() + PAUSE;
        self.conditions.set(disk_full(reason));
    }

    fn free_bytes(&self) -> u64 {
        rustix::fs::statvfs(&self.home)
            .map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}

/// The condition while something waits for free space.
pub(crate) fn disk_full(reason: &str) -> Condition {
    let message = format!("{reason}; the node waits and goes on by itself when it can write again");
    Condition::new(DISK_FULL, Severity::Blocking, message)
        .with_hint("free some space on that disk, or mount it for writing if it is read-only")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fedshield_protocol::ids::IdentityKey;
    use tokio::sync::watch;

    use super::*;
    use crate::control::api::NodeStatus;

    fn disk_space() -> (DiskSpace, watch::Receiver<NodeStatus>) {
        let (sender, receiver) = watch::channel(NodeStatus::starting("a", IdentityKey([1; 32])));
        (DiskSpace::new(Conditions::new(Arc::new(sender)), "/".into()), receiver)
    }

    #[test]
    fn it_is_reported_until_everything_that_waited_has_been_written() {
        let (mut space, status) = disk_space();
        let said = || status.borrow().conditions.iter().any(|it| it.name == DISK_FULL);
        assert!(space.next_check().is_none());
        space.stall("no space left on the disk that holds /x");
        space.job_failed(JobId(3), "no space left on the disk that holds /y");
        assert!(said() && space.next_check().is_some());
        assert!(status.borrow().conditions[0].message.contains("/y"));
        space.resume();
        space.show();
        assert!(said(), "a job still waits");
        space.jobs_at = Instant::now();
        assert_eq!(space.due_jobs(), [JobId(3)]);
        assert!(said(), "whether there is space is known when it has ended");
        space.job_ended(JobId(4));
        assert!(said(), "that was another job");
        space.job_ended(JobId(3));
        assert!(!said() && space.next_check().is_none());
    }
}
