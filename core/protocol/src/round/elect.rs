//! elect: wait until a quorum is there. Who adds and who proposes follows from the beacon (`crate::election`).

use crate::event::TimerId;
use crate::ids::MemberIndex;
use crate::machine::Machine;
use crate::status::Phase;

impl Machine {
    pub(super) fn elect(&mut self) -> Phase {
        if self.tip.adapter.is_some() && self.held != self.tip.adapter {
            self.sync();
            return Phase::Sync;
        }
        if self.is_done() {
            return Phase::Done;
        }
        if self.silent_through.is_some_and(|last| self.round.number <= last) {
            return Phase::Sync;
        }
        if self.paused {
            return Phase::Paused;
        }
        if !self.could_start() {
            return Phase::Gather;
        }
        if !self.round.announced {
            self.round.announced = true;
            self.beat();
        }
        let present = self.config.manifest.members().filter(|m| self.is_present(*m)).count();
        if present < usize::from(self.config.rules().quorum) {
            return Phase::Gather;
        }
        self.begin()
    }

    /// Whether a member said that it is ready for this round.
    pub(crate) fn is_present(&self, member: MemberIndex) -> bool {
        if member == self.config.me {
            return self.could_start();
        }
        let heard = self.peers.get(member.position()).and_then(|peer| peer.heartbeat.as_ref());
        heard.is_some_and(|(round, heartbeat)| *round == self.round.number && heartbeat.ready)
    }

    fn begin(&mut self) -> Phase {
        let deadlines = self.config.manifest.manifest().deadlines;
        let transfer_ms = deadlines.commit_ms.saturating_add(deadlines.transfer_ms);
        self.set_timer(TimerId::Commit, deadlines.commit_ms);
        self.set_timer(TimerId::Transfer, transfer_ms);
        self.set_timer(TimerId::Round, deadlines.round_ms);
        self.round.clock.status_ticks = 0;
        Phase::Commit
    }
}
