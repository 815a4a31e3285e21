//! Saying things: sign, then gossip what is small and send what is not. And the journal.

use super::Machine;
use crate::effect::Effect;
use crate::ids::{MemberIndex, Round};
use crate::limits::MAX_GOSSIP_BYTES;
use crate::sign::Signature;
use crate::wire::journal::{Entry, Note};
use crate::wire::{Body, Signed};

impl Machine {
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

    /// Says `body` to everyone, in the current round.
    pub(crate) fn say(&mut self, body: Body) {
        let round = self.round.number;
        if let Some(signature) = self.sign(round, &body) {
            self.broadcast(body, signature);
        }
    }

    /// Says `body` to everyone, in this round or the next one.
    pub(crate) fn say_in(&mut self, round: Round, body: Body) {
        let Some(signature) = self.sign(round, &body) else { return };
        if let Some(bytes) = self.envelope(self.config.me, round, body, signature) {
            self.out.push(Effect::Gossip(bytes));
        }
    }

    /// Says what has been signed already to everyone, in the current round.
    pub(crate) fn broadcast(&mut self, body: Body, signature: Signature) {
        let Some(bytes) = self.envelope(self.config.me, self.round.number, body, signature) else {
            return;
        };
        if bytes.len() <= MAX_GOSSIP_BYTES {
            return self.out.push(Effect::Gossip(bytes));
        }
        let me = self.config.me;
        for to in self.config.manifest.members().filter(|to| *to != me) {
            self.out.push(Effect::Send { to, bytes: bytes.clone() });
        }
    }

    /// Says `body` to one member, in the current round.
    pub(crate) fn tell(&mut self, to: MemberIndex, body: Body) {
        let round = self.round.number;
        if let Some(signature) = self.sign(round, &body) {
            self.forward(to, self.config.me, body, signature);
        }
    }

    /// Hands on what `author` said in the current round.
    pub(crate) fn forward(
        &mut self,
        to: MemberIndex,
        author: MemberIndex,
        body: Body,
        signature: Signature,
    ) {
        self.forward_of(self.round.number, to, (author, body, signature));
    }

    /// Hands on what `author` said in `round`.
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
            self.out.push(Effect::Send { to, bytes });
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

    /// Remembers `note` across restarts, before whatever is said next. If it cannot be remembered it must not be said.
    #[must_use]
    pub(crate) fn persist(&mut self, note: Note) -> bool {
        match Entry::new(self.round.number, note).encode() {
            Ok(bytes) => self.out.push(Effect::Persist(bytes)),
            Err(_) => {
                self.dropped("journal: too long");
                return false;
            }
        }
        true
    }
}
