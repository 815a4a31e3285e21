//! Sealing keys. Each is for exactly one round. That of the next round is made and said before this one is over, so that
//! exchanging keys takes no time when a round begins, and the keys of a round can go as soon as it has ended.

use super::Machine;
use crate::ids::{MemberIndex, Round};
use crate::job::Job;
use crate::machine::Tag;
use crate::status::Phase;
use crate::wire::Body;

impl Machine {
    /// The sealing key of `member` for this round, if it is here.
    pub(crate) fn key_of(&self, member: MemberIndex) -> Option<&Vec<u8>> {
        self.peers.get(member.position())?.keys.get(&self.round.number)
    }

    /// Whether the sealing key of `member` for this round is here.
    pub(crate) fn has_key(&self, member: MemberIndex) -> bool {
        self.key_of(member).is_some()
    }

    /// Keeps the sealing key of another member for this round or the next one; of two for one round, the first.
    pub(crate) fn note_key(&mut self, member: MemberIndex, round: Round, key: Vec<u8>) {
        let current = self.round.number;
        if round != current && round != current.next() {
            return self.dropped("sealing key: of another round");
        }
        if let Some(peer) = self.peers.get_mut(member.position()) {
            peer.keys.entry(round).or_insert(key);
        }
    }

    /// A round has begun: nothing is sealed to keys of earlier ones.
    pub(super) fn forget_old_keys(&mut self) {
        let current = self.round.number;
        for peer in &mut self.peers {
            peer.keys.retain(|round, _| *round >= current);
        }
    }

    /// Makes the key of this round if there is none. True while this member waits for it.
    pub(super) fn make_key(&mut self) -> bool {
        let round = self.round.number;
        if self.is_done() || self.is_behind() || self.is_paused() {
            return false;
        }
        if !self.has_key(self.config.me) {
            self.start(Tag::SealingKey(round), Job::MakeSealingKey { round });
            return true;
        }
        if round == Round(0) && !self.first_key_checked && !self.is_silent() {
            // The manifest names it; that its secret is on this disk is another question: a backup does not hold it.
            self.start(Tag::SealingKey(round), Job::MakeSealingKey { round });
        }
        false
    }

    /// The round is about to end: makes the key of the next one.
    pub(super) fn make_next_key(&mut self) {
        let ends = matches!(
            self.round.phase,
            Phase::Decrypt | Phase::Combine | Phase::Apply | Phase::Record
        );
        let round = self.round.number.next();
        let own = self.peers.get(self.config.me.position());
        if ends && own.is_some_and(|own| !own.keys.contains_key(&round)) {
            self.start(Tag::SealingKey(round), Job::MakeSealingKey { round });
        }
    }

    /// The own sealing key for `round` is on disk; others hear of it before the round begins.
    pub(super) fn have_key(&mut self, round: Round, key: Vec<u8>) {
        if round < self.round.number {
            return;
        }
        self.first_key_checked = true;
        self.erased = false;
        let Some(own) = self.peers.get_mut(self.config.me.position()) else { return };
        let known = own.keys.insert(round, key.clone());
        if known.as_ref() != Some(&key) && self.doubt.is_none() {
            self.say_in(round, Body::SealingKey(key));
        }
    }

    /// Says the own sealing keys: they were made while this member was in doubt. All know that of the manifest.
    pub(super) fn show_keys(&mut self) {
        let me = self.config.me.position();
        let members = &self.config.manifest.manifest().members;
        let first = members.get(me).map(|own| own.sealing_key.clone());
        let keys = self.peers.get(me).map(|own| own.keys.clone()).unwrap_or_default();
        for (round, key) in keys {
            if round > Round(0) || first.as_ref() != Some(&key) {
                self.say_in(round, Body::SealingKey(key));
            }
        }
    }
}
