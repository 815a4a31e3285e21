//! Whether this member takes part in the current round, and if not, why: what follows from all
//! parts together.

use super::Machine;
use crate::ids::MemberIndex;
use crate::round::RoundState;
use crate::status::Phase;
use crate::wire::Leave;

impl Machine {
    /// Whether this member must not take part in the current round, for all that it may have sent
    /// in it before.
    pub(super) fn is_silent(&self) -> bool {
        self.recovery.is_silent(self.cx.round())
    }

    /// Whether it waits for answers, records or the adapter before it can take part.
    pub(super) const fn is_catching_up(&self) -> bool {
        matches!(self.round.phase, Phase::Recovering | Phase::Sync)
    }

    /// Whether an operator's pause is in effect: not while this member is bound by what it has sent
    /// in the round.
    pub(super) fn is_paused(&self) -> bool {
        self.paused && !self.has_promised()
    }

    /// Whether others count on what this member has sent in the round, since the start or before
    /// it.
    fn has_promised(&self) -> bool {
        let (round, me) = (&self.round, self.cx.me());
        !round.phase.is_waiting()
            || round.collect.commitments.own().is_some()
            || round.collect.reports.of(me).is_some()
            || round.set.sums.attestations.by(me).next().is_some()
            || round.set.vote.agreement().cast().next().is_some()
            || round.outcome.vote.agreement().cast().next().is_some()
            || round.decryption.released().is_some()
            || round.finish.signed_before().is_some()
    }

    /// Whether nothing keeps this member from announcing that it takes part.
    pub(super) fn could_start(&self) -> bool {
        !self.is_paused()
            && !self.chain.is_done()
            && !self.recovery.is_recovering()
            && !self.is_silent()
            && self.sync.has_adapter(&self.chain)
            && self.settlement.is_done()
            && self.keys.has_own(self.cx.round())
    }

    /// Whether this member takes part in the current round, or can.
    pub(super) fn is_ready(&self) -> bool {
        !self.round.phase.is_waiting() || self.could_start()
    }

    /// Whether a record of this round was signed before a restart, and nothing keeps this member
    /// from sending the signature again.
    fn has_signed_before(&self) -> bool {
        self.round.finish.signed_before().is_some()
            && !self.recovery.is_recovering()
            && !self.is_silent()
    }

    /// Whether a member is ready for this round and its heartbeat lists this one as ready.
    pub(super) fn is_present(&self, member: MemberIndex) -> bool {
        if member == self.cx.me() {
            return self.could_start();
        }
        self.members.newest.of(member).is_some_and(|newest| {
            newest.round == self.cx.round()
                && newest.heartbeat.ready
                && newest.heartbeat.known.present.contains(self.cx.me())
        })
    }

    /// The waiting phases: returns what this member waits for, and begins the round when a quorum
    /// is present. The committee and the proposers follow from the beacon (`crate::election`).
    pub(super) fn begin_when_ready(&mut self) -> Phase {
        if self.recovery.is_behind() {
            return Phase::Sync;
        }
        if self.has_signed_before() {
            return Phase::Record;
        }
        if self.chain.tip.adapter.is_some() && !self.sync.has_adapter(&self.chain) {
            self.sync.fetch_adapter(&mut self.cx, &self.chain, &self.members);
            return Phase::Sync;
        }
        if self.chain.is_done() {
            return Phase::Done;
        }
        if self.is_silent() {
            return Phase::Sync;
        }
        if self.recovery.is_recovering() {
            return Phase::Recovering;
        }
        if self.is_paused() {
            return Phase::Paused;
        }
        if !self.could_start() || !self.round.readiness.announce(&mut self.cx) {
            return Phase::WaitingForQuorum;
        }
        let quorum = usize::from(self.cx.config.rules().quorum);
        if self.round.readiness.echoes(quorum) {
            self.send_heartbeat();
        }
        let present = self.cx.config.manifest.members().filter(|m| self.is_present(*m)).count();
        if present < quorum {
            return Phase::WaitingForQuorum;
        }
        RoundState::begin(&mut self.cx)
    }

    /// Why this member does not take part in the current round, if that is certain and others need
    /// not wait for it.
    pub(super) fn own_reason(&self) -> Option<Leave> {
        if !self.booted || !self.round.phase.is_waiting() || self.chain.is_done() {
            None
        } else if self.is_paused() {
            Some(Leave::Paused)
        } else if self.is_silent() {
            Some(Leave::SitsOut)
        } else {
            let for_long = self.departure.catches_up_for_long() && self.is_catching_up();
            for_long.then_some(Leave::CatchesUp)
        }
    }

    /// Announces once in each round that this member does not take part, and at once when it does
    /// again.
    pub(super) fn announce_absence(&mut self) {
        let reason = self.own_reason();
        if self.departure.announce(&mut self.cx, reason) {
            self.send_heartbeat();
        }
    }

    /// Whether a member can be counted on, this one included.
    pub(super) fn is_here(&self, member: MemberIndex) -> bool {
        if member == self.cx.me() {
            return self.own_reason().is_none();
        }
        self.members.is_here(member)
    }

    /// Why a member is absent, if it has announced a reason.
    pub(super) fn why_absent(&self, member: MemberIndex) -> Option<Leave> {
        if member == self.cx.me() {
            return self.own_reason();
        }
        self.members.absences.reason(member)
    }
}
