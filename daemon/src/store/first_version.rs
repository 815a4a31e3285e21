//! Homes whose rounds are stored in sled itself (`store/`), as by the first version of the program.
//!
//! They are read from a copy, because opening a sled database changes it. Snapshots are copied too,
//! because without them sled does not find rows in reused segments. The rows are written to the
//! append-only files; the old folder is kept under another name.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fedshield_protocol::ids::Round;
use fedshield_protocol::ledger::{LEDGER_FORMAT, RECORD_ENTRY, decode_record};

use super::append_file::write_all;
use super::formats::{
    EVIDENCE_ENTRY, EVIDENCE_FORMAT, HELD_OUT_ENTRY, REPORT_ENTRY, REPORTS_FORMAT,
};
use super::index::contain;
use super::{EvidenceEntry, StoreError, aside};
use crate::durable::{self, DiskError};
use crate::home::Home;

const RECORD: &[u8] = b"record/";
const REPORT: &[u8] = b"report/";
const NOTE: &[u8] = b"note/";
const HELD_OUT_NOTE: &[u8] = b"held-out";
const EVIDENCE_NOTE: &[u8] = b"evidence-";
/// Beside the database: what it must contain. After the magic come two states, of a row count (u64)
/// and a digest each.
const STATE_FILE: &str = "seal.fs";
const STATE_AFTER_OFFSET: usize = 8 + 40;

/// What was found in an old folder.
#[derive(Debug, Default)]
pub(super) struct Found {
    records: Vec<Vec<u8>>,
    reports: Vec<Vec<u8>>,
    held_out: Option<Vec<u8>>,
    evidence: Vec<Vec<u8>>,
    rows: u64,
    /// How many rows were written, if the state file can be read.
    written: Option<u64>,
    failure: Option<String>,
}

/// Migrates the old folder of `home` to the present files; returns a message for the operator. The
/// old folder is kept in any case.
///
/// # Errors
/// A failure of the disk; the next start tries again.
pub(super) fn migrate(home: &Home) -> Result<String, StoreError> {
    let found = read(&home.store(), &home.store_reading())?;
    found.write(&home.ledger(), &home.reports(), &home.evidence())?;
    let kept = aside::rename(&home.store(), "v1")?;
    Ok(found.summary(&kept))
}

/// Writes the content of the old folder `store` to files in `target`, changing nothing else.
///
/// # Errors
/// A failure of the disk.
pub(super) fn read_into(store: &Path, target: &Home) -> Result<String, StoreError> {
    let found = read(store, &target.store_reading())?;
    found.write(&target.ledger(), &target.reports(), &target.evidence())?;
    Ok(found.summary(store))
}

fn read(store: &Path, work: &Path) -> Result<Found, StoreError> {
    let written = written_rows(store);
    let mut best = Found::default();
    // If a full disk has damaged the store, its snapshots may recover less than the log alone.
    for snapshots in [true, false] {
        copy(store, work, snapshots)?;
        let found = read_copy(work);
        if best.failure.is_none() && best.rows == 0 || found.rows > best.rows {
            best = found;
        }
        if best.failure.is_none() && written.is_none_or(|written| best.rows >= written) {
            break;
        }
    }
    fs::remove_dir_all(work).map_err(|error| DiskError::at(work, error))?;
    best.written = written;
    Ok(best)
}

fn written_rows(store: &Path) -> Option<u64> {
    let bytes = fs::read(store.join(STATE_FILE)).ok()?;
    let rows = bytes.get(STATE_AFTER_OFFSET..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*rows))
}

fn copy(from: &Path, to: &Path, snapshots: bool) -> Result<(), StoreError> {
    if to.exists() {
        fs::remove_dir_all(to).map_err(|error| DiskError::at(to, error))?;
    }
    durable::make_folder(to)?;
    let disk = |error| DiskError::at(from, error);
    for entry in fs::read_dir(from).map_err(disk)? {
        let entry = entry.map_err(disk)?;
        let name = entry.file_name();
        let (source, target) = (entry.path(), to.join(&name));
        if entry.file_type().map_err(disk)?.is_dir() {
            // `blobs`: values that are too long for the log.
            copy(&source, &target, snapshots)?;
        } else if snapshots || !name.to_string_lossy().starts_with("snap.") {
            fs::copy(&source, &target).map_err(|error| DiskError::at(&target, error))?;
        }
    }
    Ok(())
}

fn read_copy(folder: &Path) -> Found {
    let mut found = Found::default();
    let mut records = BTreeMap::new();
    let read = contain(|| {
        let db = sled::Config::new().path(folder).open()?;
        for row in db.iter() {
            let (key, value) = row?;
            found.rows += 1;
            if let Some(round) = key.strip_prefix(RECORD) {
                records.insert(round.to_vec(), value.to_vec());
            } else if key.starts_with(REPORT) {
                found.reports.push(value.to_vec());
            } else if key.strip_prefix(NOTE) == Some(HELD_OUT_NOTE) {
                found.held_out = Some(value.to_vec());
            } else if key.strip_prefix(NOTE).is_some_and(|name| name.starts_with(EVIDENCE_NOTE)) {
                found.evidence.push(value.to_vec());
            }
        }
        Ok(())
    });
    found.failure = read.err().map(|error| error.to_string());
    // Records after a gap cannot be verified.
    for (position, (round, bytes)) in records.into_iter().enumerate() {
        let expected = Round(position as u64);
        let fits = round == expected.0.to_be_bytes()
            && decode_record(RECORD_ENTRY, &bytes).is_ok_and(|it| it.record.round == expected);
        if !fits {
            break;
        }
        found.records.push(bytes);
    }
    found
}

impl Found {
    /// The ledger last: once it is there, nothing is read from the old folder any more.
    fn write(&self, ledger: &Path, reports: &Path, evidence: &Path) -> Result<(), StoreError> {
        let held_out = self.held_out.iter().map(|note| (HELD_OUT_ENTRY, note.as_slice()));
        let lines = self.reports.iter().map(|report| (REPORT_ENTRY, report.as_slice()));
        write_all(reports, REPORTS_FORMAT, lines.chain(held_out))?;
        let proofs: Vec<Vec<u8>> = self
            .evidence
            .iter()
            .filter_map(|note| serde_json::from_slice::<Vec<u8>>(note).ok())
            .map(|proof| EvidenceEntry::of_first_version(proof).encode())
            .collect::<Result<_, _>>()
            .map_err(|error| StoreError::encode(evidence, error))?;
        let proofs = proofs.iter().map(|proof| (EVIDENCE_ENTRY, proof.as_slice()));
        write_all(evidence, EVIDENCE_FORMAT, proofs)?;
        let records = self.records.iter().map(|record| (RECORD_ENTRY, record.as_slice()));
        write_all(ledger, LEDGER_FORMAT, records)
    }

    fn summary(&self, kept: &Path) -> String {
        let (records, reports) = (self.records.len(), self.reports.len());
        let mut text = format!(
            "read {records} records and {reports} reports of the earlier format; its files are kept as {}",
            PathBuf::from(kept).display()
        );
        if let Some(written) = self.written.filter(|written| *written > self.rows) {
            text.push_str(&format!(
                ". {} of {written} rows could not be read: the records among them come from the \
                 other members",
                written - self.rows
            ));
        }
        if let Some(failure) = &self.failure {
            text.push_str(&format!(" ({failure})"));
        }
        text
    }
}
