//! Messages and the journal: small messages are signed and gossiped, large ones are sent to each
//! member.

use super::Cx;
use crate::effect::Effect;
use crate::ids::{MemberIndex, Round};
use crate::limits::MAX_GOSSIP_BYTES;
use crate::sign::Signature;
use crate::wire::journal::{Entry, Note};
use crate::wire::{Body, Signed};

impl Cx {
    /// This member's own signature under `body` in `round`; deterministic.
    pub(crate) fn sign(&mut self, round: Round, body: &Body) -> Option<Signature> {
        match self.config.roster().digest(round, self.config.me, body) {
            Ok(digest) => Some(self.config.signatures.sign(&digest)),
            Err(_) => {
                self.dropped("send: too long");
                None
            }
        }
    }

    /// Signs `body` for the current round and sends it to everyone.
    pub(crate) fn broadcast(&mut self, body: Body) {
        let round = self.round();
        if let Some(signature) = self.sign(round, &body) {
            self.broadcast_signed(body, signature);
        }
    }

    /// Signs `body` for this round or the next one and gossips it.
    pub(crate) fn broadcast_in(&mut self, round: Round, body: Body) {
        let Some(signature) = self.sign(round, &body) else { return };
        if let Some(bytes) = self.envelope(self.config.me, round, body, signature) {
            self.push(Effect::Gossip(bytes));
        }
    }

    /// Sends a message to everyone that this member has signed for the current round.
    pub(crate) fn broadcast_signed(&mut self, body: Body, signature: Signature) {
        let Some(bytes) = self.envelope(self.config.me, self.round(), body, signature) else {
            return;
        };
        if bytes.len() <= MAX_GOSSIP_BYTES {
            return self.push(Effect::Gossip(bytes));
        }
        let me = self.config.me;
        for to in self.config.manifest.members().filter(|to| *to != me) {
            self.push(Effect::Send { to, bytes: bytes.clone() });
        }
    }

    /// Signs `body` for the current round and sends it to one member.
    pub(crate) fn send(&mut self, to: MemberIndex, body: Body) {
        let round = self.round();
        if let Some(signature) = self.sign(round, &body) {
            self.forward(to, self.config.me, body, signature);
        }
    }

    /// Forwards a message that `sender` signed in the current round.
    pub(crate) fn forward(
        &mut self,
        to: MemberIndex,
        sender: MemberIndex,
        body: Body,
        signature: Signature,
    ) {
        self.forward_of(self.round(), to, (sender, body, signature));
    }

    /// Forwards a message that `sender` signed in `round`.
    pub(crate) fn forward_of(
        &mut self,
        round: Round,
        to: MemberIndex,
        (sender, body, signature): (MemberIndex, Body, Signature),
    ) {
        if to == self.config.me {
            return;
        }
        if let Some(bytes) = self.envelope(sender, round, body, signature) {
            self.push(Effect::Send { to, bytes });
        }
    }

    fn envelope(
        &mut self,
        sender: MemberIndex,
        round: Round,
        body: Body,
        signature: Signature,
    ) -> Option<Vec<u8>> {
        let scope = self.config.roster().scope(round);
        let bytes = Signed::new(scope, sender, body, signature).encode();
        if bytes.is_err() {
            self.dropped("send: too long");
        }
        bytes.ok()
    }

    /// Appends `note` to the journal, before anything that is sent later. Returns false if it
    /// cannot be encoded: then what depends on it must not be sent.
    #[must_use]
    pub(crate) fn persist(&mut self, note: Note) -> bool {
        match Entry::new(self.round(), note).encode() {
            Ok(bytes) => self.push(Effect::Persist(bytes)),
            Err(_) => {
                self.dropped("journal: too long");
                return false;
            }
        }
        true
    }
}
