//! The end of a chain of records, and what may come next.

use super::proof::{check_attachments, check_signatures};
use super::{RecordError, record_digest, set_of};
use crate::hash::Use;
use crate::ids::{Beacon, NonceDigest, RecordDigest, Round};
use crate::manifest::{Evaluation, ValidManifest};
use crate::object::ObjectRef;
use crate::roster::Roster;
use crate::wire::{CertifiedRecord, Outcome, Record};

/// The end of a chain of records: what the next one must follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    /// Digest of the last record; the manifest digest before the first.
    pub head: RecordDigest,
    /// The next round.
    pub round: Round,
    /// Rounds applied.
    pub applied: u64,
    /// The global adapter.
    pub adapter: Option<ObjectRef>,
    /// The beacon of the next round.
    pub beacon: Beacon,
    /// Rounds that were applied when the members ended the training early, if they did.
    pub stopped: Option<u64>,
}

impl Tip {
    /// Before the first record.
    #[must_use]
    pub fn start(manifest: &ValidManifest) -> Self {
        Self {
            head: manifest.digest().into(),
            round: Round(0),
            applied: 0,
            adapter: None,
            beacon: manifest.first_beacon(),
            stopped: None,
        }
    }

    /// The record that ends the next round with `outcome`.
    #[must_use]
    pub fn record(
        &self,
        manifest: &ValidManifest,
        outcome: Outcome,
        adapter: Option<ObjectRef>,
        nonce: Option<&NonceDigest>,
    ) -> Record {
        let applied = self.applied + u64::from(matches!(outcome, Outcome::Applied { .. }));
        let beacon = match nonce {
            Some(nonce) => {
                let parts = [self.beacon.as_bytes().as_slice(), nonce.as_bytes()];
                Beacon(Use::BeaconOpened.digest(&parts).0)
            }
            None => self.skip_beacon(),
        };
        Record {
            federation: manifest.federation(),
            manifest: manifest.digest(),
            epoch: manifest.epoch(),
            round: self.round,
            previous: self.head,
            outcome,
            adapter,
            applied,
            beacon,
        }
    }

    /// The beacon after a round that opened nothing.
    fn skip_beacon(&self) -> Beacon {
        let parts = [self.beacon.as_bytes().as_slice(), &self.round.0.to_le_bytes()];
        Beacon(Use::BeaconSkip.digest(&parts).0)
    }

    /// The tip after `record`, which has been checked.
    #[must_use]
    pub fn after(&self, record: &Record) -> Self {
        Self {
            head: record_digest(record),
            round: record.round.next(),
            applied: record.applied,
            adapter: record.adapter,
            beacon: record.beacon,
            stopped: self.stopped.or(record.outcome.stops().then_some(record.applied)),
        }
    }

    /// Checks that `certified` is the next record, signed by a quorum, its certificates included.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn check(
        &self,
        roster: &Roster<'_>,
        certified: &CertifiedRecord,
    ) -> Result<(), RecordError> {
        self.check_place(roster, &certified.record)?;
        check_signatures(roster, certified)?;
        check_attachments(roster, certified)
    }

    /// Checks that `record` follows from what came before, but not that anybody has signed it.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn check_place(&self, roster: &Roster<'_>, record: &Record) -> Result<(), RecordError> {
        self.check_chain(roster.manifest(), record)?;
        self.check_outcome(roster, record)
    }

    fn check_chain(&self, manifest: &ValidManifest, record: &Record) -> Result<(), RecordError> {
        let same = |what, ok: bool| if ok { Ok(()) } else { Err(RecordError::Chain(what)) };
        same("the federation id", record.federation == manifest.federation())?;
        same("the manifest digest", record.manifest == manifest.digest())?;
        same("the epoch", record.epoch == manifest.epoch())?;
        same("the round", record.round == self.round)?;
        same("the digest of the previous record", record.previous == self.head)
    }

    fn check_outcome(&self, roster: &Roster<'_>, record: &Record) -> Result<(), RecordError> {
        let applied = matches!(record.outcome, Outcome::Applied { .. });
        if record.applied != self.applied + u64::from(applied) {
            return Err(RecordError::AppliedCount);
        }
        if !applied && record.adapter != self.adapter {
            return Err(RecordError::AdapterChanged);
        }
        if applied && record.adapter.is_none_or(|adapter| adapter.check_size().is_err()) {
            return Err(RecordError::NoAdapter);
        }
        if !is_opened(&record.outcome) && record.beacon != self.skip_beacon() {
            return Err(RecordError::Beacon);
        }
        self.check_measurement(roster, &record.outcome)?;
        let Some((set, _)) = set_of(&record.outcome) else { return Ok(()) };
        let rules = roster.rules();
        if !set.is_within(rules.member_count) {
            return Err(RecordError::UnknownContributor);
        }
        let (found, needed) = (set.len(), rules.min_contributors);
        if found < usize::from(needed) {
            return Err(RecordError::TooFewUpdates { found, needed });
        }
        Ok(())
    }

    /// Members measure only where the manifest says so, and nothing but that after the last round.
    fn check_measurement(&self, roster: &Roster<'_>, outcome: &Outcome) -> Result<(), RecordError> {
        let manifest = roster.manifest().manifest();
        let measures = manifest.evaluation == Evaluation::Mean;
        let is_final = matches!(outcome, Outcome::Measured { .. });
        if is_final && !(measures && self.applied >= manifest.end(self.stopped)) {
            return Err(RecordError::Measurement);
        }
        if outcome.stops() && (manifest.stop.is_none() || self.stopped.is_some()) {
            return Err(RecordError::Stop);
        }
        let (Some(measured), Some((set, _))) = (outcome.measured(), set_of(outcome)) else {
            return Ok(());
        };
        let admitted = measured.admitted(set.len(), roster.rules().min_contributors);
        match measures && admitted.is_some() {
            true => Ok(()),
            false => Err(RecordError::Measurement),
        }
    }
}

/// Whether a round opened its sum.
const fn is_opened(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Applied { .. } | Outcome::Rejected { .. } | Outcome::Measured { .. } => true,
        Outcome::Void { .. } | Outcome::Skipped => false,
    }
}
