//! The newest heartbeat of each member. Heartbeats carry the number of their sender's incarnation
//! and a sequence number within it; of two the one with the greater pair is the newer, and older
//! ones are ignored, whoever delivers them. `recovery::incarnation` defines how an incarnation gets
//! its number.
//!
//! Before an incarnation has its number its heartbeats carry 0. They are answered, but they are not
//! kept and do not show that their sender is present: they may be replays.

use std::collections::BTreeMap;

use crate::context::{Cx, Question};
use crate::ids::{MemberIndex, Round};
use crate::sign::Signature;
use crate::wire::{Body, Heartbeat, SignedHeartbeat};

/// The newest heartbeat of each other member, with its signature.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewestHeartbeats(BTreeMap<MemberIndex, Box<SignedHeartbeat>>);

impl NewestHeartbeats {
    /// The newest heartbeat of a member.
    pub(crate) fn of(&self, member: MemberIndex) -> Option<&SignedHeartbeat> {
        self.0.get(&member).map(Box::as_ref)
    }

    /// Members whose newest heartbeat is of a later round than `round`.
    pub(crate) fn ahead_of(&self, round: Round) -> impl Iterator<Item = MemberIndex> + '_ {
        self.0.iter().filter(move |(_, newest)| newest.round > round).map(|(member, _)| *member)
    }

    /// Whether `heartbeat` is newer than all earlier ones of its sender; it is kept then.
    pub(crate) fn is_news(
        &mut self,
        cx: &mut Cx,
        sender: MemberIndex,
        round: Round,
        (heartbeat, signature): (&Heartbeat, Signature),
    ) -> bool {
        if heartbeat.incarnation == 0 {
            return false;
        }
        let pair = |it: &Heartbeat| (it.incarnation, it.number);
        let known = self.0.get(&sender).map(|newest| pair(&newest.heartbeat));
        if known.is_none_or(|known| known < pair(heartbeat)) {
            let heartbeat = heartbeat.clone();
            self.0.insert(sender, Box::new(SignedHeartbeat { round, heartbeat, signature }));
            return true;
        }
        if known.is_some_and(|(incarnation, _)| incarnation > heartbeat.incarnation) {
            self.show(cx, sender);
        }
        cx.dropped("heartbeat: not the newest");
        false
    }

    /// `sender` has restarted and does not know its incarnation number: it gets its own newest
    /// heartbeat back.
    fn show(&self, cx: &mut Cx, sender: MemberIndex) {
        let Some(newest) = self.of(sender) else { return };
        if cx.may_answer(sender, Question::OldIncarnation) {
            let SignedHeartbeat { round, heartbeat, signature } = newest.clone();
            cx.forward_of(round, sender, (sender, Body::Heartbeat(Box::new(heartbeat)), signature));
        }
    }
}
