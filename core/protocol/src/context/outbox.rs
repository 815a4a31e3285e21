//! Messages and the journal: sign, then announce what is small to everyone and send what is not to
//! each.

use super::Cx;
use crate::effect::Effect;
use crate::ids::{MemberIndex, Round};
use crate::limits::MAX_GOSSIP_BYTES;
use crate::sign::Signature;
use crate::wire::journal::{Entry, Note};
use crate::wire::{Body, Signed};

impl Cx {
    /// The own signature under `body` in `round`; deterministic.
    pub(crate) fn sign(&mut self, round: Round, body: &Body) -> Option<Signature> {
        match self.config.roster().digest(round, self.config.me, body) {
            Ok(digest) => Some(self.config.signatures.sign(&digest)),
            Err(_) => {
                self.dropped("send: too long");
                None
            }
        }
    }

    /// Signs `body` for the current round and gives it to everyone.
    pub(crate) fn broadcast(&mut self, body: Body) {
        let round = self.round();
        if let Some(signature) = self.sign(round, &body) {
            self.broadcast_signed(body, signature);
        }
    }

    /// Signs `body` for this round or the next one and announces it to everyone.
    pub(crate) fn broadcast_in(&mut self, round: Round, body: Body) {
        let Some(signature) = self.sign(round, &body) else { return };
        if let Some(bytes) = self.envelope(self.config.me, round, body, signature) {
            self.push(Effect::Gossip(bytes));
        }
    }

    /// Gives everyone what this member has signed already for the current round.
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

    /// Hands on what `author` signed in the current round.
    pub(crate) fn forward(
        &mut self,
        to: MemberIndex,
        author: MemberIndex,
        body: Body,
        signature: Signature,
    ) {
        self.forward_of(self.round(), to, (author, body, signature));
    }

    /// Hands on what `author` signed in `round`.
    pub(crate) fn forward_of(
        &mut self,
        round: Round,
        to: MemberIndex,
        (author, body, signature): (MemberIndex, Body, Signature),
    ) {
        if to == self.config.me {
            return;
        }
        if let Some(bytes) = self.envelope(author, round, body, signature) {
            self.push(Effect::Send { to, bytes });
        }
    }

    fn envelope(
        &mut self,
        author: MemberIndex,
        round: Round,
        body: Body,
        signature: Signature,
    ) -> Option<Vec<u8>> {
        let scope = self.config.roster().scope(round);
        let bytes = Signed::new(scope, author, body, signature).encode();
        if bytes.is_err() {
            self.dropped("send: too long");
        }
        bytes.ok()
    }

    /// Writes `note` to the journal, before whatever is sent next. What cannot be written must not
    /// be sent.
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
