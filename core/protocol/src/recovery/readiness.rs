//! Readiness is a handshake of two phases: a member broadcasts `Ready`, then lists in its
//! heartbeats the members whose `Ready` it has persisted. It begins the round once a quorum lists
//! its own `Ready`: should it lose its disk from then on, enough others can report that it took
//! part (see `recovery`).

use std::collections::BTreeMap;

use crate::context::Cx;
use crate::ids::MemberIndex;
use crate::sign::Signature;
use crate::wire::Body;
use crate::wire::journal::Note;

/// Who takes part in the round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Readiness {
    /// The journal has it that this member takes part.
    is_ready: bool,
    /// `Ready` has been broadcast since the start.
    announced: bool,
    /// Members whose `Ready` is in the journal, with their signatures.
    persisted: BTreeMap<MemberIndex, Signature>,
    /// Members whose `Ready` has arrived and is not in the journal yet.
    unpersisted: BTreeMap<MemberIndex, Signature>,
    /// A heartbeat has shown that this member has the `Ready` of a quorum.
    echoed: bool,
}

impl Readiness {
    /// Whether the journal has it that this member takes part.
    pub(crate) const fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Whose `Ready` is in the journal.
    pub(crate) fn persisted(&self) -> impl Iterator<Item = MemberIndex> + '_ {
        self.persisted.keys().copied()
    }

    /// The `Ready` of a member, as it was signed.
    pub(crate) fn signature_of(&self, member: MemberIndex) -> Option<Signature> {
        self.persisted.get(&member).or_else(|| self.unpersisted.get(&member)).copied()
    }

    /// Broadcasts `Ready`, after persisting it. Returns false if it cannot be persisted.
    pub(crate) fn announce(&mut self, cx: &mut Cx) -> bool {
        if !self.is_ready {
            if !cx.persist(Note::Ready) {
                return false;
            }
            self.recall_own(cx);
        }
        if !self.announced {
            self.announced = true;
            cx.broadcast(Body::Ready);
        }
        true
    }

    /// Whether a quorum is ready and no heartbeat has shown yet that this member knows; the caller
    /// sends one.
    pub(crate) fn echoes(&mut self, quorum: usize) -> bool {
        let echoes =
            !self.echoed && self.persisted.len().saturating_add(self.unpersisted.len()) >= quorum;
        self.echoed |= echoes;
        echoes
    }

    /// Notes that this member takes part, now or before a restart.
    pub(crate) fn recall_own(&mut self, cx: &mut Cx) {
        self.is_ready = true;
        if let Some(signature) = cx.sign(cx.round(), &Body::Ready) {
            self.persisted.insert(cx.me(), signature);
        }
    }

    /// The journal has the `Ready` of these members.
    pub(crate) fn recall_others(&mut self, persisted: Vec<(MemberIndex, Signature)>) {
        self.persisted.extend(persisted);
    }

    /// Notes the `Ready` of `sender`. Returns whether it is late, so that a heartbeat should show
    /// it at once.
    pub(crate) fn on_ready(&mut self, sender: MemberIndex, signature: Signature) -> bool {
        if self.signature_of(sender).is_some() {
            return false;
        }
        self.unpersisted.insert(sender, signature);
        self.echoed
    }

    /// Persists the `Ready` of others that have arrived; from then on heartbeats list them.
    pub(crate) fn keep(&mut self, cx: &mut Cx) {
        let unpersisted = core::mem::take(&mut self.unpersisted);
        if unpersisted.is_empty() {
            return;
        }
        let list = unpersisted.iter().map(|(member, signature)| (*member, *signature)).collect();
        if cx.persist(Note::Present(list)) {
            self.persisted.extend(unpersisted);
        }
    }
}
