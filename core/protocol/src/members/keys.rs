//! Sealing keys. Each is for exactly one round. That of the next round is made and announced before
//! this one is over, so that exchanging keys takes no time when a round begins, and the keys of a
//! round can go as soon as it has ended.

use std::collections::BTreeMap;

use crate::context::{Cx, Tag};
use crate::ids::{MemberIndex, Round};
use crate::job::Job;
use crate::machine::Config;
use crate::wire::Body;

/// The sealing keys of all members for this round and the next one, by round.
pub(crate) struct SealingKeys {
    me: MemberIndex,
    of: Vec<BTreeMap<Round, Vec<u8>>>,
    /// Round 0: the key that the manifest names is known to be on the disk, or another has been
    /// made.
    first_checked: bool,
}

impl SealingKeys {
    pub(crate) fn new(config: &Config) -> Self {
        let members = &config.manifest.manifest().members;
        let of = members.iter().map(|m| BTreeMap::from([(Round(0), m.sealing_key.clone())]));
        Self { me: config.me, of: of.collect(), first_checked: false }
    }

    /// The sealing key of `member` for `round`, if it is here.
    pub(crate) fn of(&self, member: MemberIndex, round: Round) -> Option<&Vec<u8>> {
        self.of.get(member.position())?.get(&round)
    }

    /// Whether this member's own sealing key for `round` is here.
    pub(crate) fn has_own(&self, round: Round) -> bool {
        self.of(self.me, round).is_some()
    }

    /// Keeps the sealing key of another member for this round or the next one; of two for one
    /// round, the first.
    pub(crate) fn on_key(&mut self, cx: &mut Cx, member: MemberIndex, round: Round, key: Vec<u8>) {
        let current = cx.round();
        if round != current && round != current.next() {
            return cx.dropped("sealing key: of another round");
        }
        if let Some(keys) = self.of.get_mut(member.position()) {
            keys.entry(round).or_insert(key);
        }
    }

    /// A round has begun: nothing is sealed to keys of earlier ones.
    pub(crate) fn begin_round(&mut self, current: Round) {
        for keys in &mut self.of {
            keys.retain(|round, _| *round >= current);
        }
    }

    /// All own secrets have been erased.
    pub(crate) fn erased(&mut self) {
        if let Some(own) = self.of.get_mut(self.me.position()) {
            own.clear();
        }
    }

    /// Makes the key of this round if there is none. True while this member waits for it.
    pub(crate) fn make(&self, cx: &mut Cx, is_silent: bool) -> bool {
        let round = cx.round();
        if !self.has_own(round) {
            cx.start(Tag::SealingKey(round), Job::MakeSealingKey { round });
            return true;
        }
        if round == Round(0) && !self.first_checked && !is_silent {
            // The manifest names it; that its secret is on this disk is another question: a backup
            // does not hold it.
            cx.start(Tag::SealingKey(round), Job::MakeSealingKey { round });
        }
        false
    }

    /// The round is about to end: makes the key of the next one.
    pub(crate) fn make_next(&self, cx: &mut Cx) {
        let round = cx.round().next();
        if !self.has_own(round) {
            cx.start(Tag::SealingKey(round), Job::MakeSealingKey { round });
        }
    }

    /// This member's own sealing key for `round` is on disk. It is announced before the round
    /// begins, unless this member is recovering. Returns whether it is of use.
    pub(crate) fn on_made(
        &mut self,
        cx: &mut Cx,
        round: Round,
        key: Vec<u8>,
        is_recovering: bool,
    ) -> bool {
        if round < cx.round() {
            return false;
        }
        self.first_checked = true;
        let Some(own) = self.of.get_mut(self.me.position()) else { return true };
        let known = own.insert(round, key.clone());
        if known.as_ref() != Some(&key) && !is_recovering {
            cx.broadcast_in(round, Body::SealingKey(key));
        }
        true
    }

    /// Announces this member's own sealing keys that were made while this member was recovering.
    /// All know that of the manifest.
    pub(crate) fn announce(&self, cx: &mut Cx) {
        let me = self.me.position();
        let members = &cx.config.manifest.manifest().members;
        let first = members.get(me).map(|own| own.sealing_key.clone());
        for (round, key) in self.of.get(me).into_iter().flatten() {
            if *round > Round(0) || first.as_ref() != Some(key) {
                cx.broadcast_in(*round, Body::SealingKey(key.clone()));
            }
        }
    }
}
