//! The typed side of the store: records, reports and notes.

use std::sync::Arc;

use fedshield_protocol::ids::Round;
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::record::{CertifiedRecord, Outcome};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Store, StoreError, Table};
use crate::control::api::RoundReport;

/// The ledger and what belongs to it. Whether records are valid is for the protocol to say.
#[derive(Clone)]
pub struct Ledger {
    store: Arc<dyn Store>,
}

impl Ledger {
    /// The ledger in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// Keeps a finished record, on disk when this returns.
    ///
    /// # Errors
    /// What the store says.
    pub fn append(&self, record: &CertifiedRecord) -> Result<(), StoreError> {
        let bytes = postcard::to_allocvec(record).map_err(encode)?;
        self.store.put(&Table::Record.round_key(record.record.round), &bytes)
    }

    /// All records in the order of their rounds.
    ///
    /// # Errors
    /// [`StoreError::Corrupted`] if one cannot be read or lies under another round's key.
    pub fn records(&self) -> Result<Vec<CertifiedRecord>, StoreError> {
        let mut records = Vec::new();
        for (key, value) in self.store.scan(Table::Record.prefix())? {
            let record: CertifiedRecord = postcard::from_bytes(&value)
                .map_err(|error| self.store.corrupted(format!("record {key:02x?}: {error}")))?;
            let round = record.record.round;
            if key != Table::Record.round_key(round) {
                return Err(self.store.corrupted(format!("record of round {round} misplaced")));
            }
            records.push(record);
        }
        Ok(records)
    }

    /// The last round that gave an adapter, and that adapter.
    ///
    /// # Errors
    /// See [`Self::records`].
    pub fn last_applied(&self) -> Result<Option<(Round, ObjectRef)>, StoreError> {
        let records = self.records()?;
        Ok(records.iter().rev().find_map(|certified| {
            let record = &certified.record;
            let applied = matches!(record.outcome, Outcome::Applied { .. });
            record.adapter.filter(|_| applied).map(|adapter| (record.round, adapter))
        }))
    }

    /// Keeps what this node saw of a round.
    ///
    /// # Errors
    /// What the store says.
    pub fn put_report(&self, report: &RoundReport) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(report).map_err(encode)?;
        self.store.put(&Table::Report.round_key(report.round), &bytes)
    }

    /// The report of `round`.
    ///
    /// # Errors
    /// What the store says.
    pub fn report(&self, round: Round) -> Result<Option<RoundReport>, StoreError> {
        self.store
            .get(&Table::Report.round_key(round))?
            .map(|value| self.json("report", &value))
            .transpose()
    }

    /// All reports, oldest round first.
    ///
    /// # Errors
    /// [`StoreError::Corrupted`] if one cannot be read.
    pub fn reports(&self) -> Result<Vec<RoundReport>, StoreError> {
        let rows = self.store.scan(Table::Report.prefix())?;
        rows.iter().map(|(_, value)| self.json("report", value)).collect()
    }

    /// Keeps a small value of the host between runs.
    ///
    /// # Errors
    /// What the store says.
    pub fn put_note<T: Serialize>(&self, name: &str, value: &T) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(value).map_err(encode)?;
        self.store.put(&Table::Note.name_key(name), &bytes)
    }

    /// A small value of the host from an earlier run.
    ///
    /// # Errors
    /// [`StoreError::Corrupted`] if it is not a `T`.
    pub fn note<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        self.store
            .get(&Table::Note.name_key(name))?
            .map(|value| self.json(name, &value))
            .transpose()
    }

    fn json<T: DeserializeOwned>(&self, what: &str, bytes: &[u8]) -> Result<T, StoreError> {
        serde_json::from_slice(bytes)
            .map_err(|error| self.store.corrupted(format!("{what}: {error}")))
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").finish_non_exhaustive()
    }
}

fn encode(error: impl std::fmt::Display) -> StoreError {
    StoreError::Encode { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use fedshield_protocol::ids::{Digest, Epoch};
    use fedshield_protocol::record::Record;

    use super::*;
    use crate::store::SledStore;

    fn record(round: u64) -> CertifiedRecord {
        let digest = Digest([7; 32]);
        CertifiedRecord {
            record: Record {
                federation: digest,
                manifest: digest,
                epoch: Epoch(0),
                round: Round(round),
                previous: digest,
                outcome: Outcome::Skipped,
                adapter: None,
                applied: 0,
                beacon: digest,
            },
            signatures: vec![],
            attachments: vec![1, 2],
        }
    }

    #[test]
    fn records_survive_a_restart_in_the_order_of_rounds() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = || Ledger::new(Arc::new(SledStore::open(folder.path()).unwrap()));
        let first = ledger();
        for round in [300, 2, 1] {
            first.append(&record(round)).unwrap();
        }
        first.put_note("last-error", &"disk").unwrap();
        drop(first);
        let again = ledger();
        assert_eq!(again.records().unwrap(), [record(1), record(2), record(300)]);
        assert_eq!(again.note::<String>("last-error").unwrap().as_deref(), Some("disk"));
        assert_eq!(again.report(Round(1)).unwrap(), None);
    }

    #[test]
    fn a_record_that_cannot_be_read_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SledStore::open(folder.path()).unwrap());
        store.put(&Table::Record.round_key(Round(1)), b"nonsense").unwrap();
        let error = Ledger::new(store).records().unwrap_err();
        assert!(error.to_string().contains("--rebuild-store"), "{error}");
        assert_eq!(error.code(), crate::error_code::ErrorCode::StoreCorrupted);
    }
}
