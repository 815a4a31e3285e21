//! The typed interface of the store. Records are here; `reports` and `proofs` are the other two
//! files, `scans` reads all three at a start.

mod proofs;
mod reports;
mod scans;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fedshield_protocol::ids::Round;
use fedshield_protocol::ledger::{
    LEDGER_FORMAT, decode_record, encode_record, record_digest, record_kind,
};
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::{CertifiedRecord, Outcome};

use super::append_file::{AppendFile, Position};
use super::checkpoint::{Checkpoint, CheckpointKey};
use super::evidence::EvidenceBook;
use super::formats::{EVIDENCE_FORMAT, REPORTS_FORMAT};
use super::index::{Index, IndexError, Table};
use super::{Repair, StoreError, first_version};
use crate::control::api::HeldOut;
use crate::home::Home;
use scans::{Scans, key};

/// An opened ledger, and messages about it for the operator.
#[derive(Debug)]
pub struct Opened {
    /// The ledger.
    pub ledger: Ledger,
    /// What was cut off and put aside.
    pub repairs: Vec<Repair>,
    /// What else happened: files of an earlier version were migrated, the index was rebuilt.
    pub remarks: Vec<String>,
}

/// The ledger with reports and evidence. Whether records are valid is decided by the protocol.
/// Calls may block on the disk.
#[derive(Debug)]
pub struct Ledger {
    records: Mutex<AppendFile>,
    reports: Mutex<AppendFile>,
    evidence: Mutex<AppendFile>,
    book: Mutex<EvidenceBook>,
    index: Index,
    /// How many records there are; record n is that of round n.
    count: AtomicU64,
    held_out: Mutex<Option<HeldOut>>,
}

impl Ledger {
    /// Opens or creates the ledger of `home`. Damage is repaired as far as possible, and reported
    /// in the result.
    ///
    /// # Errors
    /// [`StoreError::Newer`], or a failure of the disk.
    pub fn open(home: &Home) -> Result<Opened, StoreError> {
        let mut remarks = Vec::new();
        if !home.ledger().exists() && home.store().is_dir() {
            remarks.push(first_version::migrate(home)?);
        }
        let (index, said) = Index::open(&home.index());
        remarks.extend(said);
        let mut scans = Scans::default();
        let (records, a) = AppendFile::open(&home.ledger(), LEDGER_FORMAT, |at, kind, body| {
            scans.record(at, kind, body)
        })?;
        let (reports, b) = AppendFile::open(&home.reports(), REPORTS_FORMAT, |at, kind, body| {
            scans.report(at, kind, body)
        })?;
        let (evidence, c) =
            AppendFile::open(&home.evidence(), EVIDENCE_FORMAT, |at, kind, body| {
                scans.evidence(at, kind, body)
            })?;
        let ledger = Self::new([records, reports, evidence], index, scans);
        Ok(Opened { ledger, repairs: [a, b, c].into_iter().flatten().collect(), remarks })
    }

    /// Opens the ledger of `home` for reading, changing nothing; `scratch` is an empty folder
    /// elsewhere, into which the files of an earlier version are copied. `None` if there is no
    /// ledger.
    ///
    /// # Errors
    /// [`StoreError::Newer`], or a failure of the disk.
    pub fn open_to_read(home: &Home, scratch: &Path) -> Result<Option<Opened>, StoreError> {
        let mut remarks = Vec::new();
        let copy = Home::new(scratch);
        let home = if !home.ledger().exists() && home.store().is_dir() {
            remarks.push(first_version::read_into(&home.store(), &copy)?);
            &copy
        } else {
            home
        };
        let mut scans = Scans::default();
        let records = AppendFile::open_to_read(&home.ledger(), LEDGER_FORMAT, |at, kind, body| {
            scans.record(at, kind, body)
        })?;
        let Some((records, a)) = records else { return Ok(None) };
        let reports =
            AppendFile::open_to_read(&home.reports(), REPORTS_FORMAT, |at, kind, body| {
                scans.report(at, kind, body)
            })?;
        let evidence =
            AppendFile::open_to_read(&home.evidence(), EVIDENCE_FORMAT, |at, kind, body| {
                scans.evidence(at, kind, body)
            })?;
        // A crash may have interrupted the creation of the files.
        let (Some((reports, b)), Some((evidence, c))) = (reports, evidence) else {
            return Ok(None);
        };
        let ledger = Self::new([records, reports, evidence], Index::memory(), scans);
        Ok(Some(Opened { ledger, repairs: [a, b, c].into_iter().flatten().collect(), remarks }))
    }

