//! What can happen to the machine.

use crate::ids::{MemberIndex, Round};
use crate::job::{JobId, JobOutput};
use crate::object::ObjectRef;
use crate::wire::{CertifiedRecord, Nonce};

/// Timers of the machine; setting one again replaces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerId {
    /// Commitments count until here.
    Commit,
    /// Reports are made here at the latest.
    Transfer,
    /// The current view of the current decision.
    View,
    /// The sum should be open by now.
    Decrypt,
    /// Without a decision by now, members vote to skip.
    Round,
    /// A signed heartbeat to everyone; retries of what is missing.
    Heartbeat,
}

/// A command of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Take no part in rounds that have not started.
    Pause,
    /// Take part again.
    Resume,
    /// The daemon stops: announce it. Nothing is sent or done afterwards.
    Leave,
    /// What `member` was proven to have done in rounds up to `through` does not ban it any more.
    /// The host has written that down.
    Lift {
        /// The banned member.
        member: MemberIndex,
        /// The last round that the lift covers.
        through: Round,
    },
}

/// One thing that happened. Everything remote in it is hostile until checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The host has started and has given all of its ledger to
    /// [`Machine::replay`](crate::Machine::replay).
    Boot {
        /// Journal entries, as [`crate::effect::Effect::Persist`] gave them.
        journal: Vec<Vec<u8>>,
        /// Fresh from the system's randomness at every start: answers to what earlier incarnations
        /// asked do not count.
        nonce: Nonce,
    },
    /// A timer ran out.
    Tick(TimerId),
    /// Bytes from a connected member (not necessarily their sender).
    Message {
        /// Who handed them over.
        from: MemberIndex,
        /// A signed message, unchecked.
        bytes: Vec<u8>,
    },
    /// A member can be reached.
    PeerUp(MemberIndex),
    /// A member cannot be reached.
    PeerDown(MemberIndex),
    /// A fetched object is here, verified.
    ObjectReady(ObjectRef),
    /// No holder could give the object; the host has stopped trying.
    ObjectFailed(ObjectRef),
    /// A job is done.
    JobDone(JobId, JobOutput),
    /// A job failed; `reason` is for the operator.
    JobFailed(JobId, String),
    /// What [`Effect::ReadRecords`](crate::effect::Effect::ReadRecords) asked for: in order, as
    /// many as fit, none if there are none.
    Records {
        /// Who asked.
        to: MemberIndex,
        /// The records.
        records: Vec<CertifiedRecord>,
    },
    /// An operator has given a command.
    Operator(Command),
}
