//! What a member must remember across a restart so that it never contradicts itself.
//!
//! Each entry is one [`Effect::Persist`](crate::effect::Effect::Persist): a version byte and a
//! canonical encoding. Later entries of a kind replace earlier ones of the same round.

mod first_version;
mod voting;

use serde::{Deserialize, Serialize};

pub use voting::VotingState;

use crate::ids::{CommitmentDigest, MemberIndex, Round, SetDigest, SumDigest};
use crate::limits::MAX_JOURNAL_ENTRY_BYTES;
use crate::object::ObjectRef;
use crate::sign::Signature;
use crate::wire::codec::{self, CodecError};
use crate::wire::version::JOURNAL;
use crate::wire::{CommitmentBody, Decided, Decision, Record, UpdateSet};

/// What is remembered. The order of the kinds is their encoding: only add at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Note {
    /// This member's commitment, before it is announced.
    Committed(Box<CommitmentBody>),
    /// This member's report, before it is sent.
    Reported(UpdateSet),
    /// A sum attested by this member.
    Attested {
        /// Digest of the set.
        set: SetDigest,
        /// Its sum.
        aggregate: ObjectRef,
    },
    /// View, votes and locks of a decision, with the content of the locked value.
    Voting {
        /// Which of the two decisions.
        decision: Decision,
        /// What this member must not contradict.
        state: VotingState,
        /// The values that `state` refers to.
        values: Vec<crate::wire::Value>,
    },
    /// A decision.
    Decided(Box<Decided>),
    /// The partial decryption that is released: the only one of this round.
    Released {
        /// Digest of the decided set.
        set: SetDigest,
        /// The partial decryption.
        object: ObjectRef,
    },
    /// The record signed: the only one of this round.
    Signed(Box<Record>),
    /// This member takes part in the round: before any other statement in it.
    Ready,
    /// Members whose `Ready` is here, with their signatures, before heartbeats list them. Adds to
    /// earlier ones.
    Present(Vec<(MemberIndex, Signature)>),
    /// A commitment of another member, with that member's signature: before this member reports it,
    /// and when it is in the decided set. Its contributor may be gone when the sum is opened.
    Kept {
        /// Whose commitment it is.
        contributor: MemberIndex,
        /// Its content.
        body: Box<CommitmentBody>,
        /// The contributor's, under [`Body::Commitment`](crate::wire::Body::Commitment).
        signature: Signature,
    },
    /// Key and sum are on this disk: before the first vote for them.
    Opened {
        /// The key K.
        key: ObjectRef,
        /// Digest of the opened sum.
        sum: SumDigest,
    },
    /// All rounds before this one have their records in the ledger. So there is an entry of the
    /// newest round at any time, and a ledger that was lost or cut is noticed.
    Reached,
    /// A commitment whose ciphertext this member, of the committee, found malformed: before it
    /// announces that.
    Rejected(CommitmentDigest),
    /// The number of this member's incarnation; written again in every round.
    Incarnation(u64),
    /// The share of this member in this member's own update is opened to all, before it is: at most
    /// f of them, across restarts. Adds to earlier ones.
    ShareOpened(MemberIndex),
    /// Contributors that are excluded from this round, or have been lately, because they left
    /// complaints unanswered; as the round began.
    Excluded(Vec<(MemberIndex, MissedAnswer)>),
}

/// A contributor left a complaint unanswered although it was reachable in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissedAnswer {
    /// How often in a row: its updates are excluded for 1, 2, 4, ... rounds.
    pub times: u8,
    /// The first round in which its updates count again.
    pub until: Round,
    /// Rounds since then in which it left nothing unanswered.
    pub clean: u64,
}

/// A note and its round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    version: u8,
    /// The round it belongs to; a host may drop it once `Truncate` names a later one.
    pub round: Round,
    /// What is remembered.
    pub note: Note,
}

impl Entry {
    /// A note of `round`.
    #[must_use]
    pub const fn new(round: Round, note: Note) -> Self {
        Self { version: JOURNAL.newest, round, note }
    }

    /// The canonical bytes.
    ///
    /// # Errors
    /// [`CodecError::TooLong`].
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        codec::encode("journal entry", self, MAX_JOURNAL_ENTRY_BYTES)
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// See [`CodecError`]. A member that cannot read its journal must sit the round out.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        if JOURNAL.check("journal entry", bytes)? == first_version::FIRST_VERSION {
            return first_version::decode(bytes);
        }
        codec::decode("journal entry", bytes, MAX_JOURNAL_ENTRY_BYTES)
    }
}