    fn new([records, reports, evidence]: [AppendFile; 3], index: Index, scans: Scans) -> Self {
        let ledger = Self {
            records: Mutex::new(records),
            reports: Mutex::new(reports),
            evidence: Mutex::new(evidence),
            book: Mutex::new(scans.book.clone()),
            index,
            count: AtomicU64::new(scans.records.len() as u64),
            held_out: Mutex::new(scans.held_out.clone()),
        };
        if let Err(error) = ledger.fill(&scans) {
            ledger.use_memory_index(&error, &scans);
        }
        ledger
    }

    /// How many records there are: the round of the next one.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Appends the record of the next round, on disk when this returns.
    ///
    /// # Errors
    /// [`StoreError::Encode`] if it is of another round, or a failure of the disk, after which
    /// nothing of it is left behind.
    pub fn append(&self, record: &CertifiedRecord) -> Result<(), StoreError> {
        let mut file = lock(&self.records);
        let (round, next) = (record.record.round, self.count());
        if round.0 != next {
            let reason = format!("a record of round {round} in the place of round {next}");
            return Err(StoreError::encode(file.path(), reason));
        }
        let body = encode_record(record).map_err(|error| StoreError::encode(file.path(), error))?;
        let position = file.append(record_kind(record), &body)?;
        self.count.store(next + 1, Ordering::Release);
        drop(file);
        self.note(Table::Records, &key(round), position)
    }

    /// How many records, from the first on, were verified before and are unchanged: 0 without a
    /// checkpoint under `key`.
    ///
    /// # Errors
    /// See [`Self::record`].
    pub fn verified(&self, key: &CheckpointKey) -> Result<u64, StoreError> {
        let Some(checkpoint) = self.index.checkpoint().and_then(|bytes| key.decode(&bytes)) else {
            return Ok(0);
        };
        let Some(last) = checkpoint.records.checked_sub(1) else { return Ok(0) };
        // Every record contains the digest of the one before: if the last one is unchanged, all
        // are.
        let same = self
            .record(Round(last))?
            .is_some_and(|certified| record_digest(&certified.record) == checkpoint.head);
        Ok(if same { checkpoint.records } else { 0 })
    }

    /// Stores that all records up to `last`, which is the newest, have been verified.
    pub fn set_verified(&self, key: &CheckpointKey, last: &CertifiedRecord) {
        let (records, head) = (last.record.round.0.saturating_add(1), record_digest(&last.record));
        self.index.set_checkpoint(&key.encode(&Checkpoint { records, head }));
    }

    /// The record of `round`, if there is one.
    ///
    /// # Errors
    /// [`StoreError::Changed`], or a failure of the disk.
    pub fn record(&self, round: Round) -> Result<Option<CertifiedRecord>, StoreError> {
        if round.0 >= self.count() {
            return Ok(None);
        }
        let read = |position| self.read_record(position);
        self.look_up(Table::Records, &key(round), |position| match position {
            Some(position) => read(position).map(Some),
            None => Ok(None),
        })
    }

