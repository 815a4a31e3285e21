//! Evidence and lifted bans, in a file of their own.

use fedshield_protocol::ids::Digest;
use fedshield_protocol::wire::evidence::Evidence;

use super::{Ledger, lock};
use crate::store::StoreError;
use crate::store::append_file::Position;
use crate::store::evidence::{EvidenceEntry, KeptEvidence, Lift};
use crate::store::formats::{LIFT_ENTRY, PROOF_ENTRY};
use crate::store::index::Table;

impl Ledger {
    /// Stores evidence, unless the limits for its member are reached (see `evidence`). Returns
    /// whether it was stored.
    ///
    /// # Errors
    /// A failure of the disk; [`StoreError::Encode`] if the bytes are not evidence.
    pub fn put_evidence(&self, evidence: &EvidenceEntry) -> Result<bool, StoreError> {
        let mut file = lock(&self.evidence);
        let proof = Evidence::decode(&evidence.proof)
            .map_err(|error| StoreError::encode(file.path(), error))?;
        if !lock(&self.book).has_capacity_for(&proof) {
            return Ok(false);
        }
        let body = evidence.encode().map_err(|error| StoreError::encode(file.path(), error))?;
        let position = file.append(PROOF_ENTRY, &body)?;
        drop(file);
        lock(&self.book).note(&proof);
        self.note(Table::Evidence, &evidence.key(), position)?;
        Ok(true)
    }

    /// All evidence, in the order in which it was stored.
    ///
    /// # Errors
    /// [`StoreError::Changed`], or a failure of the disk.
    pub fn evidence(&self) -> Result<Vec<KeptEvidence>, StoreError> {
        let mut positions = self.positions(Table::Evidence, b"")?;
        positions.sort_by_key(|position| position.offset);
        positions.into_iter().map(|position| self.read_evidence(position)).collect()
    }

    /// The evidence with this root.
    ///
    /// # Errors
    /// [`StoreError::Changed`], or a failure of the disk.
    pub fn evidence_named(&self, root: &Digest) -> Result<Option<KeptEvidence>, StoreError> {
        self.look_up(Table::Evidence, root.as_bytes(), |position| match position {
            Some(position) => self.read_evidence(position).map(Some),
            None => Ok(None),
        })
    }

    fn read_evidence(&self, position: Position) -> Result<KeptEvidence, StoreError> {
        let file = lock(&self.evidence);
        let (kind, body) = file.read(position)?;
        let evidence: EvidenceEntry = postcard::from_bytes(&body)
            .map_err(|error| StoreError::changed(file.path(), error.to_string()))?;
        let proof = match kind {
            PROOF_ENTRY => Some(
                Evidence::decode(&evidence.proof)
                    .map_err(|error| StoreError::changed(file.path(), error.to_string()))?,
            ),
            _ => None,
        };
        Ok(KeptEvidence { evidence, proof })
    }

    /// Stores that the operator has lifted a ban.
    ///
    /// # Errors
    /// A failure of the disk.
    pub fn put_lift(&self, lift: &Lift) -> Result<(), StoreError> {
        let mut file = lock(&self.evidence);
        let body =
            postcard::to_allocvec(lift).map_err(|error| StoreError::encode(file.path(), error))?;
        file.append(LIFT_ENTRY, &body)?;
        drop(file);
        lock(&self.book).lift(lift.clone());
        Ok(())
    }

    /// The newest lift of each member that has one.
    #[must_use]
    pub fn lifts(&self) -> Vec<Lift> {
        lock(&self.book).lifts()
    }
}
