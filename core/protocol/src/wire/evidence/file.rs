//! Evidence as a file that is handed over: whose federation, and the proof. An append-only file
//! ([`crate::append_log`]) with one entry, so that a byte that was changed on the way is found
//! before anything is read from it.

use serde::{Deserialize, Serialize};

use super::Evidence;
use crate::append_log::{LogFormat, MAGIC_BYTES, MagicError, Parsed};
use crate::ids::FederationId;
use crate::limits::MAX_EVIDENCE_BYTES;
use crate::wire::codec::{self, CodecError};

/// What evidence is as a file.
pub const EVIDENCE_FORMAT: LogFormat =
    LogFormat { magic: b"fsproo1\n", max_body_bytes: MAX_EVIDENCE_BYTES + 1024 };
/// The kind of the one entry.
const EVIDENCE_ENTRY: u32 = 1;

/// Evidence that is handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceFile {
    /// The federation whose member is accused.
    pub federation: FederationId,
    /// The proof.
    pub evidence: Evidence,
}

/// Why a file holds no evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceFileError {
    /// It begins otherwise.
    #[error("this is not a file of evidence: it does not start as one")]
    NotEvidence,
    /// Written by a later version of the program.
    #[error(
        "this file was written by a later version of this program (format {0}): upgrade to read it"
    )]
    NewerFormat(char),
    /// The bytes are not those that were written.
    #[error("the file is damaged: {0}")]
    Damaged(&'static str),
    /// Something follows the evidence.
    #[error("the file goes on after the evidence")]
    Surplus,
    /// The content.
    #[error(transparent)]
    Content(#[from] CodecError),
}

impl EvidenceFile {
    /// The bytes of the file.
    ///
    /// # Errors
    /// [`CodecError::TooLong`].
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        let body = codec::encode("evidence", self, EVIDENCE_FORMAT.max_body_bytes)?;
        let mut bytes = EVIDENCE_FORMAT.magic.to_vec();
        let entry = EVIDENCE_FORMAT.encode(bytes.len() as u64, EVIDENCE_ENTRY, &body);
        bytes.extend_from_slice(&entry);
        Ok(bytes)
    }

    /// Reads a file; what is in it is not checked, see [`Evidence::check`].
    ///
    /// # Errors
    /// [`EvidenceFileError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, EvidenceFileError> {
        match EVIDENCE_FORMAT.check_magic(bytes) {
            Ok(()) => {}
            Err(MagicError::Newer(version)) => {
                return Err(EvidenceFileError::NewerFormat(version));
            }
            Err(MagicError::Other) => return Err(EvidenceFileError::NotEvidence),
        }
        match EVIDENCE_FORMAT.parse(bytes, MAGIC_BYTES) {
            Parsed::Entry { kind: EVIDENCE_ENTRY, body, next } if next == bytes.len() => {
                Ok(codec::decode("evidence", body, EVIDENCE_FORMAT.max_body_bytes)?)
            }
            Parsed::Entry { kind: EVIDENCE_ENTRY, .. } => Err(EvidenceFileError::Surplus),
            Parsed::Entry { .. } => Err(EvidenceFileError::NotEvidence),
            Parsed::Torn => Err(EvidenceFileError::Damaged("it ends too early")),
            Parsed::Damaged(reason) => Err(EvidenceFileError::Damaged(reason)),
        }
    }
}
