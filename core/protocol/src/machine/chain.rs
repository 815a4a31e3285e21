//! From one round to the next: the record is appended, the own update settled. The next sealing key is made before (`keys`).

use super::{Machine, Tag};
use crate::effect::Effect;
use crate::event::TimerId;
use crate::ids::Round;
use crate::job::{Fate, Job};
use crate::ledger::includes;
use crate::round::RoundState;
use crate::status::Phase;
use crate::wire::CertifiedRecord;
use crate::wire::journal::Note;

impl Machine {
    /// The current round has ended with `certified`, which has been checked.
    pub(crate) fn finish(&mut self, certified: CertifiedRecord) {
        let ended = self.round.number;
        let fate = self.fate(&certified);
        let applied_here = self.round.applied.as_ref().filter(|a| a.accepted).map(|a| a.adapter);
        self.tip = self.tip.after(&certified.record);
        self.past.note(&certified.record, self.config.me);
        self.out.push(Effect::Append(Box::new(certified)));
        for timer in
            [TimerId::Commit, TimerId::Transfer, TimerId::View, TimerId::Decrypt, TimerId::Round]
        {
            self.cancel_timer(timer);
        }
        self.cancel_round_jobs();
        self.end_round_objects();
        self.bans.round_ended();
        if let Some(adapter) = applied_here {
            self.held = Some(adapter);
            if self.tip.adapter == applied_here {
                self.serve_adapter(adapter);
            }
        }
        let lapsed = self.lapsed();
        self.round = RoundState::new(&self.config, &self.tip);
        self.forget_old_keys();
        self.settle(ended, fate);
        self.recall_round();
        self.note_lapses(ended, &lapsed);
        self.take_early();
    }

    /// What became of the own update: decided by the record and by whether this member had committed.
    fn fate(&self, certified: &CertifiedRecord) -> Option<Fate> {
        if includes(&certified.record.outcome, self.config.me) {
            return Some(Fate::Spent);
        }
        self.round.own.map(|_| Fate::Kept)
    }

    pub(crate) fn settle(&mut self, round: Round, fate: Option<Fate>) {
        self.settling.insert(round, fate);
    }

    /// Makes the sealing key of this round if it is not there yet, settles what has ended, oldest first, and towards the end of
    /// the round makes the key of the next one.
    pub(crate) fn keep_house(&mut self) {
        if self.erase_secrets() || self.make_key() {
            return;
        }
        if let Some((round, fate)) = self.settling.first_key_value() {
            let (round, fate) = (*round, *fate);
            return self.start(Tag::Settle(round), Job::Settle { round, fate });
        }
        self.make_next_key();
    }

    pub(super) fn settled(&mut self, round: Round) {
        self.settling.remove(&round);
        if self.settling.is_empty() {
            // The journal is never without an entry of the newest round. If it cannot be written, the old ones stay.
            if !self.persist(Note::Reached) {
                return;
            }
            self.keep_life();
            self.out.push(Effect::Truncate { before: self.round.number });
        }
    }

    /// Whether every round of the manifest has been applied.
    pub(crate) fn is_done(&self) -> bool {
        self.tip.applied >= self.config.manifest.manifest().rounds
    }

    /// Whether this member can take part in the current round.
    pub(crate) fn is_ready(&self) -> bool {
        let before = matches!(
            self.round.phase,
            Phase::Doubt | Phase::Gather | Phase::Sync | Phase::Paused | Phase::Done
        );
        !before || self.could_start()
    }

    /// Whether this member must not take part in the current round, for all that it may have said in it before.
    pub(crate) fn is_silent(&self) -> bool {
        self.is_behind() || self.silent_through.is_some_and(|last| self.round.number <= last)
    }

    pub(crate) fn could_start(&self) -> bool {
        !self.is_paused()
            && !self.is_done()
            && self.doubt.is_none()
            && !self.is_silent()
            && self.held == self.tip.adapter
            && self.settling.is_empty()
            && self.has_key(self.config.me)
    }
}
