//! The stable names of failures, the same in the control API, in the CLI's exit code and in the
//! docs.

use serde::{Deserialize, Serialize};

/// A kind of failure, for programs. Operators get a message and a hint with it.
///
/// The names and the exit codes are part of the interface: they are listed in `docs/OPERATING.md`
/// and never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// A fault in the program itself, or a failure without a name of its own.
    Internal,
    /// The request is malformed: a missing or unknown field, a value out of range.
    InvalidRequest,
    /// No daemon answers on the control socket.
    NotRunning,
    /// The configuration cannot be used: unknown key, wrong value, missing file.
    ConfigInvalid,
    /// The home folder has no identity yet.
    NoIdentity,
    /// The identity is sealed and the passphrase is missing or wrong.
    IdentityLocked,
    /// The invite is truncated, mistyped or not an invite.
    InviteInvalid,
    /// The invite is past its expiry.
    InviteExpired,
    /// The invite has been used already.
    InviteUsed,
    /// The owner does not know the invite, or answers for another federation.
    InviteUnknown,
    /// None of the addresses answers.
    Unreachable,
    /// The base model here is not the one in the terms.
    ModelMismatch,
    /// The base model cannot be read.
    ModelUnreadable,
    /// The training or held-out data cannot be read.
    DataUnreadable,
    /// Another process has the address or the socket.
    AddressInUse,
    /// No space left on the disk.
    DiskFull,
    /// A later version of the program has written the ledger, or its file has changed under the
    /// running daemon.
    StoreCorrupted,
    /// The journal is damaged in the middle.
    JournalCorrupted,
    /// The home belongs to another user.
    WrongUser,
    /// This node is in no federation and has no draft.
    NoFederation,
    /// This node is in a federation, or has a draft, already.
    AlreadyInFederation,
    /// Only the owner of the draft may do this.
    NotOwner,
    /// The draft is frozen, its membership is final.
    DraftFrozen,
    /// Too few founders have joined.
    TooFewMembers,
    /// The terms that came back are not those that were accepted.
    TermsChanged,
    /// The other side refused and gave a reason.
    Refused,
    /// Not possible in the present state, for instance before the first round.
    WrongState,
    /// No answer in time.
    Timeout,
    /// The ledger fails its verification.
    LedgerInvalid,
    /// Ended by a signal, from an operator or from the system.
    Interrupted,
    /// The list of members is not the one that was compared or expected.
    ListMismatch,
}

/// All codes, in the order of their exit codes.
pub const ALL_CODES: [ErrorCode; 31] = {
    use ErrorCode as E;
    [
        E::Internal,
        E::InvalidRequest,
        E::NotRunning,
        E::ConfigInvalid,
        E::NoIdentity,
        E::IdentityLocked,
        E::InviteInvalid,
        E::InviteExpired,
        E::InviteUsed,
        E::InviteUnknown,
        E::Unreachable,
        E::ModelMismatch,
        E::ModelUnreadable,
        E::DataUnreadable,
        E::AddressInUse,
        E::DiskFull,
        E::StoreCorrupted,
        E::JournalCorrupted,
        E::WrongUser,
        E::NoFederation,
        E::AlreadyInFederation,
        E::NotOwner,
        E::DraftFrozen,
        E::TooFewMembers,
        E::TermsChanged,
        E::Refused,
        E::WrongState,
        E::Timeout,
        E::ListMismatch,
        E::LedgerInvalid,
        E::Interrupted,
    ]
};

