//! What operators can do about each error of the founding.

use super::FoundingError;
use crate::error_code::ErrorCode;
use crate::founding::{InviteError, JoinPortError, PhraseError};

impl FoundingError {
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
            Self::TrainerCommand { .. } => {
                "set training.trainer to builtin here, or agree on terms without it"
            }
            Self::Terms { error, own } => match (error.code(), own) {
                (ErrorCode::DataUnreadable, _) => {
                    "fix that line or file, or agree on terms that fit the data (--template, \
                     --seq): `fedshield-cli data check` shows what training makes of them"
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
                "its operator has to fix that; a node that has joined asks again by itself"
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
            Self::Random(_) => "the operating system must be repaired before keys can be made",
            Self::Secrets(error) => error.code().hint(),
            Self::Disk(error) => error.code().hint(),
        }
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
            "wait until the questions in progress are answered, then try again"
        }
        JoinPortError::Declined => {
            "ask the owner whether the draft still exists and which version it runs"
        }
        JoinPortError::Local(_) => {
            "look at this daemon's log: the request did not leave this machine"
        }
    }
}
