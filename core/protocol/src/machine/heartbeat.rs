//! Anti-entropy: every member says every few seconds where it is and what it has; who sees that another lacks something
//! of its own sends it again. This one mechanism repairs every lost message.

use super::{Machine, Question};
use crate::ids::{MemberIndex, Round, View};
use crate::round::Answer;
use crate::wire::version::MESSAGES;
use crate::wire::{Bits, Body, Decided, Decision, Heartbeat, Known, VoteKind};

impl Machine {
    /// Says where this member is.
    pub(crate) fn beat(&mut self) {
        self.keep_presence();
        let heartbeat = self.heartbeat();
        self.say(Body::Heartbeat(Box::new(heartbeat)));
    }

    pub(crate) fn heartbeat(&mut self) -> Heartbeat {
        let (incarnation, number) = self.incarnation.next_beat();
        let round = &self.round;
        let n = self.config.rules().member_count;
        let voting = round.voting();
        let (prevotes, precommits, has_proposal) = match voting {
            Some((decision, _)) => {
                let vote = round.vote_on(decision);
                (
                    vote.voters(VoteKind::Prevote),
                    vote.voters(VoteKind::Precommit),
                    vote.has_proposal(),
                )
            }
            None => (Vec::new(), Vec::new(), false),
        };
        let keyed = self.config.manifest.members().filter(|m| self.has_key(*m));
        Heartbeat {
            incarnation,
            versions: MESSAGES,
            number,
            ready: self.is_ready(),
            head: self.tip.head,
            set_decided: round.set_vote.decided().is_some(),
            outcome_decided: round.outcome_vote.decided().is_some(),
            voting,
            has_proposal,
            known: Known {
                keys: Bits::of(n, keyed),
                commitments: Bits::of(n, round.first.keys().copied()),
                have_updates: Bits::of(n, round.complete_holders()),
                reports: Bits::of(n, round.reports.keys().copied()),
                attestations: Bits::of(n, round.bundle_attesters()),
                prevotes: Bits::of(n, prevotes),
                precommits: Bits::of(n, precommits),
                partials: Bits::of(n, round.partials.keys().copied()),
                signatures: Bits::of(n, round.signatures.keys().copied()),
                present: Bits::of(n, round.presence.heard.keys().copied()),
                accused: self.accused(),
            },
        }
    }

    /// The newest heartbeat of a member.
    pub(super) fn heard(&mut self, sender: MemberIndex, round: Round, heartbeat: &Heartbeat) {
        self.answer_heartbeat(sender, round, (heartbeat, Question::Heartbeat));
    }

    /// A heartbeat that is not the newest, or of a life that has no number yet: then its author may lack something.
    pub(super) fn heard_in_doubt(
        &mut self,
        sender: MemberIndex,
        round: Round,
        heartbeat: &Heartbeat,
    ) {
        if heartbeat.incarnation == 0 {
            self.answer_heartbeat(sender, round, (heartbeat, Question::InDoubt));
        }
    }

    fn answer_heartbeat(
        &mut self,
        sender: MemberIndex,
        round: Round,
        (heartbeat, question): (&Heartbeat, Question),
    ) {
        let current = self.round.number;
        if round > current {
            return self.ask_for_records(sender);
        }
        if round < current {
            return;
        }
        self.round.complaints.heard(sender);
        if heartbeat.head != self.tip.head {
            return self.dropped("fork: another record before this round");
        }
        // What was said may be less than what an earlier life said: nothing until that is known.
        if self.doubt.is_none() && self.may_answer(sender, question) {
            self.answer(sender, heartbeat);
        }
    }

