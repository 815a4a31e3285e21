//! One host: a protocol machine, its disk and its running jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fedshield_protocol::Machine;
use fedshield_protocol::event::TimerId;
use fedshield_protocol::ids::{CommitmentDigest, LayoutDigest, MemberIndex, Round, SumDigest};
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::CertifiedRecord;

use super::byzantine::heartbeat_replay::Recorded;
use super::byzantine::set_flooding::SetFlooding;
use super::faults::{Crash, Fault};

/// What survives a crash: everything that effects and finished jobs have written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    /// Entries, each with its round.
    pub(crate) journal: Vec<(Round, Vec<u8>)>,
    pub(crate) records: Vec<CertifiedRecord>,
    /// Index of a record that no longer verifies, until the next start detects it.
    pub(crate) damaged: Option<usize>,
    pub(crate) objects: BTreeMap<ObjectRef, Arc<[u8]>>,
    /// Evidence in the order of arrival.
    pub(crate) evidence: Vec<Vec<u8>>,
    /// The number of this member's own vector that is not spent yet.
    pub(crate) vector: u32,
    /// Counts encryptions.
    pub(crate) salt: u64,
    /// The encryption of a round: its salt, its ciphertext, the layout of its slots.
    pub(crate) contributions: BTreeMap<Round, (u64, ObjectRef, LayoutDigest)>,
    /// Sealing keys by round.
    pub(crate) keys: BTreeMap<Round, Vec<u8>>,
    /// Valid shares of others' updates, by commitment.
    pub(crate) shares: BTreeSet<CommitmentDigest>,
    /// The global adapter and the one before, with the rounds applied in each: what the daemon's
    /// pipeline keeps.
    pub(crate) adapters: [Option<(u64, ObjectRef)>; 2],
    /// A planted bug has lost the initial adapter.
    pub(crate) first_is_gone: bool,
    /// Opened sums by round.
    pub(crate) sums: BTreeMap<Round, SumDigest>,
    pub(crate) settled: BTreeSet<Round>,
}

impl Disk {
    /// Replaces the disk by an empty one. The number of the vector and the salt still grow:
    /// training starts anew and gives a different update, and no two encryptions are alike.
    pub(crate) fn lose(&mut self) {
        *self = Self { vector: self.vector + 1, salt: self.salt, ..Self::default() };
    }
}

/// One node. Twins share a member.
pub(crate) struct Node {
    pub(crate) member: MemberIndex,
    /// Which of two twins this is; `None` for other members.
    pub(crate) side: Option<bool>,
    pub(crate) fault: Option<Fault>,
    pub(crate) disk: Disk,
    /// `None` while it is down.
    pub(crate) machine: Option<Machine>,
    /// Grows with each stop: events for an earlier incarnation are not delivered.
    pub(crate) incarnation: u64,
    /// The number of the latest setting of each timer.
    pub(crate) timers: BTreeMap<TimerId, u64>,
    pub(crate) served: BTreeMap<ObjectRef, Option<Vec<MemberIndex>>>,
    pub(crate) fetching: BTreeSet<ObjectRef>,
    pub(crate) jobs: BTreeSet<u64>,
    /// Number of pauses by an operator that have not ended; kept across restarts.
    pub(crate) pauses: u32,
    /// The crash that happens among the effects of the next event.
    pub(crate) pending_crash: Option<Crash>,
    /// The state of [`Fault::ReplaysHeartbeats`].
    pub(crate) recorded: Recorded,
    /// The state of [`Fault::FloodsSets`].
    pub(crate) set_flooding: SetFlooding,
}

impl Node {
    pub(crate) fn new(member: MemberIndex, side: Option<bool>, fault: Option<Fault>) -> Self {
        Self {
            member,
            side,
            fault,
            disk: Disk::default(),
            machine: None,
            incarnation: 0,
            timers: BTreeMap::new(),
            served: BTreeMap::new(),
            fetching: BTreeSet::new(),
            jobs: BTreeSet::new(),
            pauses: 0,
            pending_crash: None,
            recorded: Recorded::default(),
            set_flooding: SetFlooding::default(),
        }
    }

    /// Planted bug: a host that keeps only the newest adapter.
    pub(crate) fn forget_all_but_the_newest_adapter(&mut self) {
        self.disk.first_is_gone = self.disk.adapters[0].is_some();
        self.disk.adapters[1] = None;
    }

    /// Loses everything that is not on disk.
    pub(crate) fn shut_down(&mut self) {
        self.machine = None;
        self.incarnation += 1;
        self.timers.clear();
        self.served.clear();
        self.fetching.clear();
        self.jobs.clear();
        self.pending_crash = None;
    }

    pub(crate) const fn is_honest(&self) -> bool {
        self.fault.is_none()
    }

    /// Whether it is up and serves `object` to `member`.
    pub(crate) fn gives(&self, object: &ObjectRef, member: MemberIndex) -> bool {
        self.machine.is_some()
            && self.served.get(object).is_some_and(|audience| {
                audience.as_ref().is_none_or(|members| members.contains(&member))
            })
    }
}
