//! elect: wait until a quorum is there. Who adds and who proposes follows from the beacon (`crate::election`).
//!
//! Being there is said twice: that one takes part, and whose word of that one has in the journal. A member begins when a
//! quorum has its own word: whatever it says from then on, it could be told that it was here if it forgot (`machine::doubt`).

use std::collections::BTreeMap;

use crate::event::TimerId;
use crate::ids::MemberIndex;
use crate::machine::Machine;
use crate::sign::Signature;
use crate::status::Phase;
use crate::wire::Body;
use crate::wire::journal::Note;

/// Who takes part in a round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Presence {
    /// The journal says that this member does.
    pub(crate) said: bool,
    /// It has been said in this life.
    announced: bool,
    /// Who does by the journal.
    pub(crate) heard: BTreeMap<MemberIndex, Signature>,
    /// Who does, not in the journal yet.
    fresh: BTreeMap<MemberIndex, Signature>,
    /// The others know that this member has heard a quorum.
    echoed: bool,
}

impl Presence {
    /// The word of a member that it takes part.
    pub(crate) fn word_of(&self, member: MemberIndex) -> Option<Signature> {
        self.heard.get(&member).or_else(|| self.fresh.get(&member)).copied()
    }
}

impl Machine {
    pub(super) fn elect(&mut self) -> Phase {
        if self.is_behind() {
            return Phase::Sync;
        }
        if self.has_signed_before() {
            return Phase::Record;
        }
        if self.tip.adapter.is_some() && self.held != self.tip.adapter {
            self.sync();
            return Phase::Sync;
        }
        if self.is_done() {
            return Phase::Done;
        }
        if self.is_silent() {
            return Phase::Sync;
        }
        if self.doubt.is_some() {
            return Phase::Doubt;
        }
        if self.is_paused() {
            return Phase::Paused;
        }
        if !self.could_start() || !self.announce() {
            return Phase::Gather;
        }
        let quorum = usize::from(self.config.rules().quorum);
        let presence = &mut self.round.presence;
        if !presence.echoed && presence.heard.len() + presence.fresh.len() >= quorum {
            presence.echoed = true;
            self.beat();
        }
        let present = self.config.manifest.members().filter(|m| self.is_present(*m)).count();
        if present < quorum {
            return Phase::Gather;
        }
        self.begin()
    }

    /// Says that this member takes part.
    fn announce(&mut self) -> bool {
        if !self.round.presence.said {
            if !self.persist(Note::Ready) {
                return false;
            }
            self.note_own_ready();
        }
        if !self.round.presence.announced {
            self.round.presence.announced = true;
            self.say(Body::Ready);
        }
        true
    }

    /// Notes that this member takes part, now or before a restart.
    pub(crate) fn note_own_ready(&mut self) {
        self.round.presence.said = true;
        if let Some(signature) = self.sign(self.round.number, &Body::Ready) {
            self.round.presence.heard.insert(self.config.me, signature);
        }
    }

    pub(super) fn take_ready(&mut self, sender: MemberIndex, signature: Signature) {
        if self.round.presence.word_of(sender).is_some() {
            return;
        }
        self.round.presence.fresh.insert(sender, signature);
        if self.round.presence.echoed {
            // It comes late and need not wait for the next heartbeat.
            self.keep_presence();
            let heartbeat = self.heartbeat();
            self.tell(sender, Body::Heartbeat(Box::new(heartbeat)));
        }
    }

    /// Who was heard goes into the journal, then into heartbeats.
    pub(crate) fn keep_presence(&mut self) {
        let fresh = core::mem::take(&mut self.round.presence.fresh);
        if fresh.is_empty() {
            return;
        }
        let list = fresh.iter().map(|(member, signature)| (*member, *signature)).collect();
        if self.persist(Note::Present(list)) {
            self.round.presence.heard.extend(fresh);
        }
    }

    /// Whether a member said that it is ready for this round and has heard that this one is.
    pub(crate) fn is_present(&self, member: MemberIndex) -> bool {
        if member == self.config.me {
            return self.could_start();
        }
        let newest = self.peers.get(member.position()).and_then(|peer| peer.newest.as_ref());
        newest.is_some_and(|newest| {
            newest.round == self.round.number
                && newest.heartbeat.ready
                && newest.heartbeat.known.present.contains(self.config.me)
        })
    }

    fn begin(&mut self) -> Phase {
        let deadlines = self.config.manifest.manifest().deadlines;
        let transfer_ms = deadlines.commit_ms.saturating_add(deadlines.transfer_ms);
        self.set_timer(TimerId::Commit, deadlines.commit_ms);
        self.set_timer(TimerId::Transfer, transfer_ms);
        self.set_timer(TimerId::Round, deadlines.round_ms);
        Phase::Commit
    }
}
