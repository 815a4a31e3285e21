//! What can go wrong while a federation is founded; what to do about each is in `hints`.

mod hints;

use fedshield_protocol::ids::Digest;
use fedshield_protocol::manifest;

use super::moments::Expiry;
use super::partings::Why;
use super::{InviteError, JoinPortError, PhraseError};
use crate::control::api::ApiError;
use crate::durable::DiskError;
use crate::error_code::ErrorCode;
use crate::identity::SecretStoreError;
use crate::jobs::PipelineError;
use crate::randomness::RandomnessError;

/// Why a step of the founding failed.
#[derive(Debug, thiserror::Error)]
pub enum FoundingError {
    /// The string is not a usable invite.
    #[error(transparent)]
    Invite(#[from] InviteError),
    /// The owner does not know the invite.
    #[error("the owner does not know this invite")]
    InviteUnknown,
    /// Another identity has used the invite.
    #[error("another node has used this invite already")]
    InviteUsed,
    /// The base model here is not the one in the terms.
    #[error("this node's base model has digest {own}, the federation's has {expected}")]
    ModelMismatch {
        /// Digest of the model here.
        own: Digest,
        /// Digest in the terms.
        expected: Digest,
    },
    /// The adapter that the federation starts from is not here.
    #[error("the federation starts from the adapter {wanted}; here {found}")]
    FirstAdapter {
        /// Its digest in the terms.
        wanted: Digest,
        /// What is here instead.
        found: String,
    },
    /// The trainer command here cannot train as the terms say.
    #[error("`{field}`: {reason}, which the trainer command here is not asked for")]
    TrainerCommand {
        /// The field of the terms.
        field: &'static str,
        /// What it asks for.
        reason: &'static str,
    },
    /// The owner changed the terms.
    #[error("the terms are not those that were accepted: {what}")]
    TermsChanged {
        /// The fields that differ.
        what: String,
    },
    /// The draft takes no more members.
    #[error("the draft is frozen: its membership is final")]
    Frozen,
    /// The draft was opened again, and some members have not come back to it.
    #[error("{} {} not come back to the draft since it was opened again", names.join(", "), has(names.len()))]
    Returning {
        /// The names of those members.
        names: Vec<String>,
    },
    /// There is no list to confirm yet.
    #[error(
        "the draft is open: there is no list of members to confirm before its owner freezes it"
    )]
    NotFrozen,
    /// The words are not the phrase of the list that this node was shown.
    #[error("not confirmed: {0}")]
    Phrase(#[from] PhraseError),
    /// The members are not those that are expected.
    #[error("the members of the draft are not the expected ones: {}", differences.join("; "))]
    Unexpected {
        /// One sentence each.
        differences: Vec<String>,
    },
    /// Two names in the list that can be mistaken for each other.
    #[error(
        "two members have names that look alike, `{one}` and `{other}`: people could not tell them apart"
    )]
    Lookalikes {
        /// The name that comes first in the list.
        one: String,
        /// The later one.
        other: String,
    },
    /// All founders have signed.
    #[error("the founding is complete: all members have signed")]
    Complete,
    /// Rounds have ended.
    #[error("this node is in a federation that has finished rounds: it cannot be left any more")]
    RoundsEnded,
    /// The owner of a draft cannot leave it or drop itself.
    #[error("this node owns the draft")]
    OwnDraft,
    /// There is no member of this name to drop.
    #[error(
        "no member of the draft is called `{name}`; its members besides the owner: {}",
        list(known)
    )]
    NoSuchMember {
        /// The name in the request.
        name: String,
        /// The names of the members other than the owner.
        known: Vec<String>,
    },
    /// The owner has abandoned the draft.
    #[error("the owner has abandoned the draft `{federation}`")]
    Abandoned {
        /// The federation's name.
        federation: String,
    },
    /// The owner took this node off the list.
    #[error("the owner has dropped this node from the draft")]
    Dropped,
    /// According to the owner's records this node has left.
    #[error("this node has left the draft")]
    LeftAlready,
    /// This node signed under this founding id and left afterwards, so it cannot join again.
    #[error(
        "this node has left the draft `{federation}` after it had signed it, so it cannot join the same draft again"
    )]
    LeftSigned {
        /// The federation's name.
        federation: String,
    },
    /// The invite has expired, by the owner's clock or, if the owner was not asked, by this
    /// machine's.
    #[error("{expiry}{}", unasked_text(unasked_because.as_ref()))]
    Expired {
        /// The time of expiry and the clocks that it was compared with.
        expiry: Expiry,
        /// Why the owner was not asked.
        unasked_because: Option<JoinPortError>,
    },
    /// Terms under which this node could not train.
    #[error("{}: {error}", if *own { "these terms cannot be used" } else { "this node cannot take part under these terms" })]
    Terms {
        /// Why training could not begin.
        error: PipelineError,
        /// True for the terms of this node's own draft.
        own: bool,
    },
    /// Fewer than three members.
    #[error("{count} members are too few: three are the least, four the least for real use")]
    TooFewMembers {
        /// How many there are.
        count: usize,
    },
    /// This node is in a federation already, or is founding or joining one.
    #[error("this node {state} already")]
    Already {
        /// What this node is doing, for the message.
        state: &'static str,
    },
    /// This node has no draft and is in no federation.
    #[error("this node is in no federation and has no draft of one")]
    None,
    /// This node is not the owner of the draft.
    #[error("only the owner of a draft can do this")]
    NotOwner,
    /// The other side refused.
    #[error("the owner refused: {reason}")]
    Refused {
        /// The reason in the other side's words.
        reason: String,
    },
    /// The other side cannot answer at the moment.
    #[error("the owner cannot do that now: {reason}")]
    Later {
        /// The reason in the other side's words.
        reason: String,
    },
    /// The request is malformed.
    #[error("{0}")]
    Request(String),
    /// The manifest is not valid.
    #[error(transparent)]
    Manifest(#[from] manifest::ManifestSignatureError),
    /// The owner cannot be reached.
    #[error("no answer from the owner: {0}")]
    Port(#[from] JoinPortError),
    /// The answer cannot be read or is not the owner's.
    #[error("the owner's answer cannot be used: {0}")]
    Answer(String),
    /// A file of the draft cannot be read.
    #[error("{file} cannot be read: {reason}")]
    File {
        /// The file's path.
        file: String,
        /// Why it cannot be read.
        reason: String,
    },
    /// The operating system returned no random bytes.
    #[error(transparent)]
    Random(#[from] RandomnessError),
    /// The store of sealed secrets failed.
    #[error(transparent)]
    Secrets(#[from] SecretStoreError),
    /// Reading or writing a file failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

const fn has(count: usize) -> &'static str {
    if count == 1 { "has" } else { "have" }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn unasked_text(because: Option<&JoinPortError>) -> String {
    because.map_or_else(String::new, |error| format!(" ({error})"))
}

impl FoundingError {
    /// The stable error code, for programs.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Expired { .. } => ErrorCode::InviteExpired,
            Self::Invite(_) => ErrorCode::InviteInvalid,
            Self::InviteUnknown | Self::Abandoned { .. } => ErrorCode::InviteUnknown,
            Self::InviteUsed => ErrorCode::InviteUsed,
            Self::ModelMismatch { .. } | Self::FirstAdapter { .. } => ErrorCode::ModelMismatch,
            Self::TrainerCommand { .. } | Self::NoSuchMember { .. } | Self::Lookalikes { .. } => {
                ErrorCode::InvalidRequest
            }
            Self::Terms { error, .. } => error.code(),
            Self::TermsChanged { .. } => ErrorCode::TermsChanged,
            Self::Frozen => ErrorCode::DraftFrozen,
            Self::Phrase(_) | Self::Unexpected { .. } => ErrorCode::ListMismatch,
            Self::TooFewMembers { .. } => ErrorCode::TooFewMembers,
            Self::Already { .. } => ErrorCode::AlreadyInFederation,
            Self::None => ErrorCode::NoFederation,
            Self::NotOwner => ErrorCode::NotOwner,
            Self::Refused { .. } | Self::Dropped => ErrorCode::Refused,
            Self::Returning { .. }
            | Self::NotFrozen
            | Self::Complete
            | Self::RoundsEnded
            | Self::OwnDraft
            | Self::LeftAlready
            | Self::LeftSigned { .. } => ErrorCode::WrongState,
            Self::Request(_) | Self::Manifest(_) => ErrorCode::InvalidRequest,
            Self::Port(
                JoinPortError::Unreachable(_)
                | JoinPortError::WrongNode(_)
                | JoinPortError::Lost(_),
            ) => ErrorCode::Unreachable,
            Self::Port(
                JoinPortError::Timeout(_) | JoinPortError::Busy | JoinPortError::BusyHere,
            ) => ErrorCode::Timeout,
            Self::Port(JoinPortError::Declined) => ErrorCode::Refused,
            Self::Later { .. } => ErrorCode::Timeout,
            Self::Disk(error) => error.code(),
            Self::Secrets(error) => error.code(),
            Self::Port(JoinPortError::Local(_))
            | Self::Answer(_)
            | Self::File { .. }
            | Self::Random(_) => ErrorCode::Internal,
        }
    }

    /// True if the owner refuses this node for good, so that it need not ask again.
    #[must_use]
    pub const fn ends_joining(&self) -> bool {
        matches!(
            self,
            Self::Invite(_)
                | Self::InviteUnknown
                | Self::InviteUsed
                | Self::Frozen
                | Self::ModelMismatch { .. }
                | Self::FirstAdapter { .. }
                | Self::TrainerCommand { .. }
                | Self::TermsChanged { .. }
                | Self::Lookalikes { .. }
                | Self::Refused { .. }
        )
    }

    /// Why this node is no longer a member of the draft, if this error means that. It counts also
    /// after this node has signed: what it signed is void without the owner, and its sealing key is
    /// erased.
    pub(super) const fn parts(&self) -> Option<Why> {
        match self {
            Self::Abandoned { .. } => Some(Why::Abandoned),
            Self::Dropped => Some(Why::Dropped),
            Self::LeftAlready => Some(Why::Chosen),
            _ => None,
        }
    }

    /// True if a later attempt may succeed without any action by an operator.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Port(_) | Self::Later { .. } | Self::Disk(DiskError::Io { .. }))
    }
}

impl From<FoundingError> for ApiError {
    fn from(error: FoundingError) -> Self {
        Self::new(error.code(), error.to_string()).with_hint(error.hint())
    }
}
