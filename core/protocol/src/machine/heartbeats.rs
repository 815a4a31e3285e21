//! Heartbeats: what is due at each tick, what is sent, and what an arriving one leads to, between
//! the parts that they concern. `anti_entropy` has their content.

use super::Machine;
use crate::anti_entropy::AntiEntropy;
use crate::context::Question;
use crate::event::TimerId;
use crate::ids::{MemberIndex, Round};
use crate::sync::Sync;
use crate::wire::{Body, Heartbeat};

impl Machine {
    /// Sends again what may be lost, tries again what has failed, and counts the time in which
    /// silent members have sent nothing.
    pub(super) fn on_heartbeat_tick(&mut self) {
        self.cx.jobs.end_backoff();
        self.cx.objects.forget_failed();
        let decided = self.round.set.decided_set();
        self.round.collect.tick(&mut self.cx, &self.members, &self.keys, decided);
        self.settlement.tick(self.is_paused());
        self.departure.tick(self.is_catching_up());
        self.members.tick(&mut self.cx);
        self.send_heartbeat();
        self.departure.announce_again(&mut self.cx);
        self.recovery.ask_again(&mut self.cx, self.chain.is_done());
        self.sync.tick(&mut self.cx, &self.members, self.recovery.is_behind());
        self.round.set_commitments.ask(&mut self.cx);
        let heartbeat_ms = self.cx.config.heartbeat_ms();
        self.cx.set_timer(TimerId::Heartbeat, heartbeat_ms);
    }

    /// The host has connected to a member.
    pub(super) fn on_reachable(&mut self, member: MemberIndex) {
        if !self.members.set_reachable(member, true) {
            return;
        }
        // Gossip that was sent before it became reachable has not arrived there.
        let heartbeat = self.heartbeat();
        self.cx.send(member, Body::Heartbeat(Box::new(heartbeat)));
        self.recovery.ask_one(&mut self.cx, member, self.chain.is_done());
        if self.recovery.is_behind() {
            Sync::ask_for_records(&mut self.cx, member);
        }
    }

    /// Broadcasts where this member is.
    pub(super) fn send_heartbeat(&mut self) {
        self.round.readiness.keep(&mut self.cx);
        let heartbeat = self.heartbeat();
        self.cx.broadcast(Body::Heartbeat(Box::new(heartbeat)));
    }

    pub(super) fn heartbeat(&mut self) -> Heartbeat {
        let beat = self.incarnation.next_heartbeat_number();
        self.anti_entropy().heartbeat(&self.cx, beat, self.is_ready())
    }

    const fn anti_entropy(&self) -> AntiEntropy<'_> {
        let Self { round, members, keys, chain, .. } = self;
        AntiEntropy { round, members, keys, chain }
    }

    /// A heartbeat that is the newest of its sender, or that has no order because its sender does
    /// not know its incarnation yet. Its sender may lack messages of this member.
    pub(super) fn on_heartbeat(
        &mut self,
        sender: MemberIndex,
        round: Round,
        heartbeat: &Heartbeat,
        is_news: bool,
    ) {
        let question = match heartbeat.incarnation {
            _ if is_news => Question::Heartbeat,
            0 => Question::WhileRecovering,
            _ => return,
        };
        let current = self.cx.round();
        if round > current {
            return Sync::ask_for_records(&mut self.cx, sender);
        }
        if round < current {
            return;
        }
        self.round.collect.shares.complaints.on_heartbeat(sender);
        if heartbeat.head != self.chain.tip.head {
            return self.cx.dropped("fork: another record before this round");
        }
        // The journal may lack messages that were sent before a restart: nothing is sent until
        // recovery is over.
        if !self.recovery.is_recovering() && self.cx.may_answer(sender, question) {
            let Self { cx, round, members, keys, chain, .. } = self;
            AntiEntropy { round, members, keys, chain }.answer(cx, sender, heartbeat);
        }
    }

    /// `sender` takes part in the round. If it is late, a heartbeat shows it at once that its
    /// `Ready` has arrived.
    pub(super) fn on_ready(
        &mut self,
        sender: MemberIndex,
        signature: crate::sign::Signature,
    ) -> bool {
        let is_news = self.round.readiness.signature_of(sender).is_none();
        if self.round.readiness.on_ready(sender, signature) {
            self.round.readiness.keep(&mut self.cx);
            let heartbeat = self.heartbeat();
            self.cx.send(sender, Body::Heartbeat(Box::new(heartbeat)));
        }
        is_news
    }

    /// `sender` has received nothing of this member for a while: perhaps gossip does not reach it.
    pub(super) fn on_ping(&mut self, sender: MemberIndex) {
        if !self.cx.may_answer(sender, Question::Ping) {
            return;
        }
        let heartbeat = self.heartbeat();
        self.cx.send(sender, Body::Heartbeat(Box::new(heartbeat)));
        if let Some(goodbye) = self.departure.goodbye() {
            self.cx.send(sender, Body::Goodbye(goodbye));
        }
    }
}
