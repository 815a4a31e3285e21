//! Anti-entropy: every few seconds each member broadcasts where it is and what it has; a member
//! that sees that another one lacks a message of its own sends it again. This one mechanism repairs
//! every lost message.

use crate::chain::Chain;
use crate::context::Cx;
use crate::ids::MemberIndex;
use crate::members::{Members, SealingKeys};
use crate::round::RoundState;
use crate::wire::version::MESSAGES;
use crate::wire::{Bits, Body, Decision, Heartbeat, Known, VoteKind};

/// The state that heartbeats describe and that answers to heartbeats are taken from.
#[derive(Clone, Copy)]
pub(crate) struct AntiEntropy<'a> {
    pub(crate) round: &'a RoundState,
    pub(crate) members: &'a Members,
    pub(crate) keys: &'a SealingKeys,
    pub(crate) chain: &'a Chain,
}

impl AntiEntropy<'_> {
    /// Where this member is: a heartbeat of the incarnation and with the number in `beat`.
    pub(crate) fn heartbeat(self, cx: &Cx, beat: (u64, u64), is_ready: bool) -> Heartbeat {
        let round = self.round;
        let voting = round.voting();
        let agreement = voting.map(|(decision, _)| round.vote_on(decision).agreement());
        Heartbeat {
            incarnation: beat.0,
            number: beat.1,
            versions: MESSAGES,
            ready: is_ready,
            head: self.chain.tip.head,
            set_decided: round.set.vote.agreement().decided().is_some(),
            outcome_decided: round.outcome.vote.agreement().decided().is_some(),
            voting,
            has_proposal: agreement.is_some_and(crate::consensus::Agreement::has_proposal),
            known: self.known(cx),
        }
    }

    /// Which messages of which members this one has, so that nobody sends them again.
    fn known(self, cx: &Cx) -> Known {
        let round = self.round;
        let n = cx.config.rules().member_count;
        let agreement = round.voting().map(|(decision, _)| round.vote_on(decision).agreement());
        let voters = |kind| agreement.map(|agreement| agreement.voters(kind)).unwrap_or_default();
        let has_key = |member: &MemberIndex| self.keys.of(*member, cx.round()).is_some();
        let committee = cx.election.committee().iter().copied();
        let complete = committee
            .filter(|m| round.collect.availability.has_everything(*m, &round.collect.commitments));
        Known {
            keys: Bits::of(n, cx.config.manifest.members().filter(has_key)),
            commitments: Bits::of(n, round.collect.commitments.first().keys().copied()),
            have_updates: Bits::of(n, complete),
            reports: Bits::of(n, round.collect.reports.all().keys().copied()),
            attestations: Bits::of(n, round.set.sums.own_attesters()),
            prevotes: Bits::of(n, voters(VoteKind::Prevote)),
            precommits: Bits::of(n, voters(VoteKind::Precommit)),
            partials: Bits::of(n, round.decryption.partials().keys().copied()),
            signatures: Bits::of(n, round.finish.signers()),
            present: Bits::of(n, round.readiness.persisted()),
            accused: self.members.bans.accused(n),
        }
    }

    /// Sends the messages of this member that `to` lacks.
    pub(crate) fn answer(self, cx: &mut Cx, to: MemberIndex, theirs: &Heartbeat) {
        let (me, round, known) = (cx.me(), self.round, &theirs.known);
        let mut lacking: Vec<Body> = Vec::new();
        if !theirs.set_decided && !known.keys.contains(me) {
            let key = self.keys.of(me, cx.round()).cloned();
            lacking.extend(key.map(Body::SealingKey));
        }
        if !known.present.contains(me) && round.readiness.is_ready() {
            lacking.push(Body::Ready);
        }
        if !theirs.set_decided {
            lacking.extend(self.bundle(me, theirs));
        }
        if !known.partials.contains(me) {
            let partial = round.decryption.released();
            lacking.extend(partial.map(|(set, object)| Body::Partial { set, object }));
        }
        if !known.signatures.contains(me) {
            let signed = round.finish.signature_of(me);
            lacking.extend(signed.map(|(digest, _)| Body::RecordSignature(digest)));
        }
        for body in lacking {
            cx.send(to, body);
        }
        self.forward_partials(cx, to, known);
        self.members.bans.accuse_again(cx, to, &known.accused);
        self.answer_vote(cx, to, theirs);
    }

    /// The messages that matter until the set is decided.
    fn bundle(self, me: MemberIndex, theirs: &Heartbeat) -> Vec<Body> {
        let (round, known) = (self.round, &theirs.known);
        let mut lacking: Vec<Body> = Vec::new();
        if !known.commitments.contains(me) {
            lacking.extend(round.collect.commitments.own_message());
        }
        if !known.have_updates.contains(me) {
            lacking.extend(round.collect.availability.own_messages(me));
        }
        if !known.reports.contains(me) {
            let report = round.collect.reports.of(me);
            lacking.extend(report.map(|(set, _)| Body::Report(set.clone())));
        }
        if !known.attestations.contains(me) {
            let own = round.set.sums.attestations.by(me);
            lacking.extend(own.map(|(set, aggregate, _)| Body::Attestation { set, aggregate }));
        }
        lacking
    }

    /// Late in a round, forwards the partial decryptions of others too: their senders may be gone,
    /// or may have sent them to some members only. Of those that `to` has already, one at a time:
    /// two different ones of one sender are evidence wherever they meet.
    fn forward_partials(self, cx: &mut Cx, to: MemberIndex, known: &Known) {
        if !cx.clock.decrypt_over {
            return;
        }
        let me = cx.me();
        let others = || {
            let all = self.round.decryption.partials().iter();
            all.filter(|(sender, _)| **sender != me && **sender != to)
        };
        let mut lacking: Vec<_> =
            others().filter(|(sender, _)| !known.partials.contains(**sender)).collect();
        let beat = cx.now.0 / cx.config.heartbeat_ms().max(1);
        let turn = beat.checked_rem(others().count() as u64).unwrap_or_default();
        let in_turn = usize::try_from(turn).ok().and_then(|turn| others().nth(turn));
        lacking.extend(in_turn.filter(|(sender, _)| known.partials.contains(**sender)));
        for (sender, partial) in lacking {
            let body = Body::Partial { set: partial.set, object: partial.object };
            cx.forward(to, *sender, body, partial.signature);
        }
    }

    fn answer_vote(self, cx: &mut Cx, to: MemberIndex, theirs: &Heartbeat) {
        for (decision, known) in
            [(Decision::Set, theirs.set_decided), (Decision::Outcome, theirs.outcome_decided)]
        {
            if let Some(decided) = self.round.vote_on(decision).decided().filter(|_| !known) {
                cx.send(to, Body::Decided(Box::new(decided)));
            }
        }
        let Some((decision, view)) = theirs.voting else { return };
        let vote = self.round.vote_on(decision);
        for cast in vote.agreement().cast() {
            if cast.view > view || cast.view == view && lacks_own(cx, theirs, cast.kind) {
                cx.send(to, Body::Vote(cast));
            }
        }
        if !theirs.has_proposal {
            vote.propose_again(cx, to, view);
        }
        if decision == Decision::Set {
            self.round.set.sums.ask_again(cx, to, view);
        }
    }
}

/// Whether the sender of a heartbeat lacks the vote of this member of a kind.
fn lacks_own(cx: &Cx, theirs: &Heartbeat, kind: VoteKind) -> bool {
    let voters = match kind {
        VoteKind::Prevote => &theirs.known.prevotes,
        VoteKind::Precommit => &theirs.known.precommits,
    };
    !voters.contains(cx.me())
}
