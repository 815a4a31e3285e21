//! The ledger's canonical bytes: an append-only file ([`crate::append_log`]) with one entry for
//! each record.
//!
//! The same bytes are the system of record in a node's home, what `ledger export` writes and what
//! `ledger verify` reads. The form of earlier versions, without checksums, is still read.

use super::{LedgerError, RecordError};
use crate::append_log::{LogFormat, MAGIC_BYTES, MagicError, Parsed};
use crate::ids::Round;
use crate::limits::MAX_RECORD_BYTES;
use crate::wire::CertifiedRecord;
use crate::wire::codec::{self, CodecError};

/// What a ledger is as a file.
pub const LEDGER_FORMAT: LogFormat =
    LogFormat { magic: b"fsledg2\n", max_body_bytes: MAX_RECORD_BYTES };
/// The kind of an entry that holds a [`CertifiedRecord`] of the first version.
pub const RECORD_ENTRY: u32 = 1;
/// The kind of an entry that holds one of the second version: of a round that measured, see
/// `Outcome::record_version`. Earlier programs refuse it by its number.
pub const MEASURED_RECORD_ENTRY: u32 = 2;
/// What a file of the first version starts with: then each record behind its length, u32
/// little-endian.
const FIRST_MAGIC: &[u8; MAGIC_BYTES] = b"fsledg1\n";

/// The canonical bytes of a ledger.
///
/// # Errors
/// [`CodecError::TooLong`] if a record is over its limit.
pub fn encode(records: &[CertifiedRecord]) -> Result<Vec<u8>, CodecError> {
    let mut bytes = LEDGER_FORMAT.magic.to_vec();
    for record in records {
        let body = encode_record(record)?;
        let entry = LEDGER_FORMAT.encode(bytes.len() as u64, record_kind(record), &body);
        bytes.extend_from_slice(&entry);
    }
    Ok(bytes)
}

/// The body of a record's entry.
///
/// # Errors
/// [`CodecError::TooLong`] if it is over its limit.
pub fn encode_record(record: &CertifiedRecord) -> Result<Vec<u8>, CodecError> {
    codec::encode("certified record", record, MAX_RECORD_BYTES)
}

/// The kind of the entry of a record.
#[must_use]
pub const fn record_kind(record: &CertifiedRecord) -> u32 {
    match record.record.outcome.record_version() {
        1 => RECORD_ENTRY,
        _ => MEASURED_RECORD_ENTRY,
    }
}

/// Reads the body of an entry of the given kind.
///
/// # Errors
/// Why it is not a record, for the message.
pub fn decode_record(kind: u32, body: &[u8]) -> Result<CertifiedRecord, String> {
    if ![RECORD_ENTRY, MEASURED_RECORD_ENTRY].contains(&kind) {
        return Err(format!(
            "it is of kind {kind}, which this version of the program does not know; upgrade to read it"
        ));
    }
    let record: CertifiedRecord = codec::decode("certified record", body, MAX_RECORD_BYTES)
        .map_err(|error| error.to_string())?;
    // One record has one form.
    match record_kind(&record) {
        own if own == kind => Ok(record),
        own => Err(format!("it is a record of kind {own} in an entry of kind {kind}")),
    }
}

/// Reads a ledger; its content is not checked, see [`verify`](super::verify).
///
/// # Errors
/// Names the first record that cannot be read, and its place in the file.
pub fn decode(bytes: &[u8]) -> Result<Vec<CertifiedRecord>, LedgerError> {
    match LEDGER_FORMAT.check_magic(bytes) {
        Ok(()) => {}
        Err(MagicError::Newer(version)) => return Err(LedgerError::NewerFormat { version }),
        Err(MagicError::Other) => return decode_first_version(bytes),
    }
    let mut records = Vec::new();
    let mut offset = MAGIC_BYTES;
    while offset < bytes.len() {
        let wrong = |reason: &str| wrong_at(records.len(), offset, reason);
        match LEDGER_FORMAT.parse(bytes, offset) {
            Parsed::Entry { kind, body, next } => {
                let record = decode_record(kind, body).map_err(|reason| wrong(&reason))?;
                records.push(record);
                offset = next;
            }
            Parsed::Torn => return Err(wrong(CUT_SHORT)),
            Parsed::Damaged(reason) => return Err(wrong(reason)),
        }
    }
    Ok(records)
}

fn decode_first_version(bytes: &[u8]) -> Result<Vec<CertifiedRecord>, LedgerError> {
    let mut rest = bytes.strip_prefix(FIRST_MAGIC).ok_or(LedgerError::NotALedger)?;
    let mut records = Vec::new();
    while !rest.is_empty() {
        let wrong = |reason: &str| wrong_at(records.len(), bytes.len() - rest.len(), reason);
        let cut = || wrong(CUT_SHORT);
        let (length, after) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (body, after) = after.split_at_checked(length).ok_or_else(cut)?;
        let record = decode_record(RECORD_ENTRY, body).map_err(|reason| wrong(&reason))?;
        records.push(record);
        rest = after;
    }
    Ok(records)
}

const CUT_SHORT: &str = "the file ends within it";

fn wrong_at(index: usize, offset: usize, reason: &str) -> LedgerError {
    let reason = RecordError::Unreadable { reason: reason.to_owned(), offset };
    LedgerError::Record { index, round: Round(index as u64), reason }
}
