//! Four agreements in one process; a list of messages stands in for their callers.

use std::collections::BTreeSet;

use super::*;
use crate::ids::{Beacon, Epoch, Round, ValueDigest};
use crate::wire::Value;

const RULES: Rules = Rules {
    member_count: 4,
    max_faulty: 1,
    quorum: 3,
    threshold: 3,
    min_contributors: 3,
    committee_size: 3,
    #[cfg(feature = "planted-bugs")]
    vote_by_holding: false,
};

fn election() -> Election {
    Election::draw(&Beacon([1; 32]), Epoch(0), Round(0), 4, 3)
}

fn validity(candidate: Option<ValueDigest>) -> ValueValidity {
    let values: BTreeSet<ValueDigest> = [Value::Skip.id(), Value::Void.id()].into_iter().collect();
    ValueValidity {
        known: values.clone(),
        valid: values.clone(),
        valid_with_polka: values,
        candidate,
    }
}

fn member(index: u16) -> Agreement {
    let mut agreement =
        Agreement::new(Decision::Set, MemberIndex(index), &RULES, VotingState::default());
    agreement.start();
    agreement
}

fn run(agreement: &mut Agreement, candidate: Option<ValueDigest>) -> Vec<Action> {
    std::iter::from_fn(|| agreement.poll(&election(), &validity(candidate))).collect()
}

fn vote(kind: VoteKind, view: u32, value: Option<ValueDigest>) -> Vote {
    Vote { decision: Decision::Set, kind, view: View(view), value }
}

fn receive(agreement: &mut Agreement, from: &[u16], vote: &Vote) {
    for member in from {
        assert_eq!(agreement.vote(MemberIndex(*member), vote, Signature::default()), None);
    }
}

fn skip() -> ValueDigest {
    Value::Skip.id()
}

#[test]
fn a_proposal_a_quorum_of_prevotes_and_of_precommits_decide() {
    let mut agreement = member(0);
    run(&mut agreement, None);
    agreement.on_proposal(View(0), skip(), None);
    let prevote = vote(VoteKind::Prevote, 0, Some(skip()));
    assert_eq!(run(&mut agreement, None), [Action::Vote(prevote)]);
    receive(&mut agreement, &[0, 1, 2], &prevote);
    let precommit = vote(VoteKind::Precommit, 0, Some(skip()));
    assert_eq!(run(&mut agreement, None), [Action::Vote(precommit)]);
    assert_eq!(agreement.state().locked.as_ref().map(|lock| lock.votes.len()), Some(3));
    receive(&mut agreement, &[0, 1], &precommit);
    assert_eq!(run(&mut agreement, None), []);
    receive(&mut agreement, &[3], &precommit);
    assert_eq!(run(&mut agreement, None), [Action::Decide]);
    assert_eq!(agreement.decided().map(|c| (c.value, c.votes.len())), Some((skip(), 3)));
}

#[test]
fn the_proposer_proposes_once_also_after_a_restart() {
    let proposer = election().proposer(View(0));
    let mut agreement = member(proposer.0);
    let actions = run(&mut agreement, Some(skip()));
    assert!(matches!(actions.as_slice(), [Action::Timer(..), Action::Propose { .. }]));
    let mut again = Agreement::new(Decision::Set, proposer, &RULES, agreement.state().clone());
    again.start();
    assert!(matches!(run(&mut again, Some(skip())).as_slice(), [Action::Timer(..)]));
}

#[test]
fn a_silent_proposer_costs_one_view() {
    let mut agreement = member(0);
    run(&mut agreement, None);
    agreement.timeout();
    assert_eq!(run(&mut agreement, None), [Action::Vote(vote(VoteKind::Prevote, 0, None))]);
    receive(&mut agreement, &[0, 1, 2], &vote(VoteKind::Prevote, 0, None));
    assert_eq!(run(&mut agreement, None), [Action::Vote(vote(VoteKind::Precommit, 0, None))]);
    receive(&mut agreement, &[0, 1, 2], &vote(VoteKind::Precommit, 0, None));
    assert_eq!(run(&mut agreement, None), [Action::Timer(Wait::Precommits, View(0))]);
    agreement.timeout();
    assert_eq!(run(&mut agreement, None), [Action::Timer(Wait::Proposal, View(1))]);
    assert_eq!(agreement.view(), View(1));
}

