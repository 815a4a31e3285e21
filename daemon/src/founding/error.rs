//! What can go wrong while a federation is founded.

use fedshield_protocol::ids::Digest;
use fedshield_protocol::manifest;

use super::{InviteError, JoinPortError};
use crate::control::api::ApiError;
use crate::durable::DiskError;
use crate::error_code::ErrorCode;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum FoundingError {
    /// The string is not a usable invite.
    #[error(transparent)]
    Invite(#[from] InviteError),
    /// The owner does not know it.
    #[error("the owner does not know this invite")]
    InviteUnknown,
    /// Another identity has used it.
    #[error("another node has used this invite already")]
    InviteUsed,
    /// The base model here is another one.
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
    /// The terms' algorithm cannot be trained here.
    #[error(
        "the federation trains with fed-sb: a matrix that a PEFT folder does not have, so the trainer command here cannot"
    )]
    TrainerCommand,
    /// The owner changed the terms.
    #[error("the terms are not those that were accepted: {what}")]
    TermsChanged {
        /// What is different.
        what: String,
    },
    /// The draft takes no more members.
    #[error("the draft is frozen: its membership is final")]
    Frozen,
    /// Fewer than three members.
    #[error("{count} members are too few: three are the least, four the least for real use")]
    TooFewMembers {
        /// How many there are.
        count: usize,
    },
    /// In a federation, or on the way into one.
    #[error("this node {state} already")]
    Already {
        /// What it does.
        state: &'static str,
    },
    /// No draft and no federation.
    #[error("this node is in no federation and has no draft of one")]
    None,
    /// Not the owner of the draft.
    #[error("only the owner of a draft can do this")]
    NotOwner,
    /// The other side said no.
    #[error("the owner refused: {reason}")]
    Refused {
        /// In its words.
        reason: String,
    },
    /// The request itself makes no sense.
    #[error("{0}")]
    Request(String),
    /// The manifest is not valid.
    #[error(transparent)]
    Manifest(#[from] manifest::FoundingError),
    /// The owner cannot be asked.
    #[error("cannot reach the owner: {0}")]
    Port(#[from] JoinPortError),
    /// The answer cannot be read or is not the owner's.
    #[error("the owner's answer cannot be used: {0}")]
    Answer(String),
    /// A file of the draft cannot be read.
    #[error("{file} cannot be read: {reason}")]
    File {
        /// Which.
        file: String,
        /// Why.
        reason: String,
    },
    /// The system gives no randomness.
    #[error("the system gives no randomness: {0}")]
    Random(String),
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl FoundingError {
    /// The stable name.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Invite(InviteError::Expired { .. }) => ErrorCode::InviteExpired,
            Self::Invite(_) => ErrorCode::InviteInvalid,
            Self::InviteUnknown => ErrorCode::InviteUnknown,
            Self::InviteUsed => ErrorCode::InviteUsed,
            Self::ModelMismatch { .. } | Self::FirstAdapter { .. } => ErrorCode::ModelMismatch,
            Self::TrainerCommand => ErrorCode::InvalidRequest,
            Self::TermsChanged { .. } => ErrorCode::TermsChanged,
            Self::Frozen => ErrorCode::DraftFrozen,
            Self::TooFewMembers { .. } => ErrorCode::TooFewMembers,
            Self::Already { .. } => ErrorCode::AlreadyInFederation,
            Self::None => ErrorCode::NoFederation,
            Self::NotOwner => ErrorCode::NotOwner,
            Self::Refused { .. } => ErrorCode::Refused,
            Self::Request(_) | Self::Manifest(_) => ErrorCode::InvalidRequest,
            Self::Port(JoinPortError::Unreachable(_)) => ErrorCode::Unreachable,
            Self::Port(JoinPortError::Timeout(_) | JoinPortError::Busy) => ErrorCode::Timeout,
            Self::Disk(error) => error.code(),
            Self::Port(JoinPortError::Local(_))
            | Self::Answer(_)
            | Self::File { .. }
            | Self::Random(_) => ErrorCode::Internal,
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Invite(InviteError::Expired { .. }) => "ask the owner for a fresh invite",
            Self::Invite(_) => "copy the whole string again, from `fs1` to its end",
            Self::InviteUnknown => {
                "ask the owner whether the draft still exists, and for a fresh invite"
            }
            Self::InviteUsed => "each organisation needs its own invite: ask the owner for one",
            Self::ModelMismatch { .. } => {
                "set model.path to the same model, byte for byte, as the other members have"
            }
            Self::FirstAdapter { .. } => {
                "get the adapter's folder from the owner and name it: `join INVITE --adapter DIR`"
            }
            Self::TrainerCommand => {
                "set training.trainer to builtin here, or agree on another --algorithm"
            }
            Self::TermsChanged { .. } => {
                "read the new terms (`join --show`) before you accept them"
            }
            Self::Frozen => "ask the owner to start a new draft that includes this node",
            Self::TooFewMembers { .. } => {
                "invite more organisations and wait until they have joined"
            }
            Self::Already { .. } => "use another home folder for another federation",
            Self::None => "start one with `federation new`, or `join` with an invite",
            Self::NotOwner => "ask the organisation that made the draft",
            Self::Port(_) => {
                "check that the owner's daemon runs and that its address and port can be reached from here"
            }
            Self::Disk(DiskError::Full { .. }) => "free some space on this disk",
            Self::Disk(DiskError::ReadOnly { .. }) => "mount this disk for writing",
            _ => return None,
        })
    }

    /// True if the owner will not have this node, so that it need not ask again.
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
                | Self::TrainerCommand
                | Self::TermsChanged { .. }
                | Self::Refused { .. }
        )
    }

    /// True if trying again later may help without anybody doing anything.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Port(_) | Self::Disk(DiskError::Io { .. }))
    }
}

impl From<FoundingError> for ApiError {
    fn from(error: FoundingError) -> Self {
        let plain = Self::new(error.code(), error.to_string());
        match error.hint() {
            Some(hint) => plain.with_hint(hint),
            None => plain,
        }
    }
}
