//! What can go wrong, and whose fault it is.

use crate::params::PresetError;
use crate::sharing::ShareIndex;

/// Every failure of this crate. A fault in bytes that came from outside names the field and the
/// member they came from; it is never a panic.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The parameters do not fit together, or there is no preset with that name.
    #[error(transparent)]
    Preset(#[from] PresetError),
    /// A reader or writer failed. Running out of remote bytes is `Remote`, not this.
    #[error("input or output failed: {0}")]
    Io(#[from] std::io::Error),
    /// Bytes that came from another member are wrong.
    #[error("{}: {field}: {fault}", origin(*.member))]
    Remote {
        /// The member the bytes came from; `None` where several members made them together, as with
        /// an aggregate or an opened key.
        member: Option<ShareIndex>,
        /// The field that is wrong.
        field: &'static str,
        /// What is wrong with it.
        fault: Fault,
    },
    /// A value that the caller chose is out of range.
    #[error("{field}: {reason}")]
    Argument {
        /// The argument that is wrong.
        field: &'static str,
        /// What is wrong with it, for the message.
        reason: String,
    },
    /// A set of contributors is smaller than the federation allows: its sum would reveal too much
    /// of each. The caller, which knows who proposed the set, names the proposer.
    #[error("a set of {found} contributors, at least {needed} are needed")]
    TooFewContributors {
        /// Contributors in the set.
        found: usize,
        /// Fewest that a sum may have.
        needed: u16,
    },
    /// An input value is a NaN or an infinity. Whatever was written must be discarded.
    #[error("value {index} is not a finite number")]
    NotFinite {
        /// Position in the slice of values.
        index: u64,
    },
    /// The answers open no key that passes the check on the opened sum.
    #[error("no {threshold} of {answers} answers open the sum ({tried} sets tried)")]
    NotOpened {
        /// Answers needed.
        threshold: u16,
        /// Answers given.
        answers: usize,
        /// Sets of answers that were tried.
        tried: u64,
    },
    /// The key passed the check on the first block and fails on a later one: some ciphertext of the
    /// set is malformed, and no further answer can change that.
    #[error("block {block} of the sum does not open under the accepted key: residual too large")]
    Residual {
        /// Index of the block.
        block: u64,
    },
}

/// What is wrong with bytes that came from another member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// They end too early.
    #[error("truncated")]
    Truncated,
    /// There are bytes after the expected end, or a length above the limit.
    #[error("oversized")]
    Oversized,
    /// The header is not that of this kind of object.
    #[error("not an object of the expected kind")]
    Kind,
    /// They are of a version that this program does not read.
    #[error("unknown version {0}")]
    Version(u8),
    /// They were made for another preset.
    #[error("made for another preset")]
    WrongPreset,
    /// They were made for another round or another federation.
    #[error("made for another round")]
    WrongRound,
    /// They were made for another set of contributors.
    #[error("made for another set of contributors")]
    WrongSet,
    /// They name another contributor or receiver, by this number.
    #[error("names member {0}")]
    WrongMember(u16),
    /// The same member appears twice.
    #[error("appears twice")]
    Duplicate,
    /// A required member is missing.
    #[error("missing")]
    Missing,
    /// A word lies outside its range.
    #[error("word {0} is out of range")]
    OutOfRange(u64),
    /// A count does not match what was agreed.
    #[error("count is {found}, expected {expected}")]
    Count {
        /// What was found.
        found: u64,
        /// What was expected.
        expected: u64,
    },
    /// They do not hash to the digest that was committed to.
    #[error("does not match its digest")]
    Digest,
    /// The share does not lie on the polynomials published with the commitment.
    #[error("fails the low-degree test")]
    LowDegree,
    /// The sealed share does not open under this key and this associated data.
    #[error("sealed share does not open")]
    Sealed,
    /// The bytes are not a public key.
    #[error("not a sealing key")]
    SealingKey,
}

impl Error {
    /// A fault in the bytes of `member`.
    pub(crate) fn remote(
        member: impl Into<Option<ShareIndex>>,
        field: &'static str,
        fault: Fault,
    ) -> Self {
        Self::Remote { member: member.into(), field, fault }
    }

    /// A fault in what the caller passed.
    pub(crate) fn argument(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Argument { field, reason: reason.into() }
    }

    /// A failed read of `member`'s bytes: running out of them is the member's fault.
    pub(crate) fn read(
        member: Option<ShareIndex>,
        field: &'static str,
        error: std::io::Error,
    ) -> Self {
        if error.kind() == std::io::ErrorKind::UnexpectedEof {
            Self::remote(member, field, Fault::Truncated)
        } else {
            Self::Io(error)
        }
    }
}

/// The origin of the bytes, human-readable.
fn origin(member: Option<ShareIndex>) -> String {
    member.map_or_else(|| "all contributors".to_owned(), |member| format!("member {member}"))
}
