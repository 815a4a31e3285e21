//! Recovery after a start. The disk may be a new one, or an old backup, and this member may have
//! sent more in the round than its journal has. So it asks the others, and sends nothing that binds
//! it until enough of them have responded.
//!
//! Why q answers, its own included, are enough:
//! 1. Before anything else that binds it in a round a member broadcasts [`Body::Ready`], and it
//!    begins only when q members, itself included, have that in their journals (`readiness`).
//! 2. Count a member that lost its disk as one of the f faulty ones, until the round is over.
//!    The q - 1 others that had its `Ready` and the q - 1 others that answer now, of whom f - 1
//!    are faulty, share an honest one, because 2q > n + f: among those that answer is one that
//!    knows.
//! 3. That one cannot have gone on to a later round, because only members in the asker's round
//!    answer, and of them none whose journal has entries of a later one (`ahead`).
//! 4. So a member that gets its answers and finds nothing in them that its journal lacks has sent
//!    nothing else in this round, nor in a later one.
//! 5. What it finds lacking beyond that, in the middle of a round (an old state of a disk that
//!    still knows `Ready`), is known as far as those that answer have received it. Then it is silent
//!    until the round is over.

mod ahead;
mod incarnation;
mod readiness;
mod statements;

use std::collections::BTreeSet;

pub(crate) use incarnation::Incarnation;
pub(crate) use readiness::Readiness;

use crate::context::{Cx, Question};
use crate::ids::{MemberIndex, Round};
use crate::limits::{MAX_DIRECT_BYTES, MAX_STATEMENTS};
use crate::members::NewestHeartbeats;
use crate::round::RoundState;
use crate::sign::Signature;
use crate::wire::journal::Note;
use crate::wire::{Body, Nonce, SignedHeartbeat, Statement};
use ahead::Ahead;
use statements::{has_sent, statements_of};

/// Room in a response for everything but the statements, in bytes.
const ENVELOPE_BYTES: usize = 1024;

/// The question of this start, and who has answered it in the current round.
#[derive(Debug, Clone)]
struct Asked {
    nonce: Nonce,
    round: Option<Round>,
    answered: BTreeSet<MemberIndex>,
}

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    /// `None` once enough members have answered.
    asked: Option<Asked>,
    /// The journal is known to lack something that was sent in this round or before: silent through
    /// it.
    silent_through: Option<Round>,
    /// Journal entries of rounds that the ledger does not reach yet.
    ahead: Ahead,
}

impl Recovery {
    /// The host has started: what was sent before is not known.
    pub(crate) fn begin(&mut self, nonce: Nonce) {
        self.asked = Some(Asked { nonce, round: None, answered: BTreeSet::new() });
    }

