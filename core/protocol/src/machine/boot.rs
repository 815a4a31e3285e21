//! After a start: the ledger and the journal determine where this member continues, without
//! contradicting what it sent before.

use super::Machine;
use crate::event::TimerId;
use crate::ids::{MemberIndex, Round};
use crate::job::Fate;
use crate::ledger::{LedgerError, RecordError, Tip};
use crate::object::ObjectRef;
use crate::roster::Roster;
use crate::round::RoundState;
use crate::wire::evidence::Evidence;
use crate::wire::journal::{Entry, Note};
use crate::wire::{CertifiedRecord, Decision, Nonce};

impl Machine {
    /// Takes note of the next record of the ledger, the first one first; all of them before
    /// [`Event::Boot`](crate::event::Event::Boot).
    ///
    /// # Errors
    /// [`LedgerError::Record`] if it does not follow from those before or is not certified. Nothing
    /// is noted then: the host drops it and all later ones from its ledger, and the machine fetches
    /// them from other members.
    pub fn replay(&mut self, certified: &CertifiedRecord) -> Result<(), LedgerError> {
        self.replay_with(certified, |tip, roster| tip.check(roster, certified))
    }

    /// [`Self::replay`] of a record whose signatures and certificates the host has had verified
    /// before, and of which it knows that it is still the same: only its place in the chain is
    /// checked.
    ///
    /// # Errors
    /// As [`Self::replay`].
    pub fn replay_verified(&mut self, certified: &CertifiedRecord) -> Result<(), LedgerError> {
        self.replay_with(certified, |tip, roster| tip.check_place(roster, &certified.record))
    }

    fn replay_with(
        &mut self,
        certified: &CertifiedRecord,
        check: impl FnOnce(&Tip, &Roster<'_>) -> Result<(), RecordError>,
    ) -> Result<(), LedgerError> {
        let round = self.chain.tip.round;
        let index = usize::try_from(round.0).unwrap_or(usize::MAX);
        let wrong = |reason| LedgerError::Record { index, round, reason };
        if self.booted {
            return Err(wrong(RecordError::Booted));
        }
        check(&self.chain.tip, &self.cx.config.roster()).map_err(wrong)?;
        self.chain.append(&certified.record, self.cx.me());
        Ok(())
    }

    /// Takes note of evidence that was checked before a restart and that the host has kept; before
    /// [`Event::Boot`](crate::event::Event::Boot).
    pub fn recall_evidence(&mut self, evidence: &Evidence, object: ObjectRef) {
        self.members.bans.recall(evidence, object);
    }

    /// Takes note of a ban that an operator has lifted, through `through`; before
    /// [`Event::Boot`](crate::event::Event::Boot).
    pub fn recall_lift(&mut self, member: MemberIndex, through: Round) {
        self.members.bans.lift(member, through);
    }

    pub(super) fn boot(&mut self, journal: &[Vec<u8>], nonce: Nonce) {
        self.booted = true;
        self.departure.boot(nonce);
        self.cx.begin_round(&self.chain.tip);
        self.round = RoundState::new(&self.cx);
        let current = self.cx.round();
        let is_damaged = self.read_journal(journal);
        if is_damaged {
            // It may be of any round that the journal names.
            let last = self.recovery.journal_round().unwrap_or_default();
            self.recovery.stay_silent(last.max(current));
        }
        let is_named = self.recovery.is_behind();
        self.recall_round();
        if !is_named && current > Round(0) {
            // A journal of an earlier version, or a new one. If this cannot be written it is as it
            // was.
            let _ = self.cx.persist(Note::Reached);
        }
        self.members.bans.serve(&mut self.cx);
        self.begin_recovery(nonce);
        let heartbeat_ms = self.cx.config.heartbeat_ms();
        self.cx.set_timer(TimerId::Heartbeat, heartbeat_ms);
    }

    fn begin_recovery(&mut self, nonce: Nonce) {
        #[cfg(feature = "planted-bugs")]
        if self.cx.config.rules().trust_the_disk {
            return self.incarnation.begin(&mut self.cx);
        }
        self.recovery.begin(nonce);
    }

    /// Sorts the journal's entries by what they are about. Returns whether some cannot be read.
    fn read_journal(&mut self, journal: &[Vec<u8>]) -> bool {
        let current = self.cx.round();
        let mut is_damaged = false;
        for bytes in journal {
            match Entry::decode(bytes) {
                Ok(Entry { note: Note::Incarnation(number), .. }) => {
                    self.incarnation.note_earlier(number)
                }
                Ok(entry) if entry.round < current => self.recall_ended(&entry),
                Ok(entry) => self.recovery.keep(entry.round, entry.note),
                Err(_) => {
                    self.cx.dropped("boot: a journal entry cannot be read");
                    is_damaged = true;
                }
            }
        }
        is_damaged
    }

    /// An entry of a round that has its record: this member's own update is to be settled.
    fn recall_ended(&mut self, entry: &Entry) {
        let fate = if self.chain.past.is_spent(entry.round) {
            Some(Fate::Spent)
        } else {
            matches!(entry.note, Note::Committed(_)).then_some(Fate::Kept)
        };
        self.settlement.recall(entry.round, fate);
    }

    /// A round begins: what the journal has of it, if this member was in it before a restart, is
    /// taken over.
    pub(super) fn recall_round(&mut self) {
        let notes = self.recovery.take(self.cx.round());
        if notes.is_empty() {
            return;
        }
        for note in notes {
            match note {
                Note::Excluded(missed) => self.members.exclusions.recall(missed),
                note => self.round.recall(&mut self.cx, note),
            }
        }
        for decision in [Decision::Set, Decision::Outcome] {
            self.round.vote_on_mut(decision).resume(&mut self.cx);
        }
    }
}
