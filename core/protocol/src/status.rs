//! The operator-visible state of the machine: the source of `status`, the dashboard and the metrics.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::failed_rounds::FailedRounds;
use crate::ids::{Epoch, MemberIndex, RecordDigest, Round, Time, View};
use crate::object::ObjectRef;
use crate::wire::Leave;

/// Where a member is: in one of the six phases of a round, or outside of them, waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Waiting: asking the others what this member sent before it started.
    Recovering,
    /// Waiting until a quorum is there.
    WaitingForQuorum,
    /// Waiting: catching up with records or the adapter.
    Sync,
    /// train, prune, encrypt, share, then wait for commitments.
    Commit,
    /// Ciphertexts and shares travel, until this member reports what it vouches for.
    Transfer,
    /// The committee adds, and all members decide on the set and its sum.
    Certify,
    /// Partial decryptions are released, the key is put together, the sum opened, the outcome
    /// decided.
    Decrypt,
    /// The sum goes into the adapter.
    Apply,
    /// The record is signed.
    Record,
    /// Waiting: an operator paused this member.
    Paused,
    /// All rounds of the manifest are done.
    Done,
}

impl Phase {
    /// Whether the member is outside of the six phases of a round.
    #[must_use]
    pub const fn is_waiting(self) -> bool {
        matches!(
            self,
            Self::Recovering | Self::WaitingForQuorum | Self::Sync | Self::Paused | Self::Done
        )
    }
}

/// What a member is doing, in the words of the path of one update, which tell two parts of
/// `Certify` and of `Decrypt` apart. Derived from the phase; the protocol does not depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activity {
    /// [`Phase::Recovering`].
    Recovering,
    /// [`Phase::WaitingForQuorum`].
    WaitingForQuorum,
    /// [`Phase::Sync`].
    Sync,
    /// [`Phase::Commit`].
    Commit,
    /// [`Phase::Transfer`].
    Transfer,
    /// [`Phase::Certify`], until the first proposal is here: the committee adds.
    Aggregate,
    /// [`Phase::Certify`]: all members decide on the set and its sum.
    Certify,
    /// [`Phase::Decrypt`], until this member has enough partial decryptions.
    Decrypt,
    /// [`Phase::Decrypt`]: the key is put together, the sum opened, the outcome decided.
    Combine,
    /// [`Phase::Apply`].
    Apply,
    /// [`Phase::Record`].
    Record,
    /// [`Phase::Paused`].
    Paused,
    /// [`Phase::Done`].
    Done,
}

/// What is known of one member in the current round.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Connected, or this member itself.
    pub reachable: bool,
    /// The round of its newest heartbeat.
    pub round: Option<Round>,
    /// Its commitment is here.
    pub committed: bool,
    /// Its share for this member is here and valid.
    pub share_valid: bool,
    /// It has the whole of this many updates (committee members).
    pub have_updates: u32,
    /// Its report is here.
    pub reported: bool,
    /// Its partial decryption is announced.
    pub answered: bool,
    /// It signed the record.
    pub signed: bool,
    /// It can be counted on: it has neither announced an absence nor been silent for long.
    #[serde(default)]
    pub here: bool,
    /// The reason of its absence, if it has announced one.
    #[serde(default)]
    pub left: Option<Leave>,
    /// Why its update is left out of this round, if it is.
    #[serde(default)]
    pub refused: Option<Refusal>,
    /// It left a complaint about its update unanswered although it was reachable: this member does
    /// not list its updates before this round.
    #[serde(default)]
    pub excluded_until: Option<Round>,
}

/// What is wrong with an update that is left out, neither fetched nor waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// Its slots mean something else than those of the round.
    Layout,
    /// Its ciphertext or one of its sealed shares has another length than those of the round.
    Length,
    /// f + 1 committee members could not read it.
    Unreadable,
}

/// Who is here, and how many it takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attendance {
    /// Members that can be counted on, this one included.
    pub here: u16,
    /// Members that it takes to decide anything.
    pub quorum: u16,
    /// Updates that this round can have: those that have come, and those of members that are here.
    pub contributors: u16,
    /// Updates that it takes to open a sum.
    pub min_contributors: u16,
}

impl Attendance {
    /// Whether enough members are here to decide something.
    #[must_use]
    pub const fn is_quorum(&self) -> bool {
        self.here >= self.quorum
    }
}

/// What the phase waits for: so many of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// So many have come.
    pub here: u16,
    /// So many are enough, if the others are absent or the time is over.
    pub enough: u16,
    /// So many could come.
    pub of: u16,
    /// Until when the phase waits at most, by the host's clock of the machine.
    pub until: Option<Time>,
}

/// A snapshot after an event that changed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The epoch.
    pub epoch: Epoch,
    /// The round in progress.
    pub round: Round,
    /// Where it is.
    pub phase: Phase,
    /// What this member is doing there.
    pub activity: Activity,
    /// The voting attempt, 0 when all goes well.
    pub view: View,
    /// Rounds applied so far.
    pub applied: u64,
    /// Rounds that had been applied when the members ended the training early, if they did.
    #[serde(default)]
    pub stopped: Option<u64>,
    /// The global adapter.
    pub adapter: Option<ObjectRef>,
    /// Digest of the last record.
    pub head: RecordDigest,
    /// This round's committee.
    pub committee: Vec<MemberIndex>,
    /// Who proposes in the current view.
    pub proposer: Option<MemberIndex>,
    /// By member, in manifest order.
    pub members: Vec<MemberStatus>,
    /// The journal lacks statements of earlier incarnations, so this member takes no part in rounds
    /// up to this one.
    #[serde(default)]
    pub silent_through: Option<Round>,
    /// The journal goes on in this round, the ledger ends before it: the records between are
    /// fetched from other members before this one takes part again.
    #[serde(default)]
    pub journal_round: Option<Round>,
    /// Members that the phase is waiting for.
    pub waiting_for: Vec<MemberIndex>,
    /// How many it waits for, and until when.
    #[serde(default)]
    pub wait: Option<Wait>,
    /// How many are here.
    #[serde(default)]
    pub attendance: Attendance,
    /// An operator paused this member. While it is bound by what it has sent in this round, the
    /// pause takes effect from the next one on.
    #[serde(default)]
    pub paused: bool,
    /// The failed rounds since the last applied one.
    #[serde(default)]
    pub failed_rounds: FailedRounds,
    /// Members against whom there is proof: they are not waited for, and their updates are not
    /// listed.
    #[serde(default)]
    pub banned: Vec<MemberIndex>,
    /// Messages dropped so far, by reason.
    pub dropped: std::collections::BTreeMap<Cow<'static, str>, u64>,
}