    /// Sends what of this member's own `to` lacks.
    fn answer(&mut self, to: MemberIndex, theirs: &Heartbeat) {
        let me = self.config.me;
        let known = &theirs.known;
        let mut lacking: Vec<Body> = Vec::new();
        if !theirs.set_decided && !known.keys.contains(me) {
            lacking.extend(self.key_of(me).cloned().map(Body::SealingKey));
        }
        if !known.present.contains(me) && self.round.presence.said {
            lacking.push(Body::Ready);
        }
        if !theirs.set_decided {
            if !known.commitments.contains(me) {
                lacking.extend(self.round.own_commitment());
            }
            if !known.have_updates.contains(me) {
                lacking.extend(self.round.own_holds(me));
                lacking.extend(self.round.own_rejections(me));
            }
            if !known.reports.contains(me) {
                lacking.extend(self.round.reports.get(&me).map(|r| Body::Report(r.0.clone())));
            }
            if !known.attestations.contains(me) {
                lacking.extend(self.round.own_attestations(me));
            }
        }
        if !known.partials.contains(me) {
            let partial = self.round.released;
            lacking.extend(partial.map(|(set, object)| Body::Partial { set, object }));
        }
        if !known.signatures.contains(me) {
            lacking.extend(self.round.signatures.get(&me).map(|s| Body::RecordSignature(s.0)));
        }
        for body in lacking {
            self.tell(to, body);
        }
        self.hand_on_answers(to, known);
        self.accuse_again(to, &known.accused);
        self.answer_vote(to, theirs);
    }

    /// Late in a round also the answers of others: their authors may be gone, or may have told some only. Of those that `to`
    /// has, one at a time: two different answers of one author are evidence wherever they meet.
    fn hand_on_answers(&mut self, to: MemberIndex, known: &Known) {
        if !self.round.clock.decrypt_over {
            return;
        }
        let me = self.config.me;
        let others = || {
            let all = self.round.partials.iter().map(|(author, answer)| (*author, *answer));
            all.filter(|(author, _)| *author != me && *author != to)
        };
        let mut lacking: Vec<_> =
            others().filter(|(author, _)| !known.partials.contains(*author)).collect();
        let beat = self.now.0 / self.config.heartbeat_ms().max(1);
        let turn = beat.checked_rem(others().count() as u64).unwrap_or_default();
        let in_turn = usize::try_from(turn).ok().and_then(|turn| others().nth(turn));
        lacking.extend(in_turn.filter(|(author, _)| known.partials.contains(*author)));
        for (author, Answer { set, object, signature }) in lacking {
            self.forward(to, author, Body::Partial { set, object }, signature);
        }
    }

    fn answer_vote(&mut self, to: MemberIndex, theirs: &Heartbeat) {
        for (decision, known) in
            [(Decision::Set, theirs.set_decided), (Decision::Outcome, theirs.outcome_decided)]
        {
            if let Some(decided) = self.decided_value(decision).filter(|_| !known) {
                self.tell(to, Body::Decided(Box::new(decided)));
            }
        }
        let Some((decision, view)) = theirs.voting else { return };
        let votes: Vec<_> = self
            .round
            .vote_on(decision)
            .cast()
            .filter(|vote| vote.view > view || vote.view == view && self.lacks(theirs, vote.kind))
            .collect();
        for vote in votes {
            self.tell(to, Body::Vote(vote));
        }
        if !theirs.has_proposal {
            self.propose_again(to, decision, view);
        }
        if decision == Decision::Set {
            self.collect_again(to, view);
        }
    }

    fn lacks(&self, theirs: &Heartbeat, kind: VoteKind) -> bool {
        let voters = match kind {
            VoteKind::Prevote => &theirs.known.prevotes,
            VoteKind::Precommit => &theirs.known.precommits,
        };
        !voters.contains(self.config.me)
    }

    /// A decision of this round with its certificate.
    pub(crate) fn decided_value(&self, decision: Decision) -> Option<Decided> {
        let certificate = self.round.vote_on(decision).decided()?.clone();
        let value = self.round.values.get(&certificate.value)?.clone();
        Some(Decided { value, certificate })
    }

    fn propose_again(&mut self, to: MemberIndex, decision: Decision, view: View) {
        let proposed = self.round.proposed.get(&decision);
        if let Some((body, signature)) =
            proposed.filter(|(at, ..)| *at == view).map(|(_, b, s)| (b.clone(), *s))
        {
            self.forward(to, self.config.me, body, signature);
        }
    }
}
