//! How much this member says because others ask it to. A question of a hundred bytes may be
//! answered with a hundred kilobytes, so every kind of question that is answered with more than it
//! took to ask is answered once in a while for each member, and with so many bytes at most. Nothing
//! is lost by it: who still lacks something asks again with its next heartbeat.
//!
//! Questions that their author handed over itself and copies that came another way are counted
//! apart: whoever repeats another's old questions cannot use up what that one may ask.

use std::collections::BTreeMap;

use super::Cx;
use crate::ids::{MemberIndex, Time};
use crate::limits::MAX_ANSWER_BYTES;

/// A kind of question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Question {
    /// A heartbeat that shows what its author lacks.
    Heartbeat,
    /// The same by a recovering member, whose heartbeats have no order and may be old ones.
    WhileRecovering,
    /// A heartbeat of an earlier incarnation: its author is shown its newest one.
    OldIncarnation,
    /// [`Body::Ping`](crate::wire::Body::Ping).
    Ping,
    /// [`Body::RecoveryRequest`](crate::wire::Body::RecoveryRequest).
    RecoveryRequest,
    /// [`Body::GetCommitments`](crate::wire::Body::GetCommitments).
    GetCommitments,
    /// [`Body::Complaint`](crate::wire::Body::Complaint), answered by sealing again.
    Complaint,
    /// The same, answered again with what was shown in clear.
    ShareInClear,
    /// [`Body::RecordsRequest`](crate::wire::Body::RecordsRequest).
    Records,
    /// Not a question to this member but one by it: for records.
    Ask,
}

impl Question {
    /// Between two answers, as a part of a heartbeat.
    const fn pause(self) -> u64 {
        match self {
            // Asked with every heartbeat and whenever somebody becomes reachable, and by a member
            // that gets records with every answer.
            Self::RecoveryRequest | Self::Records => 4,
            _ => 2,
        }
    }
}

/// What was answered since when.
#[derive(Debug, Clone, Copy)]
struct Window {
    since: Time,
    bytes: usize,
}

/// The answers to every member; whether its questions came first hand.
#[derive(Debug, Clone, Default)]
pub(crate) struct Throttle(BTreeMap<(MemberIndex, Question, bool), Window>);

impl Cx {
    /// Whether `member` is answered now: not if it was a moment ago. Counts as an answer if so. Ask
    /// this once for each question, last of all that it depends on; then [`Self::may_send`] for
    /// each message of the answer that can be long.
    #[must_use]
    pub(crate) fn may_answer(&mut self, member: MemberIndex, question: Question) -> bool {
        let (now, first_hand) = (self.now, self.handed_over_by == Some(member));
        let pause = self.config.heartbeat_ms() / question.pause();
        let windows = &mut self.throttle.0;
        let place = (member, question, first_hand);
        if windows.get(&place).is_some_and(|window| now < window.since.plus_ms(pause)) {
            self.dropped("question: answered a moment ago");
            return false;
        }
        windows.insert(place, Window { since: now, bytes: 0 });
        true
    }

    /// Whether the answer under way to a question of `member` may be `bytes` longer. Counts them if
    /// so.
    #[must_use]
    pub(crate) fn may_send(
        &mut self,
        member: MemberIndex,
        question: Question,
        bytes: usize,
    ) -> bool {
        let place = (member, question, self.handed_over_by == Some(member));
        let Some(window) = self.throttle.0.get_mut(&place) else { return false };
        let grown = window.bytes.saturating_add(bytes);
        if grown > MAX_ANSWER_BYTES {
            self.dropped("question: the answer is too long");
            return false;
        }
        window.bytes = grown;
        true
    }

    /// The next question of this kind is answered, or asked, at once.
    pub(crate) fn forget_answer(&mut self, member: MemberIndex, question: Question) {
        self.throttle.0.retain(|(to, of, _), _| (*to, *of) != (member, question));
    }
}
