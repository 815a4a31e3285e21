//! The ledger's canonical bytes.

use super::LedgerError;
use crate::codec::{self, CodecError};
use crate::ids::Round;
use crate::limits::MAX_RECORD_BYTES;
use crate::record::CertifiedRecord;

/// What a file with a ledger starts with.
const MAGIC: &[u8; 8] = b"fsledg1\n";

/// The canonical bytes of a ledger: a magic, then each record behind its length in four little-endian bytes.
///
/// # Errors
/// [`CodecError::TooLong`] if a record is over its limit.
pub fn encode(records: &[CertifiedRecord]) -> Result<Vec<u8>, CodecError> {
    let mut bytes = MAGIC.to_vec();
    for record in records {
        let record = codec::encode("certified record", record, MAX_RECORD_BYTES)?;
        // Fits: MAX_RECORD_BYTES is far below 2^32.
        bytes.extend_from_slice(&(record.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&record);
    }
    Ok(bytes)
}

/// Reads a ledger; its content is not checked, see [`verify`](super::verify).
///
/// # Errors
/// Names the first record that cannot be read.
pub fn decode(bytes: &[u8]) -> Result<Vec<CertifiedRecord>, LedgerError> {
    let mut rest = bytes.strip_prefix(MAGIC).ok_or(LedgerError::NotALedger)?;
    let mut records = Vec::new();
    while !rest.is_empty() {
        let index = records.len();
        let wrong =
            |reason: String| LedgerError::Record { index, round: Round(index as u64), reason };
        let cut = || wrong("it is cut short".into());
        let (length, after) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (record, after) = after.split_at_checked(length).ok_or_else(cut)?;
        let record = codec::decode("certified record", record, MAX_RECORD_BYTES)
            .map_err(|error| wrong(error.to_string()))?;
        records.push(record);
        rest = after;
    }
    Ok(records)
}
