//! What can go wrong while a federation is founded.

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
    /// The draft was opened again, and some members have not come back to it.
    #[error("{} {} not come back to the draft since it was opened again", names.join(", "), has(names.len()))]
    Returning {
        /// Their names.
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
    /// Two names in the list that people take for one another.
    #[error(
        "two members have names that look alike, `{one}` and `{other}`: people could not tell them apart"
    )]
    Lookalikes {
        /// The first of them in the list.
        one: String,
        /// The second.
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
    /// Nobody to drop.
    #[error(
        "no member of the draft is called `{name}`; its members besides the owner: {}",
        list(known)
    )]
    NoSuchMember {
        /// What was asked for.
        name: String,
        /// Who is there.
        known: Vec<String>,
    },
    /// The owner gave the draft up.
    #[error("the owner has abandoned the draft `{federation}`")]
    Abandoned {
        /// Its name.
        federation: String,
    },
    /// The owner took this node off the list.
    #[error("the owner has dropped this node from the draft")]
    Dropped,
    /// The owner says that this node has left.
    #[error("this node has left the draft")]
    LeftAlready,
    /// Signed once under this founding id, and left then.
    #[error(
        "this node has left the draft `{federation}` after it had signed it, so it cannot join the same draft again"
    )]
    LeftSigned {
        /// Its name.
        federation: String,
    },
    /// Past its end, by the owner's clock or, if the owner was not asked, by this machine's.
    #[error("{expiry}{}", unasked(unasked_because.as_ref()))]
    Expired {
        /// When, by which clock.
        expiry: Expiry,
        /// Why the owner was not asked.
        unasked_because: Option<JoinPortError>,
    },
    /// Terms under which this node could not train.
    #[error("{}: {error}", if *own { "these terms cannot be used" } else { "this node cannot take part under these terms" })]
    Terms {
        /// What stands in the way.
        error: PipelineError,
        /// They are this node's own draft.
        own: bool,
    },
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
    /// The other side cannot at the moment.
    #[error("the owner cannot do that now: {reason}")]
    Later {
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
    #[error("no answer from the owner: {0}")]
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
    #[error(transparent)]
    Random(#[from] RandomnessError),
    /// The sealed secrets.
    #[error(transparent)]
    Secrets(#[from] SecretStoreError),
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

const fn has(count: usize) -> &'static str {
    if count == 1 { "has" } else { "have" }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn unasked(because: Option<&JoinPortError>) -> String {
    because.map_or_else(String::new, |error| format!(" ({error})"))
}

impl FoundingError {
    /// The stable name.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Expired { .. } => ErrorCode::InviteExpired,
            Self::Invite(_) => ErrorCode::InviteInvalid,
            Self::InviteUnknown | Self::Abandoned { .. } => ErrorCode::InviteUnknown,
            Self::InviteUsed => ErrorCode::InviteUsed,
            Self::ModelMismatch { .. } | Self::FirstAdapter { .. } => ErrorCode::ModelMismatch,
            Self::TrainerCommand | Self::NoSuchMember { .. } | Self::Lookalikes { .. } => {
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

    /// What to do next about this cause.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Invite(InviteError::Content) => {
                "ask the owner for a fresh invite, made by a version that this one understands"
            }
            Self::Invite(_) => "copy the whole string again, from `fs1` to its end",
            Self::Expired { expiry, .. } => expiry.hint(),
            Self::InviteUnknown => {
                "ask the owner whether the draft still exists, and for a fresh invite"
            }
            Self::Abandoned { .. } => "ask the owner what comes instead, or join another draft",
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
            Self::Terms { error, own } => match (error.code(), own) {
                (ErrorCode::DataUnreadable, _) => {
                    "mend that line or file, or agree on terms that the data go with (--template, --seq): `fedshield-cli data check` shows what training makes of them"
                }
                (ErrorCode::InvalidRequest, true) => {
                    "draft again with another value: `fedshield-cli federation new --help` lists the flags"
                }
                (ErrorCode::InvalidRequest, false) => {
                    "tell the owner: it has to draft other terms, or this node to change its own settings"
                }
                _ => error.code().hint(),
            },
            Self::TermsChanged { .. } => {
                "read the new terms (`join --show`) before you accept them"
            }
            Self::Frozen => "ask the owner to start a new draft that includes this node",
            Self::TooFewMembers { .. } => {
                "invite more organisations and wait until they have joined"
            }
            Self::Returning { .. } => {
                "their daemons come back by themselves when they reach this node: wait for them, or `federation drop NAME`"
            }
            Self::Already { .. } => {
                "`federation leave` or `federation abandon` ends what it is in, until the first round has ended; otherwise use another home folder"
            }
            Self::NotFrozen => {
                "wait until its owner runs `federation found`; `fedshield-cli status` shows when the list is final"
            }
            Self::Phrase(PhraseError::Other { .. }) => {
                "do not confirm: the owner shows different lists to different founders, or has frozen the draft anew since; compare names and identity keys (`federation show`), and if the lists differ, `federation reject`"
            }
            Self::Phrase(_) => {
                "compare the words with `fedshield-cli members` and say them again, all 24 in their order"
            }
            Self::Unexpected { .. } => {
                "ask the organisations that are named for what `fedshield-cli identity` prints there; correct the file if it is wrong, or `federation drop NAME` who should not be there"
            }
            Self::Lookalikes { .. } => {
                "the member that came last has to join under another name (`name` in config.toml), the owner to `federation drop` it first"
            }
            Self::Complete => {
                "before the first round has ended each member can still go: `federation leave`"
            }
            Self::RoundsEnded => {
                "to take no part any more, pause or stop the daemon; for another federation use another home folder"
            }
            Self::OwnDraft => "give the whole draft up with `federation abandon`",
            Self::NoSuchMember { .. } => "write the name as `federation show` does",
            Self::Dropped => "ask the owner why, and for a fresh invite",
            Self::LeftAlready => "join again with the invite, or with another one",
            Self::LeftSigned { .. } => {
                "ask the owner to open the draft again without this node (`federation drop NAME`) and for a fresh invite"
            }
            Self::None => "start one with `federation new`, or `join` with an invite",
            Self::NotOwner => "ask the organisation that made the draft",
            Self::Later { .. } => {
                "its operator has to mend that; a node that has joined asks again by itself"
            }
            Self::Refused { .. } => "the owner's reason says what to change; then try again",
            Self::Request(_) | Self::Manifest(_) => ErrorCode::InvalidRequest.hint(),
            Self::Port(error) => port_hint(error),
            Self::Answer(_) => {
                "compare the versions of both daemons (`fedshieldd --version`); upgrade the older one"
            }
            Self::File { .. } => {
                "the file is damaged, or another version of the program wrote it: put it aside; what it held has to be drafted or joined again"
            }
            Self::Random(_) => "the operating system must be mended before keys can be made",
            Self::Secrets(error) => error.code().hint(),
            Self::Disk(error) => error.code().hint(),
        }
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
                | Self::Lookalikes { .. }
                | Self::Refused { .. }
        )
    }

    /// Why this node is a member of the draft no more, if that is what this says. It counts also after this node has
    /// signed: what it signed is void without the owner, and its sealing key is erased.
    pub(super) const fn parts(&self) -> Option<Why> {
        match self {
            Self::Abandoned { .. } => Some(Why::Abandoned),
            Self::Dropped => Some(Why::Dropped),
            Self::LeftAlready => Some(Why::Chosen),
            _ => None,
        }
    }

    /// True if trying again later may help without anybody doing anything.
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

/// What to do about each reason for which the owner gave no answer.
const fn port_hint(error: &JoinPortError) -> &'static str {
    match error {
        JoinPortError::Unreachable(_) => {
            "check that the owner's daemon runs and that its address and port can be reached from here"
        }
        JoinPortError::WrongNode(_) => {
            "the address has passed to another machine: ask the owner for a fresh invite with its new one"
        }
        JoinPortError::Timeout(_) => {
            "the owner's daemon is slow or hangs: try again, then ask its operator"
        }
        JoinPortError::Lost(_) => {
            "try again; if it happens again, look for a firewall that cuts connections"
        }
        JoinPortError::Busy => {
            "nothing is wrong with the invite or the address: try again in a minute"
        }
        JoinPortError::BusyHere => {
            "wait until the questions under way are answered, then try again"
        }
        JoinPortError::Declined => {
            "ask the owner whether the draft still exists and which version it runs"
        }
        JoinPortError::Local(_) => {
            "look at this daemon's log: the request did not leave this machine"
        }
    }
}
