//! Messages from others: decode, check bounds, check the signature, then look at what they say.

use super::Machine;
use crate::limits::MAX_EARLY_PER_MEMBER;
use crate::wire::codec::CodecError;
use crate::wire::{Body, Signed};

impl Machine {
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        let signed = match Signed::decode(bytes) {
            Ok(signed) => signed,
            Err(CodecError::TooLong { .. }) => return self.dropped("message: too long"),
            Err(CodecError::Malformed { .. }) => return self.dropped("message: malformed"),
            Err(CodecError::Version { found, read, .. }) => {
                return self.dropped(match found > u32::from(read.newest) {
                    true => "message: of a later version",
                    false => "message: of an earlier version",
                });
            }
            Err(CodecError::NotCanonical { .. }) => return self.dropped("message: not canonical"),
        };
        let member_count = self.config.rules().member_count;
        if signed.sender.0 >= member_count {
            return self.dropped("message: not a member");
        }
        if signed.epoch != self.config.manifest.epoch() {
            return self.dropped("message: other epoch");
        }
        if signed.sender == self.config.me {
            return self.receive_own(&signed);
        }
        if !signed.body.is_within_bounds(member_count) {
            return self.dropped("message: impossible content");
        }
        if !self.is_timely(&signed) {
            return self.dropped("message: other round");
        }
        if !self.config.roster().is_by_sender(&signed, bytes) {
            return self.dropped("message: signature");
        }
        self.accept(signed);
    }

    /// Whether a message can matter now; checked before its signature because it is cheaper.
    fn is_timely(&self, signed: &Signed) -> bool {
        let current = self.round.number;
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

    fn accept(&mut self, signed: Signed) {
        let Signed { sender, round, signature, .. } = signed;
        let is_news = match &signed.body {
            Body::Heartbeat(heartbeat) => self.is_news(sender, round, (heartbeat, signature)),
            _ => true,
        };
        if is_news {
            self.note_life(&signed);
        }
        match signed.body {
            Body::Heartbeat(heartbeat) if is_news => self.heard(sender, round, &heartbeat),
            Body::Heartbeat(heartbeat) => self.heard_in_doubt(sender, round, &heartbeat),
            Body::SealingKey(key) => self.note_key(sender, round, key),
            Body::RecordsRequest(from) => self.send_records(sender, from),
            Body::Records(entries) => self.take_records(entries),
            Body::Goodbye(goodbye) => self.take_goodbye(sender, round, goodbye),
            Body::Ping => self.take_ping(sender),
            Body::Accusations(list) => self.take_accusations(sender, &list),
            _ if round == self.round.number => self.take(signed),
            _ => self.keep_for_later(signed),
        }
    }

    fn keep_for_later(&mut self, signed: Signed) {
        // Large kinds are said again by whoever sees that they are missing; keeping them would cost memory.
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
            return self.dropped("message: of the next round");
        }
        let Some(peer) = self.peers.get_mut(signed.sender.position()) else { return };
        if peer.early.len() < MAX_EARLY_PER_MEMBER {
            peer.early.push(signed);
        } else {
            self.dropped("message: too many of the next round");
        }
    }

    /// A new round: what came early counts now.
    pub(super) fn take_early(&mut self) {
        let early: Vec<Signed> =
            self.peers.iter_mut().flat_map(|peer| core::mem::take(&mut peer.early)).collect();
        for signed in early {
            if signed.round == self.round.number {
                self.take(signed);
            }
        }
    }
}