#[test]
fn votes_that_can_make_no_quorum_any_more_are_not_waited_for() {
    let mut agreement = member(0);
    run(&mut agreement, None);
    agreement.on_proposal(View(0), skip(), None);
    run(&mut agreement, None);
    receive(&mut agreement, &[0, 1], &vote(VoteKind::Prevote, 0, Some(skip())));
    receive(&mut agreement, &[2], &vote(VoteKind::Prevote, 0, None));
    assert_eq!(run(&mut agreement, None), [Action::Timer(Wait::Prevotes, View(0))]);
    agreement.give_up_on_votes(4);
    assert_eq!(run(&mut agreement, None), [], "the last one can still make a quorum");
    receive(&mut agreement, &[3], &vote(VoteKind::Prevote, 0, None));
    agreement.give_up_on_votes(4);
    assert_eq!(run(&mut agreement, None), [Action::Vote(vote(VoteKind::Precommit, 0, None))]);
    receive(&mut agreement, &[0, 1, 2], &vote(VoteKind::Precommit, 0, None));
    assert_eq!(run(&mut agreement, None), [Action::Timer(Wait::Precommits, View(0))]);
    agreement.give_up_on_votes(4);
    assert_eq!(run(&mut agreement, None), [Action::Timer(Wait::Proposal, View(1))]);
}

/// A member that is locked in view 0.
fn locked() -> Agreement {
    let mut agreement = member(0);
    run(&mut agreement, None);
    agreement.on_proposal(View(0), skip(), None);
    run(&mut agreement, None);
    receive(&mut agreement, &[0, 1, 2], &vote(VoteKind::Prevote, 0, Some(skip())));
    run(&mut agreement, None);
    receive(&mut agreement, &[1, 2], &vote(VoteKind::Prevote, 1, None));
    run(&mut agreement, None);
    assert_eq!(agreement.view(), View(1));
    agreement
}

#[test]
fn a_lock_holds_until_a_later_quorum() {
    let other = Value::Void.id();
    let mut agreement = locked();
    agreement.on_proposal(View(1), other, None);
    assert_eq!(run(&mut agreement, None), [Action::Vote(vote(VoteKind::Prevote, 1, None))]);
    let mut agreement = locked();
    agreement.on_proposal(View(1), skip(), None);
    let prevote = vote(VoteKind::Prevote, 1, Some(skip()));
    assert_eq!(run(&mut agreement, None), [Action::Vote(prevote)]);
    let mut agreement = locked();
    agreement.on_proposal(View(1), other, Some(View(0)));
    let prevote = vote(VoteKind::Prevote, 1, Some(other));
    assert_eq!(run(&mut agreement, None), [Action::Vote(prevote)]);
}

#[test]
fn a_lock_survives_a_restart() {
    let before = locked();
    let mut after = Agreement::new(Decision::Set, MemberIndex(0), &RULES, before.state().clone());
    after.start();
    after.on_proposal(View(1), Value::Void.id(), None);
    let actions = run(&mut after, None);
    assert!(actions.contains(&Action::Vote(vote(VoteKind::Prevote, 1, None))), "{actions:?}");
}

#[test]
fn a_member_that_falls_behind_votes_nil_where_others_may_wait() {
    let mut agreement = member(0);
    run(&mut agreement, None);
    receive(&mut agreement, &[1], &vote(VoteKind::Prevote, 9, None));
    assert_eq!(run(&mut agreement, None), [], "one member alone moves nobody");
    receive(&mut agreement, &[2], &vote(VoteKind::Prevote, 7, None));
    let actions = run(&mut agreement, None);
    let nil = |kind| Action::Vote(vote(kind, 6, None));
    let expected =
        [nil(VoteKind::Prevote), nil(VoteKind::Precommit), Action::Timer(Wait::Proposal, View(7))];
    assert_eq!(actions, expected);
}

#[test]
fn two_votes_of_one_member_are_a_conflict_and_the_first_counts() {
    let mut agreement = member(0);
    receive(&mut agreement, &[1], &vote(VoteKind::Prevote, 0, None));
    let second = vote(VoteKind::Prevote, 0, Some(skip()));
    let conflict = agreement.vote(MemberIndex(1), &second, Signature::default()).unwrap();
    assert_eq!((conflict.first.0.value, conflict.second.0.value), (None, Some(skip())));
    assert_eq!(agreement.voters(VoteKind::Prevote), [MemberIndex(1)]);
}

#[test]
fn a_decision_is_taken_over_with_its_certificate() {
    let mut agreement = member(0);
    let certificate = Certificate {
        decision: Decision::Set,
        kind: VoteKind::Precommit,
        view: View(4),
        value: skip(),
        votes: Vec::new(),
    };
    agreement.adopt(certificate.clone());
    assert_eq!(run(&mut agreement, None), [Action::Decide]);
    assert!(agreement.is_settled());
    assert_eq!(agreement.decided(), Some(&certificate));
}
