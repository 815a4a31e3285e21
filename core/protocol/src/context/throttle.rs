//! Limits what this member sends because others ask it to. A question of a hundred bytes may be
//! answered with a hundred kilobytes, so each kind of question whose answer is longer than itself
//! is answered at most once in an interval for each member, and with a bounded number of bytes.
//! Nothing is lost by it: a member that still lacks something asks again with its next heartbeat.
//!
//! Questions that their sender delivered itself and copies that arrived from others are counted
//! apart, so a member that replays old questions of another cannot use up the limit of that one.

use std::collections::BTreeMap;

use super::Cx;
use crate::ids::{MemberIndex, Time};
use crate::limits::MAX_ANSWER_BYTES;

/// A kind of question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Question {
    /// A heartbeat that shows what its sender lacks.
    Heartbeat,
    /// The same, by a recovering member, whose heartbeats have no order and may be replays.
    WhileRecovering,
    /// A heartbeat of an earlier incarnation; the answer is the newest heartbeat of its sender.
    OldIncarnation,
    /// [`Body::Ping`](crate::wire::Body::Ping).
    Ping,
    /// [`Body::RecoveryRequest`](crate::wire::Body::RecoveryRequest).
    RecoveryRequest,
    /// [`Body::GetCommitments`](crate::wire::Body::GetCommitments).
    GetCommitments,
    /// [`Body::Complaint`](crate::wire::Body::Complaint), answered by sealing again.
    Complaint,
    /// The same, answered with an opening that was sent before.
    ShareInClear,
    /// [`Body::RecordsRequest`](crate::wire::Body::RecordsRequest).
    Records,
    /// A question of this member, for records.
    Ask,
}

impl Question {
    /// The interval between two answers, as a divisor of the heartbeat interval.
    const fn pause(self) -> u64 {
        match self {
            // Asked with every heartbeat and whenever somebody becomes reachable, and by a member
            // that gets records with every answer.
            Self::RecoveryRequest | Self::Records => 4,
            _ => 2,
        }
    }
}

/// The bytes that were sent in the current interval.
#[derive(Debug, Clone, Copy)]
struct Window {
    since: Time,
    bytes: usize,
}

/// By member, question, and whether the member delivered the question itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Throttle(BTreeMap<(MemberIndex, Question, bool), Window>);

impl Cx {
    /// Whether `member` may be answered now, which it may not within the interval after the last
    /// answer. Counts as an answer if so. To be called once for each question, after all other
    /// checks; then [`Self::may_send`] for each message of the answer that can be long.
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

    /// Whether the answer to a question of `member` may grow by `bytes`. Counts them if so.
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

    /// Ends the interval: the next question of this kind is answered, or asked, at once.
    pub(crate) fn forget_answer(&mut self, member: MemberIndex, question: Question) {
        self.throttle.0.retain(|(to, of, _), _| (*to, *of) != (member, question));
    }
}
