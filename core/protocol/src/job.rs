//! Work that the machine asks its host for. The protocol sees digests and sizes, never a tensor or
//! a ciphertext.

use serde::{Deserialize, Serialize};

use crate::ids::{
    Beacon, CommitmentDigest, LayoutDigest, MemberIndex, NonceDigest, Round, SumDigest,
};
use crate::object::ObjectRef;
use crate::sign::Signature;
use crate::wire::{CommitmentBody, Decided, Measured, UpdateSet};

/// Identifies a started job until it is done, failed or cancelled; unique within one run of the
/// host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub u64);

/// What a round starts from; mask, batches and lengths follow from it at every member. Where
/// members measure together and all rounds of the manifest are applied, it is the one that measures
/// the final adapter: its updates have no values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundStart {
    /// The round.
    pub round: Round,
    /// Applied rounds so far.
    pub applied: u64,
    /// Seeds mask and batches.
    pub beacon: Beacon,
    /// Rounds that were applied when the members ended the training early, if they did: the
    /// learning rate falls from there on.
    pub stopped: Option<u64>,
}

/// One update in the decided set U, as jobs need it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Included {
    /// Its contributor.
    pub member: MemberIndex,
    /// Digest of the commitment.
    pub commitment: CommitmentDigest,
    /// What the commitment binds to.
    pub body: CommitmentBody,
}

/// What became of a member's own update when a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// Not in a decided set: local progress is kept and encrypted afresh.
    Kept,
    /// In a decided set, whatever became of the sum: never sent again.
    Spent,
}

/// Work for the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// Make the sealing key for `round` and keep its secret sealed on disk; gives
    /// [`JobOutput::SealingKey`].
    MakeSealingKey {
        /// The only round in which it is used.
        round: Round,
    },
    /// train, prune, encrypt, share; gives [`JobOutput::Encrypted`]. Shares and ciphertext are on
    /// disk first.
    Contribute {
        /// The round and what it starts from.
        start: RoundStart,
    },
    /// Seal the shares that the last [`Job::Contribute`] of this round dealt; gives
    /// [`JobOutput::Contribution`].
    SealShares {
        /// The round.
        round: Round,
        /// The sealing key of each member for exactly this round, in manifest order; `None` where
        /// none has come. One that cannot be used counts as none.
        sealing_keys: Vec<Option<Vec<u8>>>,
    },
    /// Open the share that was sealed to this member and test it, unless it is here already; gives
    /// [`JobOutput::Checked`]. Without a share the update is not valid for this member.
    CheckShare {
        /// The round.
        round: Round,
        /// The update.
        update: Included,
    },
    /// Seal one share of this member's own update again; gives [`JobOutput::ResealedShare`].
    ResealShare {
        /// The round.
        round: Round,
        /// The member that asked.
        member: MemberIndex,
        /// Its sealing key, which it has signed for this round.
        sealing_key: Vec<u8>,
    },
    /// Open a share that its contributor has sealed again for this member, test it and keep it;
    /// gives [`JobOutput::Checked`].
    CheckResealedShare {
        /// The round.
        round: Round,
        /// The update.
        update: Included,
        /// The sealed share.
        sealed: Vec<u8>,
    },
    /// Open one share of this member's own update to all; gives [`JobOutput::ShareOpening`].
    OpenShare {
        /// The round.
        round: Round,
        /// The member that complained.
        member: MemberIndex,
    },
    /// Check the opening of a share commitment, and keep the share if it is this member's; gives
    /// [`JobOutput::Checked`].
    CheckShareOpening {
        /// The round.
        round: Round,
        /// The update.
        update: Included,
        /// Whose share it is.
        member: MemberIndex,
        /// The opening, in the encoding of `fedshield-he`.
        opening: Vec<u8>,
    },
    /// Add the ciphertexts of `set`; gives [`JobOutput::Aggregated`].
    Aggregate {
        /// The round and what it starts from.
        start: RoundStart,
        /// U, in canonical order.
        set: Vec<Included>,
    },
    /// Add this member's key shares for `set`, once; gives [`JobOutput::Partial`].
    PartialDecrypt {
        /// The round.
        round: Round,
        /// U, in canonical order.
        set: Vec<Included>,
    },
    /// Interpolate the key, check it, open the sum; gives [`JobOutput::Combined`].
    Combine {
        /// The round and what it starts from.
        start: RoundStart,
        /// U, in canonical order.
        set: UpdateSet,
        /// The certified aggregate, fetched.
        aggregate: ObjectRef,
        /// The answers so far, fetched, by member.
        partials: Vec<(MemberIndex, ObjectRef)>,
    },
    /// Apply the opened sum to the global adapter; gives [`JobOutput::Applied`].
    Apply {
        /// The round and what it starts from.
        start: RoundStart,
        /// U, in canonical order.
        set: UpdateSet,
        /// Digest of the opened sum that was decided.
        sum: SumDigest,
    },
    /// Take over a fetched global adapter that a certified record names; gives
    /// [`JobOutput::Adopted`].
    Adopt {
        /// The adapter's canonical bytes.
        adapter: ObjectRef,
        /// Rounds applied in it.
        applied: u64,
    },
    /// Check fetched evidence, arithmetic included; gives [`JobOutput::Evidence`].
    CheckEvidence {
        /// Who is accused.
        member: MemberIndex,
        /// Of something in which round.
        round: Round,
        /// The evidence's canonical bytes, fetched.
        object: ObjectRef,
    },
    /// Put together the evidence against the senders of wrong partial decryptions, as far as the
    /// answers suffice; gives [`JobOutput::Proven`].
    ProveAnswers {
        /// The round that the sum was opened in.
        round: Round,
        /// The decided set, with its certificate.
        set: Box<Decided>,
        /// The decided key and sum, with their certificate.
        outcome: Box<Decided>,
        /// The answers that are here, with their signatures, ascending by member.
        answers: Vec<(MemberIndex, ObjectRef, Signature)>,
        /// Whose answers were found to be wrong.
        culprits: Vec<MemberIndex>,
    },
    /// Erase the sealing keys, shares and everything else that is secret of all rounds; gives
    /// [`JobOutput::Erased`]. The federation is done, or this member is paused for long. What it
    /// has learned and not sent stays.
    EraseSecrets {
        /// The federation is done: no round follows.
        is_done: bool,
    },
    /// Settle this member's own update of `round`, erase the secrets of that round and of all
    /// before it, sealing keys included; gives
    /// [`JobOutput::Settled`]. The key of the next round is there already.
    Settle {
        /// The round that ended.
        round: Round,
        /// What became of this member's own update; `None` if there was none.
        fate: Option<Fate>,
    },
    /// Read the fetched ciphertext of `update` as an addition would, and the published part of its
    /// sharing; gives [`JobOutput::Checked`]. Fails where the bytes on the disk are not those of
    /// the commitment: this says nothing of it.
    CheckCiphertext {
        /// The round and what it starts from.
        start: RoundStart,
        /// The update.
        update: Box<Included>,
    },
    /// Give layout and lengths of every update of the round: mask, preset, manifest and the adapter
    /// of `start` decide it; gives [`JobOutput::Prepared`]. Nothing of an update is fetched before.
    PrepareRound {
        /// The round and what it starts from.
        start: RoundStart,
    },
    /// Open the sum with a key that another member names, every check included, as if this member's
    /// own combine job had found it; gives [`JobOutput::KeyChecked`].
    CheckKey {
        /// The round and what it starts from.
        start: RoundStart,
        /// U, in canonical order.
        set: UpdateSet,
        /// The certified aggregate, fetched.
        aggregate: ObjectRef,
        /// The key, fetched; whether it is one is to be found out.
        key: ObjectRef,
    },
}

