//! What the machine asks its host to do, in order.

use crate::event::TimerId;
use crate::ids::{MemberIndex, Round, Time};
use crate::job::{Job, JobId};
use crate::object::ObjectRef;
use crate::status::Status;
use crate::wire::CertifiedRecord;

/// What bytes are for: traffic is counted by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Encrypted updates.
    Ciphertext,
    /// Sealed key shares.
    Share,
    /// The sum of the ciphertexts.
    Aggregate,
    /// Partial decryptions.
    Partial,
    /// The global adapter, for a member that catches up.
    Adapter,
    /// Proof of misbehaviour. At most [`MAX_EVIDENCE_BYTES`](crate::limits::MAX_EVIDENCE_BYTES)
    /// long.
    Evidence,
    /// The summed key that opened the sum.
    Key,
}

/// One thing to do. The host executes effects in order and does not go on past a
/// [`Effect::Persist`] or [`Effect::Append`] before it is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Append to the journal, fsync.
    Persist(Vec<u8>),
    /// Append a finished record to the ledger, fsync.
    Append(Box<CertifiedRecord>),
    /// Journal entries of rounds before this one are not needed any more.
    Truncate {
        /// First round whose entries stay. Each entry names its round, see `journal`.
        before: Round,
    },
    /// Read certified records from the ledger, for a member that is behind; ends in
    /// [`Event::Records`](crate::event::Event::Records).
    ReadRecords {
        /// Who asked.
        to: MemberIndex,
        /// The first round.
        from: Round,
        /// Most bytes of all records together, each as in the ledger.
        limit_bytes: usize,
    },
    /// Announce to everyone.
    Gossip(Vec<u8>),
    /// Send to one member.
    Send {
        /// The receiver.
        to: MemberIndex,
        /// A signed message.
        bytes: Vec<u8>,
    },
    /// Set or replace a timer.
    SetTimer(TimerId, Time),
    /// Forget a timer.
    CancelTimer(TimerId),
    /// Get an object from any of `holders`; ends in `ObjectReady` or `ObjectFailed`.
    Fetch {
        /// What to get.
        object: ObjectRef,
        /// Who should have it, best first.
        holders: Vec<MemberIndex>,
        /// What it is for.
        purpose: Purpose,
    },
    /// Stop trying.
    StopFetch(ObjectRef),
    /// Serve an object: to all members, or to some, like a sealed share to its receiver and the
    /// committee.
    Serve {
        /// What to give.
        object: ObjectRef,
        /// `None`: all members.
        audience: Option<Vec<MemberIndex>>,
        /// What it is for.
        purpose: Purpose,
    },
    /// Stop giving it.
    Unserve(ObjectRef),
    /// Start a job.
    Start(JobId, Job),
    /// Cancel a job; no answer is expected.
    Cancel(JobId),
    /// Proof of misbehaviour, which has been checked: keep it, fsync, tell the operator. It is
    /// given again to [`Machine::recall_evidence`](crate::Machine::recall_evidence) at the next
    /// start.
    Ban {
        /// The accused member.
        member: MemberIndex,
        /// [`Evidence`](crate::wire::evidence::Evidence), canonical bytes.
        evidence: Vec<u8>,
        /// The reason, for operators.
        reason: String,
    },
    /// The status for operators.
    Publish(Box<Status>),
}
