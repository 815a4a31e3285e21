//! Catching up: records from whoever is ahead, then the global adapter by chunks.

use crate::chain::Chain;
use crate::context::{Cx, Question, Tag};
use crate::effect::{Effect, Purpose};
use crate::ids::{Digest, MemberIndex, Round};
use crate::job::{Applied, Job};
use crate::limits::MAX_RECORDS_ANSWER_BYTES;
use crate::members::Members;
use crate::object::ObjectRef;
use crate::wire::{Body, CertifiedRecord, LedgerEntry};

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Sync {
    /// The global adapter that the host holds.
    local_adapter: Option<ObjectRef>,
    /// Whom to ask for records next.
    turn: usize,
}

impl Sync {
    /// Whether the host holds the adapter that the chain names, if it names one.
    pub(crate) fn has_adapter(&self, chain: &Chain) -> bool {
        self.local_adapter == chain.tip.adapter
    }

    /// Asks `ahead`, which is in a later round, for its records.
    pub(crate) fn ask_for_records(cx: &mut Cx, ahead: MemberIndex) {
        if cx.may_answer(ahead, Question::Ask) {
            cx.send(ahead, Body::RecordsRequest(cx.round()));
        }
    }

    /// A heartbeat tick: asks one member for records, if there must be some. The members take
    /// turns, because one that claims to be ahead need not have them, and one that has them need
    /// not have sent a message.
    pub(crate) fn tick(&mut self, cx: &mut Cx, members: &Members, is_behind: bool) {
        let (me, current) = (cx.me(), cx.round());
        let is_ahead = |member: MemberIndex| {
            members.newest.of(member).is_some_and(|newest| newest.round > current)
        };
        let others = || cx.config.manifest.members().filter(|member| *member != me);
        let mut asked: Vec<MemberIndex> = others().filter(|member| is_ahead(*member)).collect();
        if is_behind {
            asked.extend(others().filter(|m| members.is_reachable(*m) && !is_ahead(*m)));
        }
        let turn = self.turn.checked_rem(asked.len()).unwrap_or_default();
        if let Some(member) = asked.get(turn).copied() {
            self.turn = turn.saturating_add(1);
            Self::ask_for_records(cx, member);
        }
    }

    /// Some records have come: there may be more than fit into one answer.
    pub(crate) fn ask_for_more(cx: &mut Cx, members: &Members) {
        let ahead = members.newest.ahead_of(cx.round()).next();
        if let Some(ahead) = ahead {
            cx.forget_answer(ahead, Question::Ask);
            Self::ask_for_records(cx, ahead);
        }
    }

    /// Another member asks for the records of `from` and after.
    pub(crate) fn on_records_request(cx: &mut Cx, to: MemberIndex, from: Round) {
        if from >= cx.round() || !cx.may_answer(to, Question::Records) {
            return;
        }
        cx.push(Effect::ReadRecords { to, from, limit_bytes: MAX_RECORDS_ANSWER_BYTES });
    }

    /// The host has read them; no more are sent than fit.
    pub(crate) fn on_records_read(cx: &mut Cx, to: MemberIndex, mut records: Vec<CertifiedRecord>) {
        let mut room = MAX_RECORDS_ANSWER_BYTES;
        let fitting = records.iter().take_while(|record| {
            let size = postcard::experimental::serialized_size(record).unwrap_or(usize::MAX);
            let fits = size <= room;
            room = room.saturating_sub(size);
            fits
        });
        let fitting = fitting.count();
        records.truncate(fitting);
        if !records.is_empty() {
            let entries = records.into_iter().map(LedgerEntry::Round).collect();
            cx.send(to, Body::Records(entries));
        }
    }

    /// The records are here, the adapter they name is not. Gives up on nothing; asks again on every
    /// tick.
    pub(crate) fn fetch_adapter(&self, cx: &mut Cx, chain: &Chain, members: &Members) {
        let Some(adapter) = chain.tip.adapter.filter(|_| !self.has_adapter(chain)) else { return };
        if chain.past.applied_last.is_some_and(|round| cx.jobs.is_running(Tag::Apply(round))) {
            return;
        }
        let holders = |cx: &Cx| members.trusted_first(cx.config.manifest.members().collect());
        if cx.request(adapter, Purpose::Adapter, holders) {
            let applied = chain.tip.applied;
            cx.start(Tag::Adopt(adapter.root), Job::Adopt { adapter, applied });
        }
    }

    /// The host has taken over an adapter that it had fetched.
    pub(crate) fn on_adopted(&mut self, cx: &mut Cx, chain: &Chain, root: Digest) {
        if let Some(adapter) = chain.tip.adapter.filter(|adapter| adapter.root == root) {
            self.hold(cx, adapter);
        }
    }

    /// The host has applied the sum of a round that the others finished first; their record says
    /// whether this is the right adapter.
    pub(crate) fn on_applied_late(
        &mut self,
        cx: &mut Cx,
        chain: &Chain,
        round: Round,
        applied: &Applied,
    ) {
        if applied.accepted && round.next() == cx.round() {
            self.on_applied(cx, chain, applied.adapter);
        }
    }

    /// A round has ended in which this member has applied the sum itself.
    pub(crate) fn on_applied(&mut self, cx: &mut Cx, chain: &Chain, adapter: ObjectRef) {
        self.local_adapter = Some(adapter);
        if self.has_adapter(chain) {
            cx.serve_adapter(adapter);
        }
    }

    /// The host has the global adapter; others can get it here.
    fn hold(&mut self, cx: &mut Cx, adapter: ObjectRef) {
        self.local_adapter = Some(adapter);
        cx.serve_adapter(adapter);
    }
}