    /// Whether answers are still missing.
    pub(crate) const fn is_recovering(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether this member must not take part in `round`, for all that it may have sent in it
    /// before.
    pub(crate) fn is_silent(&self, round: Round) -> bool {
        self.is_behind() || self.silent_through(round).is_some()
    }

    /// Through which round this member is silent, if it is in `round`.
    pub(crate) fn silent_through(&self, round: Round) -> Option<Round> {
        self.silent_through.filter(|last| round <= *last)
    }

    /// Sends nothing through this round that could contradict what a lost journal knew.
    pub(crate) fn stay_silent(&mut self, through: Round) {
        self.silent_through = self.silent_through.max(Some(through));
    }

    /// The journal has an entry of a round that has no record yet.
    pub(crate) fn keep(&mut self, round: Round, note: Note) {
        self.ahead.keep(round, note);
    }

    /// The journal's entries of the round that begins, in the order in which they were written.
    pub(crate) fn take(&mut self, round: Round) -> Vec<Note> {
        self.ahead.take(round)
    }

    /// Whether the ledger ends before the journal.
    pub(crate) fn is_behind(&self) -> bool {
        self.ahead.last_round().is_some()
    }

    /// The newest round that the journal names, while the ledger is before it.
    pub(crate) fn journal_round(&self) -> Option<Round> {
        self.ahead.last_round()
    }

    /// Whose answers are missing.
    pub(crate) fn unanswered(&self, cx: &Cx) -> Vec<MemberIndex> {
        let Some(asked) = &self.asked else { return Vec::new() };
        let missing = |member: &MemberIndex| *member != cx.me() && !asked.answered.contains(member);
        cx.config.manifest.members().filter(missing).collect()
    }

    /// Asks everyone, once in each round: answers count for the round that they were given in.
    pub(crate) fn advance(&mut self, cx: &mut Cx, is_done: bool) {
        let round = cx.round();
        if let Some(asked) = self.asked.as_mut().filter(|asked| asked.round != Some(round)) {
            asked.round = Some(round);
            asked.answered.clear();
            self.ask_again(cx, is_done);
        }
    }

    /// A heartbeat tick: requests and responses may be lost. Requests are sent to each member
    /// directly: responses travel that way too, and gossip is interrupted for a while where a
    /// member has come back before its old connection was found dead.
    pub(crate) fn ask_again(&self, cx: &mut Cx, is_done: bool) {
        let Some(nonce) = self.open_question(cx, is_done) else { return };
        let Some(signature) = cx.sign(cx.round(), &Body::RecoveryRequest(nonce)) else { return };
        for to in self.unanswered(cx) {
            cx.forward(to, cx.me(), Body::RecoveryRequest(nonce), signature);
        }
    }

    /// `member` can be reached now.
    pub(crate) fn ask_one(&self, cx: &mut Cx, member: MemberIndex, is_done: bool) {
        if let Some(nonce) = self.open_question(cx, is_done) {
            cx.send(member, Body::RecoveryRequest(nonce));
        }
    }

    /// Of a round in which this member is silent in any case it need not know.
    fn open_question(&self, cx: &Cx, is_done: bool) -> Option<Nonce> {
        let asked = self.asked.as_ref().filter(|_| !self.is_silent(cx.round()) && !is_done)?;
        Some(asked.nonce)
    }

    /// `asker` has started: returns the statements that it has sent in this round.
    pub(crate) fn on_request(
        &self,
        cx: &mut Cx,
        asker: MemberIndex,
        nonce: Nonce,
        round: &RoundState,
        newest: &NewestHeartbeats,
    ) {
        if self.is_behind() {
            return cx.dropped("recovery request: what was received in this round is lost");
        }
        if !cx.may_answer(asker, Question::RecoveryRequest) {
            return;
        }
        let mut room = MAX_DIRECT_BYTES.saturating_sub(ENVELOPE_BYTES);
        let mut statements = statements_of(round, asker);
        statements.truncate(MAX_STATEMENTS);
        statements.retain(|statement| {
            let size = postcard::experimental::serialized_size(statement).unwrap_or(usize::MAX);
            let fits = size <= room;
            room = room.saturating_sub(if fits { size } else { 0 });
            fits
        });
        let heartbeat = newest.of(asker).cloned().map(Box::new);
        cx.send(asker, Body::RecoveryResponse { nonce, statements, heartbeat });
    }

    /// The statements of this member that `sender` has received. Returns whether enough members
    /// have responded now.
    pub(crate) fn on_response(
        &mut self,
        cx: &mut Cx,
        sender: MemberIndex,
        (nonce, statements): (&Nonce, &[(Statement, Signature)]),
        heartbeat: Option<Box<SignedHeartbeat>>,
        (round, incarnation): (&RoundState, &mut Incarnation),
    ) -> bool {
        match self.asked.as_ref() {
            None => {
                cx.dropped("recovery response: not recovering");
                return false;
            }
            Some(asked) if asked.nonce != *nonce => {
                cx.dropped("recovery response: an answer to another question");
                return false;
            }
            Some(asked) if asked.answered.contains(&sender) => return false,
            Some(_) => {}
        }
        let (number, me) = (cx.round(), cx.me());
        let roster = cx.config.roster();
        let is_own =
            |(it, by): &(Statement, Signature)| roster.is_signed_by(number, me, &it.body(), by);
        let mut is_own_all = statements.iter().all(is_own);
        if let Some(newest) = heartbeat.filter(|_| is_own_all) {
            let SignedHeartbeat { round, heartbeat, signature } = *newest;
            let earlier = heartbeat.incarnation;
            let body = Body::Heartbeat(Box::new(heartbeat));
            is_own_all = roster.is_signed_by(round, me, &body, &signature);
            if is_own_all {
                incarnation.note_earlier(earlier);
            }
        }
        if !is_own_all {
            cx.dropped("recovery response: not what this member signed");
            return false;
        }
        if !statements.iter().all(|(statement, _)| has_sent(cx, round, statement)) {
            self.stay_silent(number);
            return false;
        }
        self.answered(cx, sender)
    }

    fn answered(&mut self, cx: &Cx, sender: MemberIndex) -> bool {
        let Some(asked) = self.asked.as_mut() else { return false };
        asked.answered.insert(sender);
        let answers = asked.answered.len().saturating_add(1);
        let enough = answers >= usize::from(cx.config.rules().quorum);
        let recovered = enough && !self.is_silent(cx.round());
        if recovered {
            self.asked = None;
        }
        recovered
    }
}
