//! A ledger that ends before the journal: it was lost, truncated, or is an older copy. The journal
//! entries of later rounds bind this member as ever, but cannot be restored before the ledger has
//! reached them. So the entries are kept, the missing records are fetched from other members, and
//! each round's entries are restored when it is reached, as at any start.
//!
//! Until then this member sends nothing that binds it, and answers no recovery requests: what it
//! received in those rounds is no longer in its journal, so an empty response would not mean what
//! `recovery` takes it for.

use std::collections::BTreeMap;

use crate::ids::Round;
use crate::wire::journal::Note;

/// Journal entries by round, all beyond the ledger.
#[derive(Debug, Clone, Default)]
pub(super) struct Ahead(BTreeMap<Round, Vec<Note>>);

impl Ahead {
    pub(super) fn keep(&mut self, round: Round, note: Note) {
        self.0.entry(round).or_default().push(note);
    }

    /// The newest round that the journal names, while the ledger is before it.
    pub(super) fn last_round(&self) -> Option<Round> {
        self.0.last_key_value().map(|(round, _)| *round)
    }

    /// The entries of `round`, in the order in which they were written.
    pub(super) fn take(&mut self, round: Round) -> Vec<Note> {
        self.0.remove(&round).unwrap_or_default()
    }
}
