//! From one round to the next: the record is appended, the own update settled, a new sealing key made.

use super::{Machine, Tag};
use crate::effect::Effect;
use crate::event::TimerId;
use crate::ids::Round;
use crate::job::{Fate, Job};
use crate::journal::Note;
use crate::ledger::includes;
use crate::message::Body;
use crate::record::CertifiedRecord;
use crate::round::RoundState;
use crate::status::Phase;

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
        self.round = RoundState::new(&self.config, &self.tip);
        self.settle(ended, fate);
        self.recall_round();
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

    /// Settles what has ended, oldest first, then makes the sealing key of the next round.
    pub(crate) fn keep_house(&mut self) {
        if let Some((round, fate)) = self.settling.first_key_value() {
            let (round, fate) = (*round, *fate);
            return self.start(Tag::Settle(round), Job::Settle { round, fate });
        }
        let round = self.round.number;
        if !self.is_done() && !self.is_behind() && !self.has_key(self.config.me) {
            self.start(Tag::SealingKey(round), Job::MakeSealingKey { round });
        }
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

    /// The sealing key for `round` exists; others hear of it if it is for this round.
    pub(super) fn have_key(&mut self, round: Round, key: Vec<u8>) {
        self.note_key(self.config.me, round, key.clone());
        if round == self.round.number && self.doubt.is_none() {
            self.say(Body::SealingKey(key));
        }
    }

    /// Says the sealing key of this round, if there is one: it was made while this member was in doubt.
    pub(super) fn show_key(&mut self) {
        let peer = self.peers.get(self.config.me.position());
        let own = peer.filter(|peer| peer.key.0 == self.round.number && peer.key.0 > Round(0));
        if let Some(key) = own.map(|peer| peer.key.1.clone()) {
            self.say(Body::SealingKey(key));
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