impl Job {
    /// What the round of the job starts from, if the job depends on it.
    #[must_use]
    pub const fn start(&self) -> Option<&RoundStart> {
        match self {
            Self::Contribute { start }
            | Self::Aggregate { start, .. }
            | Self::Combine { start, .. }
            | Self::Apply { start, .. }
            | Self::CheckCiphertext { start, .. }
            | Self::PrepareRound { start }
            | Self::CheckKey { start, .. } => Some(start),
            _ => None,
        }
    }
}

/// What all honest updates of a round have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateShape {
    /// See [`CommitmentBody::layout`].
    pub layout: LayoutDigest,
    /// The same of an update whose member has stopped improving: its commitment, which it has
    /// signed and persisted, says so by naming this layout. `None` where members cannot say so.
    pub stalled: Option<LayoutDigest>,
    /// Length of a ciphertext in bytes.
    pub ciphertext_bytes: u64,
    /// Length of a sealed share in bytes.
    pub sealed_share_bytes: u64,
}

/// What combining gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Combined {
    /// An accepted key and the sum it opens.
    Opened {
        /// The key K; it is on disk and can be served.
        key: ObjectRef,
        /// Digest of the opened sum, which is on disk.
        sum: SumDigest,
        /// Members whose answers were wrong.
        culprits: Vec<MemberIndex>,
    },
    /// No accepted key among these answers; more may help.
    NotYet,
}

/// What applying gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The global adapter afterwards.
    pub adapter: ObjectRef,
    /// False if the sum failed the range check: recorded as rejected, `adapter` unchanged.
    pub accepted: bool,
    /// Digest of the opened sum of the members' nonces.
    pub nonce: NonceDigest,
    /// The opened sum of the members' measurements; `None` where they do not measure, or if its
    /// slots were out of range.
    pub measured: Option<Measured>,
}

/// What a finished job gives back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobOutput {
    /// Public half of a sealing key.
    SealingKey(Vec<u8>),
    /// The update is encrypted and its key dealt.
    Encrypted,
    /// A commitment's body; its objects can be served.
    Contribution(CommitmentBody),
    /// Whether a share, an opening or a ciphertext is valid.
    Checked {
        /// The verdict.
        valid: bool,
    },
    /// A sealed share, or `None` if nothing can be sealed to the key.
    ResealedShare(Option<Vec<u8>>),
    /// The opening of a share commitment, in the clear.
    ShareOpening(Vec<u8>),
    /// The aggregate; it can be served.
    Aggregated(ObjectRef),
    /// The partial decryption; it is on disk and can be served.
    Partial(ObjectRef),
    /// See [`Combined`].
    Combined(Combined),
    /// See [`Applied`].
    Applied(Applied),
    /// The adapter has been taken over.
    Adopted,
    /// The round's secrets are gone.
    Settled,
    /// See [`UpdateShape`].
    Prepared(UpdateShape),
    /// The canonical bytes of evidence that holds, `None` if it does not.
    Evidence(Option<Vec<u8>>),
    /// Evidence, one for each member that it could be proven of; canonical bytes.
    Proven(Vec<Vec<u8>>),
    /// What a key opens.
    KeyChecked {
        /// Digest of the opened sum, which is on disk like the key; `None` if the key opens
        /// nothing.
        sum: Option<SumDigest>,
    },
    /// All rounds' secrets are gone.
    Erased,
}
