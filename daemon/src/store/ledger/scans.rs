//! Scanning the files, as a start does: each entry is checked, and the index is filled from the
//! result.

use std::collections::BTreeMap;

use fedshield_protocol::ids::Round;
use fedshield_protocol::ledger::{MEASURED_RECORD_ENTRY, RECORD_ENTRY, decode_record};
use fedshield_protocol::wire::evidence::Evidence;
use serde::de::DeserializeOwned;

use crate::control::api::{HeldOut, RoundReport};
use crate::store::append_file::{Position, Unusable};
use crate::store::evidence::{EvidenceBook, EvidenceEntry};
use crate::store::formats::{
    EVIDENCE_ENTRY, HELD_OUT_ENTRY, LIFT_ENTRY, PROOF_ENTRY, REPORT_ENTRY,
};
use crate::store::index::Rows;

/// The positions of the files' entries, and what is kept in memory of them.
#[derive(Debug, Default)]
pub(super) struct Scans {
    pub(super) records: Rows,
    pub(super) reports: Rows,
    pub(super) evidence: BTreeMap<Vec<u8>, Position>,
    pub(super) book: EvidenceBook,
    pub(super) held_out: Option<HeldOut>,
}

impl Scans {
    pub(super) fn record(&mut self, at: Position, kind: u32, body: &[u8]) -> Result<(), Unusable> {
        known(kind, &[RECORD_ENTRY, MEASURED_RECORD_ENTRY])?;
        let record = decode_record(kind, body).map_err(Unusable::Damaged)?;
        let (round, next) = (record.record.round, self.records.len() as u64);
        if round.0 != next {
            let reason = format!("a record of round {round} in the place of round {next}");
            return Err(Unusable::Damaged(reason));
        }
        self.records.insert(key(round), at);
        Ok(())
    }

    pub(super) fn report(&mut self, at: Position, kind: u32, body: &[u8]) -> Result<(), Unusable> {
        known(kind, &[REPORT_ENTRY, HELD_OUT_ENTRY])?;
        if kind == HELD_OUT_ENTRY {
            self.held_out = Some(json(body).map_err(Unusable::Damaged)?);
        } else {
            let report: RoundReport = json(body).map_err(Unusable::Damaged)?;
            self.reports.insert(key(report.round), at);
        }
        Ok(())
    }

    pub(super) fn evidence(
        &mut self,
        at: Position,
        kind: u32,
        body: &[u8],
    ) -> Result<(), Unusable> {
        known(kind, &[EVIDENCE_ENTRY, PROOF_ENTRY, LIFT_ENTRY])?;
        let damaged = |error: String| Unusable::Damaged(format!("evidence: {error}"));
        if kind == LIFT_ENTRY {
            self.book.lift(postcard::from_bytes(body).map_err(|e| damaged(e.to_string()))?);
            return Ok(());
        }
        let evidence: EvidenceEntry =
            postcard::from_bytes(body).map_err(|error| damaged(error.to_string()))?;
        if kind == PROOF_ENTRY {
            let proof = Evidence::decode(&evidence.proof).map_err(|e| damaged(e.to_string()))?;
            self.book.note(&proof);
        }
        self.evidence.insert(evidence.key(), at);
        Ok(())
    }
}

fn known(kind: u32, kinds: &[u32]) -> Result<(), Unusable> {
    if kinds.contains(&kind) {
        return Ok(());
    }
    Err(Unusable::Newer(format!(
        "it holds an entry of kind {kind}, which this version of the program does not know; upgrade"
    )))
}

pub(super) fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

/// The key of a round in the index: keys sort like rounds.
pub(super) fn key(round: Round) -> Vec<u8> {
    round.0.to_be_bytes().to_vec()
}
