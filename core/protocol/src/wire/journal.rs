//! What a member must remember across a restart so that it never contradicts itself.
//!
//! Each entry is one [`Effect::Persist`](crate::effect::Effect::Persist): a version byte and a canonical encoding. Later
//! entries of a kind replace earlier ones of the same round.

mod first_version;
mod voting;

use serde::{Deserialize, Serialize};

pub use voting::VotingState;

use crate::ids::{Digest, MemberIndex, Round};
use crate::limits::MAX_JOURNAL_ENTRY_BYTES;
use crate::object::ObjectRef;
use crate::sign::Signature;
use crate::wire::codec::{self, CodecError};
use crate::wire::{CommitmentBody, Decided, Decision, Record, Set};

/// The first byte of every entry.
const VERSION: u8 = 2;

/// What is remembered. The order of the kinds is their encoding: only add at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Note {
    /// The own commitment, before it is announced.
    Committed(Box<CommitmentBody>),
    /// The own report, before it is sent.
    Reported(Set),
    /// A sum attested by this member.
    Attested {
        /// Digest of the set.
        set: Digest,
        /// Its sum.
        aggregate: ObjectRef,
    },
    /// View, votes and locks of a decision, with the content of the locked value.
    Voting {
        /// Which decision.
        decision: Decision,
        /// What binds.
        state: VotingState,
        /// The values that `state` refers to.
        values: Vec<crate::wire::Value>,
    },
    /// A decision.
    Decided(Box<Decided>),
    /// The partial decryption released: the only one of this round.
    Released {
        /// Digest of the decided set.
        set: Digest,
        /// The partial decryption.
        object: ObjectRef,
    },
    /// The record signed: the only one of this round.
    Signed(Box<Record>),
    /// This member takes part in the round: before anything else that it says in it.
    Ready,
    /// Others that said so, with their signatures, before this member says that it has heard them. Adds to earlier ones.
    Present(Vec<(MemberIndex, Signature)>),
    /// A commitment of another member, with its author's signature: before this member reports it, and when it is in the
    /// decided set. Its author may be gone when the sum is to be opened.
    Kept {
        /// Who committed.
        author: MemberIndex,
        /// To what.
        body: Box<CommitmentBody>,
        /// The author's, of the message.
        signature: Signature,
    },
    /// Key and sum are on this disk: before the first vote that says so.
    Opened {
        /// The key K.
        key: ObjectRef,
        /// Digest of the opened sum.
        sum: Digest,
    },
    /// All rounds before this one have their records in the ledger. So there is an entry of the newest round at any time, and
    /// a ledger that was lost or cut is noticed.
    Reached,
    /// A commitment whose ciphertext this member, of the committee, could not read: before it says so.
    Rejected(Digest),
    /// The number of this life, see `machine::lives`; again in every round.
    Life(u64),
    /// The share of this member in the own update is shown in clear, before it is: f of them at most, whatever restarts come in
    /// between. Adds to earlier ones.
    Shown(MemberIndex),
    /// Dealers that owed an answer when earlier rounds ended, as this round began.
    Unlisted(Vec<(MemberIndex, Lapse)>),
}

/// A dealer that left a complaint unanswered although it was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lapse {
    /// How often in a row: it is not listed for 1, 2, 4, ... rounds.
    pub times: u8,
    /// The first round in which it is listed again.
    pub until: Round,
    /// Rounds since then in which it owed nothing.
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
        Self { version: VERSION, round, note }
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
        if bytes.first() == Some(&first_version::FIRST_VERSION) {
            return first_version::decode(bytes);
        }
        if bytes.first() != Some(&VERSION) {
            let reason = format!("version {:?}, not {VERSION}", bytes.first());
            return Err(CodecError::Malformed { what: "journal entry", reason });
        }
        codec::decode("journal entry", bytes, MAX_JOURNAL_ENTRY_BYTES)
    }
}
