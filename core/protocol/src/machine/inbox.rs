//! Messages from others: decoded, checked for bounds and signature, then dispatched by kind.

use std::collections::BTreeMap;

use super::Machine;
use crate::context::Cx;
use crate::ids::MemberIndex;
use crate::limits::MAX_EARLY_PER_MEMBER;
use crate::sign::Signature;
use crate::sync::Sync;
use crate::wire::codec::CodecError;
use crate::wire::{Body, LedgerEntry, Nonce, Signed, SignedHeartbeat, Statement};

/// Messages of the next round, by their sender: they count once it has begun.
#[derive(Debug, Default)]
pub(super) struct Early(BTreeMap<MemberIndex, Vec<Signed>>);

impl Early {
    fn keep(&mut self, cx: &mut Cx, signed: Signed) {
        // Large kinds are sent again by whoever sees that they are missing; keeping them would cost
        // memory.
        if matches!(
            signed.body,
            Body::ReportBundle { .. }
                | Body::Proposal(_)
                | Body::Decided(_)
                | Body::ShareOpening { .. }
                | Body::ResealedShare { .. }
                | Body::RecoveryRequest(_)
                | Body::RecoveryResponse { .. }
        ) {
            return cx.dropped("message: of the next round");
        }
        let early = self.0.entry(signed.sender).or_default();
        if early.len() < MAX_EARLY_PER_MEMBER {
            early.push(signed);
        } else {
            cx.dropped("message: too many of the next round");
        }
    }
}

impl Machine {
    /// Returns whether anything may have become possible by the message.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> bool {
        let signed = match Signed::decode(bytes) {
            Ok(signed) => signed,
            Err(CodecError::TooLong { .. }) => return self.refuse("message: too long"),
            Err(CodecError::Malformed { .. }) => return self.refuse("message: malformed"),
            Err(CodecError::Version { found, read, .. }) => {
                return self.refuse(match found > u32::from(read.newest) {
                    true => "message: of a later version",
                    false => "message: of an earlier version",
                });
            }
            Err(CodecError::NotCanonical { .. }) => {
                return self.refuse("message: not canonical");
            }
        };
        let member_count = self.cx.config.rules().member_count;
        if signed.sender.0 >= member_count {
            return self.refuse("message: not a member");
        }
        if signed.epoch != self.cx.config.manifest.epoch() {
            return self.refuse("message: other epoch");
        }
        if signed.sender == self.cx.config.me {
            if self.incarnation.on_own_message(&mut self.cx, &signed) {
                self.send_heartbeat();
            }
            return true;
        }
        if !signed.body.is_within_bounds(member_count) {
            return self.refuse("message: impossible content");
        }
        if !self.is_timely(&signed) {
            return self.refuse("message: other round");
        }
        if !self.cx.config.roster().is_by_sender(&signed, bytes) {
            return self.refuse("message: signature");
        }
        self.accept(signed)
    }

    fn refuse(&mut self, reason: &'static str) -> bool {
        self.cx.dropped(reason);
        false
    }

    /// Whether a message can matter now; checked before its signature because it is cheaper.
    fn is_timely(&self, signed: &Signed) -> bool {
        let current = self.cx.round();
        match signed.body {
            Body::Heartbeat(_)
            | Body::RecordsRequest(_)
            | Body::Records(_)
            | Body::Goodbye(_)
            | Body::Ping
            | Body::Accusations(_) => true,
            _ => signed.round == current || signed.round == current.next(),
        }
    }

    fn accept(&mut self, signed: Signed) -> bool {
        let Signed { sender, round, signature, .. } = signed;
        let (cx, members) = (&mut self.cx, &mut self.members);
        let is_news = match &signed.body {
            Body::Heartbeat(heartbeat) => {
                members.newest.is_news(cx, sender, round, (heartbeat, signature))
            }
            _ => true,
        };
        if is_news {
            members.absences.on_message(cx, &signed);
        }
        match signed.body {
            Body::Heartbeat(heartbeat) => {
                self.on_heartbeat(sender, round, &heartbeat, is_news);
                // Who is there matters until the round begins.
                return is_news && self.round.phase.is_waiting();
            }
            Body::SealingKey(key) => self.keys.on_key(cx, sender, round, key),
            Body::RecordsRequest(from) => {
                Sync::on_records_request(cx, sender, from);
                return false;
            }
            Body::Records(entries) => self.on_records(entries),
            Body::Goodbye(goodbye) => members.absences.on_goodbye(cx, sender, round, goodbye),
            Body::Ping => {
                self.on_ping(sender);
                return false;
            }
            Body::Accusations(list) => members.bans.on_accusations(cx, sender, &list),
            _ if round == cx.round() => return self.on_round_message(signed),
            _ => self.early.keep(cx, signed),
        }
        true
    }

    /// A message of the current round; its signature has been checked. Whether it is news.
    fn on_round_message(&mut self, signed: Signed) -> bool {
        let (sender, signature) = (signed.sender, signed.signature);
        match signed.body {
            Body::Ready => return self.on_ready(sender, signature),
            Body::RecoveryRequest(nonce) => {
                let (round, newest) = (&self.round, &self.members.newest);
                self.recovery.on_request(&mut self.cx, sender, nonce, round, newest);
                return false;
            }
            Body::RecoveryResponse { nonce, statements, heartbeat } => {
                self.on_recovery_response(sender, &nonce, &statements, heartbeat);
            }
            _ => return self.round.on_message(&mut self.cx, signed),
        }
        true
    }

    /// The statements of this member that `sender` has received. Once enough members have responded
    /// this one can take part: it gets an incarnation and announces its keys.
    fn on_recovery_response(
        &mut self,
        sender: MemberIndex,
        nonce: &Nonce,
        statements: &[(Statement, Signature)],
        heartbeat: Option<Box<SignedHeartbeat>>,
    ) {
        let Self { cx, recovery, round, incarnation, .. } = self;
        let of = (&*round, &mut *incarnation);
        if recovery.on_response(cx, sender, (nonce, statements), heartbeat, of) {
            incarnation.begin(cx);
            self.keys.announce(cx);
        }
    }

    /// Records from another member, in order, as many as fitted into its answer.
    fn on_records(&mut self, entries: Vec<LedgerEntry>) {
        let before = self.cx.round();
        for LedgerEntry::Round(certified) in entries {
            if certified.record.round != self.cx.round() {
                continue;
            }
            if self.chain.tip.check(&self.cx.config.roster(), &certified).is_err() {
                return self.cx.dropped("records: not valid");
            }
            // An apply job that runs already outlives the round: it gives the adapter sooner than
            // the network.
            self.finish(certified);
        }
        if self.cx.round() != before {
            Sync::ask_for_more(&mut self.cx, &self.members);
        }
    }

    /// A new round: what came early counts now.
    pub(super) fn take_early(&mut self) {
        let early = core::mem::take(&mut self.early);
        for signed in early.0.into_values().flatten() {
            if signed.round == self.cx.round() {
                let _ = self.on_round_message(signed);
            }
        }
    }
}
