//! Readiness is a handshake of two phases: a member broadcasts `Ready`, then lists in its
//! heartbeats whose `Ready` it has in its journal. A member begins when a quorum lists its own:
//! whatever it sends from then on, it could be told that it was here if it forgot (see `recovery`).

use std::collections::BTreeMap;

use crate::context::Cx;
use crate::ids::MemberIndex;
use crate::sign::Signature;
use crate::wire::Body;
use crate::wire::journal::Note;

/// Who takes part in the round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Readiness {
    /// The journal says that this member does.
    is_ready: bool,
    /// It has been broadcast since the start.
    announced: bool,
    /// Who does by the journal.
    heard: BTreeMap<MemberIndex, Signature>,
    /// Who does, not in the journal yet.
    fresh: BTreeMap<MemberIndex, Signature>,
    /// The others know that this member has heard a quorum.
    echoed: bool,
}

impl Readiness {
    /// Whether the journal says that this member takes part.
    pub(crate) const fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Whose `Ready` is in the journal.
    pub(crate) fn heard(&self) -> impl Iterator<Item = MemberIndex> + '_ {
        self.heard.keys().copied()
    }

    /// The `Ready` of a member, as it was signed.
    pub(crate) fn signature_of(&self, member: MemberIndex) -> Option<Signature> {
        self.heard.get(&member).or_else(|| self.fresh.get(&member)).copied()
    }

    /// Broadcasts that this member takes part. False if it could not be written down.
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

    /// Whether a quorum is ready and the others have not been told yet that this member knows: they
    /// are now, by a heartbeat.
    pub(crate) fn echoes(&mut self, quorum: usize) -> bool {
        let echoes = !self.echoed && self.heard.len().saturating_add(self.fresh.len()) >= quorum;
        self.echoed |= echoes;
        echoes
    }

    /// Notes that this member takes part, now or before a restart.
    pub(crate) fn recall_own(&mut self, cx: &mut Cx) {
        self.is_ready = true;
        if let Some(signature) = cx.sign(cx.round(), &Body::Ready) {
            self.heard.insert(cx.me(), signature);
        }
    }

    /// The journal says whom this member heard.
    pub(crate) fn recall_others(&mut self, heard: Vec<(MemberIndex, Signature)>) {
        self.heard.extend(heard);
    }

    /// `sender` takes part. Returns whether it comes late and need not wait for the next heartbeat
    /// to see that it was heard.
    pub(crate) fn on_ready(&mut self, sender: MemberIndex, signature: Signature) -> bool {
        if self.signature_of(sender).is_some() {
            return false;
        }
        self.fresh.insert(sender, signature);
        self.echoed
    }

    /// Who was heard goes into the journal, then into heartbeats.
    pub(crate) fn keep(&mut self, cx: &mut Cx) {
        let fresh = core::mem::take(&mut self.fresh);
        if fresh.is_empty() {
            return;
        }
        let list = fresh.iter().map(|(member, signature)| (*member, *signature)).collect();
        if cx.persist(Note::Present(list)) {
            self.heard.extend(fresh);
        }
    }
}
