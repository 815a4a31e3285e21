//! Reports of rounds and measurements, which only this node has: one file, in JSON, read in full at
//! a start.

use fedshield_protocol::ids::Round;
use serde::Serialize;

use super::scans::{json, key};
use super::{Ledger, lock};
use crate::control::api::{HeldOut, RoundReport};
use crate::store::StoreError;
use crate::store::append_file::Position;
use crate::store::formats::{HELD_OUT_ENTRY, REPORT_ENTRY};
use crate::store::index::Table;

impl Ledger {
    /// Stores this node's report of a round, in place of an earlier report of it.
    ///
    /// # Errors
    /// A failure of the disk.
    pub fn put_report(&self, report: &RoundReport) -> Result<(), StoreError> {
        let position = self.append_json(REPORT_ENTRY, report)?;
        self.note(Table::Reports, &key(report.round), position)
    }

    /// The report of `round`.
    ///
    /// # Errors
    /// [`StoreError::Changed`], or a failure of the disk.
    pub fn report(&self, round: Round) -> Result<Option<RoundReport>, StoreError> {
        self.look_up(Table::Reports, &key(round), |position| match position {
            Some(position) => self.read_report(position).map(Some),
            None => Ok(None),
        })
    }

    /// All reports, oldest round first.
    ///
    /// # Errors
    /// [`StoreError::Changed`], or a failure of the disk.
    pub fn reports(&self) -> Result<Vec<RoundReport>, StoreError> {
        let positions = self.positions(Table::Reports, b"")?;
        positions.into_iter().map(|position| self.read_report(position)).collect()
    }

    /// Stores the newest measurement of the common adapter.
    ///
    /// # Errors
    /// A failure of the disk.
    pub fn put_held_out(&self, measured: &HeldOut) -> Result<(), StoreError> {
        self.append_json(HELD_OUT_ENTRY, measured)?;
        *lock(&self.held_out) = Some(measured.clone());
        Ok(())
    }

    /// The newest measurement of this run or an earlier one.
    #[must_use]
    pub fn held_out(&self) -> Option<HeldOut> {
        lock(&self.held_out).clone()
    }

    fn append_json(&self, kind: u32, value: &impl Serialize) -> Result<Position, StoreError> {
        let mut file = lock(&self.reports);
        let body =
            serde_json::to_vec(value).map_err(|error| StoreError::encode(file.path(), error))?;
        file.append(kind, &body)
    }

    fn read_report(&self, position: Position) -> Result<RoundReport, StoreError> {
        let file = lock(&self.reports);
        let (_, body) = file.read(position)?;
        json(&body).map_err(|reason| StoreError::changed(file.path(), reason))
    }
}