impl ErrorCode {
    /// The exit code of the CLI and of the daemon; never 0. 2 is also what wrong arguments give.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::InvalidRequest => 2,
            Self::NotRunning => 3,
            Self::ConfigInvalid => 4,
            Self::NoIdentity => 5,
            Self::IdentityLocked => 6,
            Self::InviteInvalid => 10,
            Self::InviteExpired => 11,
            Self::InviteUsed => 12,
            Self::InviteUnknown => 13,
            Self::Unreachable => 14,
            Self::ModelMismatch => 20,
            Self::ModelUnreadable => 21,
            Self::DataUnreadable => 22,
            Self::AddressInUse => 30,
            Self::DiskFull => 31,
            Self::StoreCorrupted => 32,
            Self::JournalCorrupted => 33,
            Self::WrongUser => 34,
            Self::NoFederation => 40,
            Self::AlreadyInFederation => 41,
            Self::NotOwner => 42,
            Self::DraftFrozen => 43,
            Self::TooFewMembers => 44,
            Self::TermsChanged => 45,
            Self::Refused => 46,
            Self::WrongState => 47,
            Self::Timeout => 48,
            Self::ListMismatch => 49,
            Self::LedgerInvalid => 50,
            Self::Interrupted => 130,
        }
    }

    /// The default hint if nothing but the code is known. Code that knows the cause gives a better
    /// one.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Internal => {
                "look at the daemon's log for what led to it; if it happens again, report it with the log"
            }
            Self::InvalidRequest => {
                "correct the value that is named; `--help` lists what may be given"
            }
            Self::NotRunning => {
                "start `fedshieldd` with the same home folder, or name it with `--home`"
            }
            Self::ConfigInvalid => {
                "correct the setting that is named in config.toml; `fedshield-cli config check` reads it again"
            }
            Self::NoIdentity => {
                "make a node with `fedshield-cli init`, or name its home with `--home`"
            }
            Self::IdentityLocked => {
                "give the passphrase of `init`, in the file that FEDSHIELD_PASSPHRASE_FILE names or on a terminal"
            }
            Self::InviteInvalid => "copy the whole invite again, from `fs1` to its end",
            Self::InviteExpired => "ask the owner for a fresh invite",
            Self::InviteUsed => "each organisation needs its own invite: ask the owner for one",
            Self::InviteUnknown => {
                "ask the owner whether the draft still exists, and for a fresh invite"
            }
            Self::Unreachable => {
                "check that the other daemon runs and that its address and port can be reached from here"
            }
            Self::ModelMismatch => {
                "set model.path to the same model, byte for byte, as the other members have"
            }
            Self::ModelUnreadable => {
                "check model.path: a Hugging Face folder or a .gguf file that the daemon's user can read"
            }
            Self::DataUnreadable => {
                "fix the file or line that is named; `fedshield-cli data check` reads the data \
                 again"
            }
            Self::AddressInUse => {
                "stop the other process, or set another address; a home folder has one daemon at a time"
            }
            Self::DiskFull => {
                "free some space on the disk that is named, or mount it for writing if it is read-only"
            }
            Self::StoreCorrupted => {
                "run the version of the program that wrote the files that are named; nothing was changed"
            }
            Self::JournalCorrupted => {
                "put the journal aside and start again (docs/OPERATING.md, \"A lost disk\")"
            }
            Self::WrongUser => "run it as the user that the home belongs to",
            Self::NoFederation => "start one with `federation new`, or `join` with an invite",
            Self::AlreadyInFederation => {
                "end what it is in with `federation leave` or `federation abandon`, or use another home folder"
            }
            Self::NotOwner => "ask the organisation that made the draft",
            Self::DraftFrozen => "ask the owner to start a new draft that includes this node",
            Self::TooFewMembers => "invite more organisations and wait until they have joined",
            Self::TermsChanged => "read the new terms (`join --show`) before you accept them",
            Self::Refused => "the reason says what to change; then try again",
            Self::WrongState => {
                "see `fedshield-cli status` for what the node is doing, and try again when it is done"
            }
            Self::Timeout => "try again in a moment",
            Self::ListMismatch => {
                "do not confirm the list before names and identity keys have been compared; `federation reject` if it is wrong"
            }
            Self::LedgerInvalid => "get the ledger from another member and verify that one",
            Self::Interrupted => "run the command again; what was finished stays",
        }
    }

    /// The HTTP status of answers with this code.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::InvalidRequest | Self::InviteInvalid => 400,
            Self::NotOwner | Self::Refused | Self::InviteExpired | Self::InviteUsed => 403,
            Self::NoFederation | Self::InviteUnknown => 404,
            Self::AlreadyInFederation
            | Self::DraftFrozen
            | Self::TooFewMembers
            | Self::TermsChanged
            | Self::WrongState
            | Self::ListMismatch
            | Self::ModelMismatch => 409,
            Self::Unreachable => 502,
            Self::Timeout => 504,
            Self::DiskFull => 507,
            Self::Internal
            | Self::NotRunning
            | Self::ConfigInvalid
            | Self::NoIdentity
            | Self::IdentityLocked
            | Self::ModelUnreadable
            | Self::DataUnreadable
            | Self::AddressInUse
            | Self::StoreCorrupted
            | Self::JournalCorrupted
            | Self::WrongUser
            | Self::LedgerInvalid
            | Self::Interrupted => 500,
        }
    }

    /// The stable name, for instance `invite-expired`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::InvalidRequest => "invalid-request",
            Self::NotRunning => "not-running",
            Self::ConfigInvalid => "config-invalid",
            Self::NoIdentity => "no-identity",
            Self::IdentityLocked => "identity-locked",
            Self::InviteInvalid => "invite-invalid",
            Self::InviteExpired => "invite-expired",
            Self::InviteUsed => "invite-used",
            Self::InviteUnknown => "invite-unknown",
            Self::Unreachable => "unreachable",
            Self::ModelMismatch => "model-mismatch",
            Self::ModelUnreadable => "model-unreadable",
            Self::DataUnreadable => "data-unreadable",
            Self::AddressInUse => "address-in-use",
            Self::DiskFull => "disk-full",
            Self::StoreCorrupted => "store-corrupted",
            Self::JournalCorrupted => "journal-corrupted",
            Self::WrongUser => "wrong-user",
            Self::NoFederation => "no-federation",
            Self::AlreadyInFederation => "already-in-federation",
            Self::NotOwner => "not-owner",
            Self::DraftFrozen => "draft-frozen",
            Self::TooFewMembers => "too-few-members",
            Self::TermsChanged => "terms-changed",
            Self::Refused => "refused",
            Self::WrongState => "wrong-state",
            Self::Timeout => "timeout",
            Self::ListMismatch => "list-mismatch",
            Self::LedgerInvalid => "ledger-invalid",
            Self::Interrupted => "interrupted",
        }
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_exit_codes_are_unique_and_the_json_says_the_name() {
        let codes: BTreeSet<u8> = ALL_CODES.iter().map(|code| code.exit_code()).collect();
        assert_eq!(codes.len(), ALL_CODES.len());
        assert!(!codes.contains(&0));
        for code in ALL_CODES {
            assert_eq!(serde_json::to_string(&code).unwrap(), format!("\"{code}\""));
        }
    }
}
