//! Why a record is not the next one of a ledger.

use crate::ids::MemberIndex;
use crate::wire::Decision;
use crate::wire::codec::CodecError;

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A field that links it to the chain has another value than the records before it imply.
    #[error("{0} does not follow from what came before")]
    Chain(&'static str),
    /// Its count of applied rounds is not that of its outcome.
    #[error("the count of applied rounds is wrong")]
    AppliedCount,
    /// Only an applied round changes the adapter.
    #[error("the adapter changed in a round that applied nothing")]
    AdapterChanged,
    /// An applied round has an adapter.
    #[error("an applied round names no adapter")]
    NoAdapter,
    /// Without an opened sum the next beacon follows from the one before.
    #[error("the beacon is not the one that follows a round without a sum")]
    Beacon,
    /// A contributor of the set is not in the manifest.
    #[error("the set of updates names a contributor that is not a member")]
    UnknownContributor,
    /// The set is smaller than the manifest's least number of contributors.
    #[error("the sum has {found} updates, fewer than the {needed} that the manifest asks for")]
    TooFewUpdates {
        /// Updates in the set.
        found: usize,
        /// The manifest's `min_contributors`.
        needed: u16,
    },
    /// It says what was measured where the manifest does not let members measure, or in numbers
    /// that cannot be.
    #[error("the measurement is not one that the manifest and the set of updates allow")]
    Measurement,
    /// It ends the training where the manifest has no rule for it, or a second time.
    #[error(
        "the training cannot end in this round: the manifest has no rule for it, or it has ended"
    )]
    Stop,
    /// Fewer members than a quorum have signed it.
    #[error("{found} signatures, fewer than the quorum of {needed}")]
    TooFewSignatures {
        /// Signatures under it.
        found: usize,
        /// The quorum.
        needed: u16,
    },
    /// A member has signed twice, or the order is not the canonical one.
    #[error("the signatures are not by different members in order")]
    SignatureOrder,
    /// A signature is not the member's.
    #[error("the signature of member {0} does not verify")]
    Signature(MemberIndex),
    /// The list of evidence is not canonical, or accuses who is not a member.
    #[error("the list of evidence is not by different members in order")]
    EvidenceOrder,
    /// The attachments cannot be read.
    #[error(transparent)]
    Attachments(#[from] CodecError),
    /// The attached certificates decide something other than the outcome.
    #[error("the certificates are not those of its outcome")]
    Certificates,
    /// A certificate does not prove its decision.
    #[error("the certificate of the {0:?} decision is wrong")]
    Certificate(Decision),
    /// Its bytes in the file cannot be read.
    #[error("{reason} (at byte {offset})")]
    Unreadable {
        /// What is wrong with them.
        reason: String,
        /// Where the entry begins in the file, in bytes.
        offset: usize,
    },
    /// Records are replayed before the start only.
    #[error("the machine has been booted")]
    Booted,
}