    /// Passes the records from `round` on to `visit`, in order, one at a time, until it breaks off.
    ///
    /// # Errors
    /// [`StoreError::Changed`], or a failure of the disk.
    pub fn for_each(
        &self,
        round: Round,
        mut visit: impl FnMut(CertifiedRecord) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        for position in self.positions(Table::Records, &key(round))? {
            if visit(self.read_record(position)?).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The records from `round` on, as many as fit in `limit_bytes` when encoded.
    ///
    /// # Errors
    /// [`StoreError::Changed`], or a failure of the disk.
    pub fn read_from(
        &self,
        round: Round,
        limit_bytes: usize,
    ) -> Result<Vec<CertifiedRecord>, StoreError> {
        let (mut records, mut room) = (Vec::new(), limit_bytes);
        for position in self.positions(Table::Records, &key(round))? {
            let length = position.length as usize;
            if length > room {
                break;
            }
            room -= length;
            records.push(self.read_record(position)?);
        }
        Ok(records)
    }

    /// All records in the order of their rounds.
    ///
    /// # Errors
    /// [`StoreError::Changed`], or a failure of the disk.
    pub fn records(&self) -> Result<Vec<CertifiedRecord>, StoreError> {
        self.read_from(Round(0), usize::MAX)
    }

    /// The ledger's canonical bytes.
    ///
    /// # Errors
    /// A failure of the disk.
    pub fn bytes(&self) -> Result<Vec<u8>, StoreError> {
        lock(&self.records).bytes()
    }

    /// Cuts off the records from `round` on, because the one of that round is wrong; a copy of the
    /// file is put aside.
    ///
    /// # Errors
    /// A failure of the disk.
    pub fn cut(&self, round: Round, reason: &str) -> Result<Option<Repair>, StoreError> {
        let Some(position) = self.positions(Table::Records, &key(round))?.first().copied() else {
            return Ok(None);
        };
        let repair = lock(&self.records).cut(position.offset, reason.to_owned(), false)?;
        self.count.store(round.0, Ordering::Release);
        let scans = self.scan_again()?;
        if let Err(error) = self.fill(&scans) {
            self.use_memory_index(&error, &scans);
        }
        Ok(Some(repair))
    }

    /// The last round that produced an adapter, and that adapter.
    ///
    /// # Errors
    /// See [`Self::record`].
    pub fn last_applied(&self) -> Result<Option<(Round, ObjectRef)>, StoreError> {
        for round in (0..self.count()).rev() {
            let Some(certified) = self.record(Round(round))? else { continue };
            let record = certified.record;
            if matches!(record.outcome, Outcome::Applied { .. }) {
                return Ok(record.adapter.map(|adapter| (record.round, adapter)));
            }
        }
        Ok(None)
    }

    fn read_record(&self, position: Position) -> Result<CertifiedRecord, StoreError> {
        let file = lock(&self.records);
        let (kind, body) = file.read(position)?;
        decode_record(kind, &body).map_err(|reason| StoreError::changed(file.path(), reason))
    }

    fn note(&self, table: Table, key: &[u8], position: Position) -> Result<(), StoreError> {
        if let Err(error) = self.index.put(table, key, position) {
            let scans = self.scan_again()?;
            self.use_memory_index(&error, &scans);
        }
        Ok(())
    }

    fn positions(&self, table: Table, from: &[u8]) -> Result<Vec<Position>, StoreError> {
        match self.index.from(table, from) {
            Ok(positions) => Ok(positions),
            Err(error) => {
                let scans = self.scan_again()?;
                self.use_memory_index(&error, &scans);
                Ok(self.index.from(table, from).unwrap_or_default())
            }
        }
    }

    fn look_up<T>(
        &self,
        table: Table,
        key: &[u8],
        read: impl Fn(Option<Position>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.index.get(table, key) {
            Ok(position) => read(position),
            Err(error) => {
                let scans = self.scan_again()?;
                self.use_memory_index(&error, &scans);
                read(self.index.get(table, key).unwrap_or_default())
            }
        }
    }

    fn fill(&self, scans: &Scans) -> Result<(), IndexError> {
        self.index.fill(Table::Records, scans.records.clone())?;
        self.index.fill(Table::Reports, scans.reports.clone())?;
        self.index.fill(Table::Evidence, scans.evidence.clone())
    }

    fn use_memory_index(&self, error: &IndexError, scans: &Scans) {
        tracing::warn!(%error, "the index is kept in memory until the next start");
        self.index.give_up_sled();
        // Filling an index in memory cannot fail.
        let _ = self.fill(scans);
    }

    /// Scans the files again, as at a start; damage in them was found there.
    fn scan_again(&self) -> Result<Scans, StoreError> {
        let mut scans = Scans::default();
        // Holds the lock, so that appends wait: the position in the file is shared.
        lock(&self.records).scan_again(|at, kind, body| scans.record(at, kind, body))?;
        lock(&self.reports).scan_again(|at, kind, body| scans.report(at, kind, body))?;
        lock(&self.evidence).scan_again(|at, kind, body| scans.evidence(at, kind, body))?;
        Ok(scans)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
