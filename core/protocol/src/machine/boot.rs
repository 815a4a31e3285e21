//! After a start: the ledger and the journal say where this member was; it goes on from there and contradicts nothing.

use super::Machine;
use crate::consensus::Agreement;
use crate::event::TimerId;
use crate::ids::Round;
use crate::job::Fate;
use crate::ledger::{LedgerError, Tip};
use crate::roster::Roster;
use crate::round::RoundState;
use crate::wire::journal::{Entry, Note};
use crate::wire::{CertifiedRecord, Decision, Nonce};

impl Machine {
    /// Takes note of the next record of the ledger, the first one first; all of them before [`Event::Boot`](crate::event::Event::Boot).
    ///
    /// # Errors
    /// [`LedgerError::Record`] if it does not follow from those before or is not certified. Nothing is noted then: the host
    /// drops it and all later ones from its ledger, and the machine fetches them from other members.
    pub fn replay(&mut self, certified: &CertifiedRecord) -> Result<(), LedgerError> {
        self.replay_with(certified, |tip, roster| tip.check(roster, certified))
    }

    /// [`Self::replay`] of a record whose signatures and certificates the host has had verified before, and of which it
    /// knows that it is still the same: only its place in the chain is checked.
    ///
    /// # Errors
    /// As [`Self::replay`].
    pub fn replay_verified(&mut self, certified: &CertifiedRecord) -> Result<(), LedgerError> {
        self.replay_with(certified, |tip, roster| tip.check_place(roster, &certified.record))
    }

    fn replay_with(
        &mut self,
        certified: &CertifiedRecord,
        check: impl FnOnce(&Tip, &Roster<'_>) -> Result<(), String>,
    ) -> Result<(), LedgerError> {
        let round = self.tip.round;
        let index = usize::try_from(round.0).unwrap_or(usize::MAX);
        let wrong = |reason| LedgerError::Record { index, round, reason };
        if self.booted {
            return Err(wrong("the machine has been booted".into()));
        }
        check(&self.tip, &self.config.roster()).map_err(wrong)?;
        self.tip = self.tip.after(&certified.record);
        self.past.note(&certified.record, self.config.me);
        Ok(())
    }

    pub(super) fn boot(&mut self, journal: &[Vec<u8>], nonce: Nonce) {
        self.booted = true;
        self.round = RoundState::new(&self.config, &self.tip);
        let current = self.round.number;
        let mut damaged = false;
        for bytes in journal {
            match Entry::decode(bytes) {
                Ok(Entry { note: Note::Incarnation(number), .. }) => self.note_earlier_life(number),
                Ok(entry) if entry.round < current => self.recall_ended(entry),
                Ok(entry) => self.ahead.keep(entry.round, entry.note),
                Err(_) => {
                    self.dropped("boot: a journal entry cannot be read");
                    damaged = true;
                }
            }
        }
        if damaged {
            // It may be of any round that the journal names.
            self.stay_silent(self.ahead.last_round().unwrap_or_default().max(current));
        }
        let is_named = self.ahead.last_round().is_some();
        self.recall_round();
        if !is_named && current > Round(0) {
            // A journal of an earlier version, or a new one. If this cannot be written it is as it was.
            let _ = self.persist(Note::Reached);
        }
        self.serve_evidence();
        self.doubt_itself(nonce);
        self.set_timer(TimerId::Heartbeat, self.config.heartbeat_ms());
    }

    /// Says nothing that could contradict what a lost journal knew.
    pub(super) fn stay_silent(&mut self, through: Round) {
        self.silent_through = self.silent_through.max(Some(through));
    }

    /// An entry of a round that has its record: the own update is to be settled.
    fn recall_ended(&mut self, entry: Entry) {
        let fate = if self.past.is_spent(entry.round) {
            Some(Fate::Spent)
        } else {
            matches!(entry.note, Note::Committed(_)).then_some(Fate::Kept)
        };
        let known = self.settling.entry(entry.round).or_default();
        *known = fate.or(*known);
    }

    /// A round begins: what the journal has of it, if an earlier life was in it, is taken over.
    pub(super) fn recall_round(&mut self) {
        let notes = self.ahead.take(self.round.number);
        if notes.is_empty() {
            return;
        }
        for note in notes {
            self.recall(note);
        }
        self.resume();
    }

    fn recall(&mut self, note: Note) {
        match note {
            Note::Committed(body) => self.note_own_commitment(*body),
            Note::Reported(set) => self.note_own_report(set),
            Note::Attested { set, aggregate } => self.note_own_attestation(set, aggregate),
            Note::Voting { decision, state, values } => {
                let mut vote = Agreement::new(decision, self.config.me, self.config.rules(), state);
                // The votes that made a decision may have been written after it.
                let decided = self.round.vote_on(decision).decided().cloned();
                decided.into_iter().for_each(|certificate| vote.adopt(certificate));
                *self.round.vote_on_mut(decision) = vote;
                self.round.values.extend(values.into_iter().map(|value| (value.id(), value)));
            }
            Note::Decided(decided) => {
                let decision = decided.certificate.decision;
                self.round.remembered.insert(decision);
                self.round.values.insert(decided.value.id(), decided.value);
                self.round.vote_on_mut(decision).adopt(decided.certificate);
            }
            Note::Released { set, object } => self.note_own_partial(set, object),
            Note::Signed(record) => self.note_own_record(*record),
            Note::Ready => self.note_own_ready(),
            Note::Present(heard) => self.round.presence.heard.extend(heard),
            Note::Kept { author, body, signature } => self.note_kept(author, *body, signature),
            Note::Opened { key, sum } => self.note_opened(key, sum),
            Note::Reached | Note::Incarnation(_) => {}
            Note::Rejected(digest) => self.note_own_rejection(digest),
            Note::ShareOpened(member) => {
                self.round.complainers.insert(member);
            }
            Note::Excluded(lapses) => self.lapses.recall(lapses),
        }
    }

    /// Goes on with the votes that were under way.
    fn resume(&mut self) {
        for decision in [Decision::Set, Decision::Outcome] {
            let vote = self.round.vote_on_mut(decision);
            if vote.state().cast.is_empty() {
                continue;
            }
            let votes: Vec<_> = vote.cast().collect();
            for vote in votes {
                self.count_own_vote(&vote);
            }
        }
    }
}
