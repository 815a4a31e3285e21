//! A ledger that ends before the journal: it was lost, cut, or is an older copy. What the journal says of later rounds binds
//! this member as ever, but cannot be taken over before the ledger is there. So the entries are kept, the records between
//! are fetched from whoever has them, and each round's entries are recalled when it is reached, as at any start.
//!
//! Until then this member is silent, also about others: what it heard in those rounds is no longer in its journal, so
//! that "I have heard nothing of you" would not mean what `doubt` takes it for.

use std::collections::BTreeMap;

use super::Machine;
use crate::ids::{MemberIndex, Round};
use crate::wire::journal::Note;

/// Journal entries by round, all beyond the ledger.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ahead {
    notes: BTreeMap<Round, Vec<Note>>,
    /// Whom to ask next.
    turn: usize,
}

impl Ahead {
    pub(super) fn keep(&mut self, round: Round, note: Note) {
        self.notes.entry(round).or_default().push(note);
    }

    /// The newest round that the journal names, while the ledger is before it.
    pub(crate) fn last_round(&self) -> Option<Round> {
        self.notes.last_key_value().map(|(round, _)| *round)
    }

    /// The entries of `round`, in the order in which they were written.
    pub(super) fn take(&mut self, round: Round) -> Vec<Note> {
        self.notes.remove(&round).unwrap_or_default()
    }
}

impl Machine {
    /// Whether the ledger ends before the journal.
    pub(crate) fn is_behind(&self) -> bool {
        self.ahead.last_round().is_some()
    }

    /// A status tick: asks one member for records, if there must be some. Each in turn, because one that says that it is
    /// ahead need not have them, and one that has them need not have been heard.
    pub(super) fn ask_those_ahead(&mut self) {
        let current = self.round.number;
        let ahead = |machine: &Self, member: &MemberIndex| {
            let peer = machine.peers.get(member.position());
            let newest = peer.and_then(|peer| peer.newest.as_ref());
            newest.is_some_and(|newest| newest.round > current)
        };
        let me = self.config.me;
        let others = || self.config.manifest.members().filter(|member| *member != me);
        let mut asked: Vec<MemberIndex> = others().filter(|member| ahead(self, member)).collect();
        if self.is_behind() {
            let reachable =
                |m: &MemberIndex| self.peers.get(m.position()).is_some_and(|peer| peer.reachable);
            asked.extend(others().filter(|member| reachable(member) && !ahead(self, member)));
        }
        let turn = self.ahead.turn.checked_rem(asked.len()).unwrap_or_default();
        if let Some(member) = asked.get(turn).copied() {
            self.ahead.turn = turn.saturating_add(1);
            self.ask_for_records(member);
        }
    }

    /// `member` can be reached now.
    pub(super) fn ask_if_behind(&mut self, member: MemberIndex) {
        if self.is_behind() {
            self.ask_for_records(member);
        }
    }
}
