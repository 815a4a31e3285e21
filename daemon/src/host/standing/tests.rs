use fedshield_protocol::ids::{Epoch, IdentityKey, RecordDigest, Round, View};
use fedshield_protocol::status::{Activity, Attendance, MemberStatus, Wait};

use super::*;

/// 2026-11-27 22:40:00 UTC.
const NOW: u64 = 1_795_819_200;

/// The third round at the first of four members, all of them present, waiting for the last.
fn machine() -> Status {
    let member = MemberStatus {
        reachable: true,
        round: Some(Round(2)),
        here: true,
        ..MemberStatus::default()
    };
    Status {
        epoch: Epoch(0),
        round: Round(2),
        phase: Phase::Commit,
        activity: Activity::Commit,
        view: View(0),
        applied: 2,
        stopped: None,
        adapter: None,
        head: RecordDigest([3; 32]),
        committee: vec![],
        proposer: None,
        members: vec![member; 4],
        silent_through: None,
        journal_round: None,
        failed_rounds: FailedRounds::default(),
        waiting_for: vec![MemberIndex(3)],
        wait: Some(Wait { here: 3, enough: 3, of: 4, until: Some(Time(268_000)) }),
        attendance: attendance(4),
        paused: false,
        banned: vec![],
        dropped: [].into(),
    }
}

fn attendance(here: u16) -> Attendance {
    Attendance { here, quorum: 3, contributors: here, min_contributors: 3 }
}

/// Without the members at these positions.
fn without(mut machine: Status, gone: &[(usize, Option<Leave>)]) -> Status {
    for (position, why) in gone {
        machine.members[*position].here = false;
        machine.members[*position].left = *why;
    }
    machine.attendance = attendance(4 - gone.len() as u16);
    machine
}

fn standing() -> (Standing, watch::Receiver<NodeStatus>) {
    let mut status = NodeStatus::starting("a", IdentityKey([1; 32]));
    status.state = NodeState::Active;
    let (sender, receiver) = watch::channel(status);
    let names = ["alpha", "beta", "gamma", "delta"].map(str::to_owned).to_vec();
    (Standing::new(names, MemberIndex(0), Arc::new(sender)), receiver)
}

fn shown(receiver: &watch::Receiver<NodeStatus>) -> Vec<(String, Severity, String)> {
    let status = receiver.borrow();
    let all = status.conditions.iter();
    all.map(|it| (it.name.clone(), it.severity, it.message.clone())).collect()
}

#[test]
fn a_full_federation_has_nothing_to_say_but_what_it_waits_for() {
    let (mut standing, receiver) = standing();
    standing.publish(machine(), Time(0), NOW);
    assert_eq!(shown(&receiver), []);
    let waiting = receiver.borrow().waiting.clone().unwrap();
    assert_eq!(
        (waiting.text.as_str(), waiting.until_unix_s),
        ("3 of 4 are enough", Some(NOW + 268))
    );
    assert!(waiting.can_go_on);
    // At the next check the end does not move with the rounding of clocks.
    standing.refresh(Time(1_900), NOW + 1);
    assert_eq!(receiver.borrow().waiting.clone().unwrap(), waiting);
}

#[test]
fn one_absent_member_is_a_notice_and_two_are_no_quorum() {
    let (mut standing, receiver) = standing();
    standing.publish(without(machine(), &[(3, Some(Leave::Stopped))]), Time(0), NOW);
    let text = "absent: delta (stopped since 2026-11-27 22:40:00 UTC)".to_owned();
    assert_eq!(shown(&receiver), [("members-away".to_owned(), Severity::Notice, text)]);
    assert!(receiver.borrow().can_take_part());

    let two = without(machine(), &[(2, None), (3, Some(Leave::Stopped))]);
    standing.publish(two, Time(9_000), NOW + 9);
    let text = "no quorum: 2 of 3 needed; missing gamma (no messages since 2026-11-27 22:40:09 \
                UTC), delta (stopped since 2026-11-27 22:40:00 UTC)";
    assert_eq!(shown(&receiver), [("no-quorum".to_owned(), Severity::Blocking, text.to_owned())]);
    let waiting = receiver.borrow().waiting.clone().unwrap();
    assert_eq!((waiting.text.as_str(), waiting.until_unix_s), ("no quorum: 2 of 3 needed", None));
    assert!(!waiting.can_go_on && !receiver.borrow().can_take_part());

    standing.publish(machine(), Time(10_000), NOW + 10);
    assert_eq!(shown(&receiver), []);
}

#[test]
fn three_members_need_all_updates_for_a_sum() {
    let (mut standing, receiver) = standing();
    let mut machine = without(machine(), &[(3, None)]);
    machine.attendance = Attendance { here: 2, quorum: 2, contributors: 2, min_contributors: 3 };
    standing.publish(machine, Time(0), NOW);
    let [(name, severity, text)] = &shown(&receiver)[..] else { panic!() };
    assert_eq!((name.as_str(), *severity), ("too-few-contributors", Severity::Blocking));
    assert!(text.starts_with("too few members for a sum: 2 of 3 needed; missing delta"), "{text}");
    let waiting = receiver.borrow().waiting.clone().unwrap();
    assert_eq!(waiting.text, "too few for a sum: 2 of 3 needed");
    assert_eq!(waiting.until_unix_s, Some(NOW + 268), "then the round is skipped");
}

/// Bans never stop a federation silently: the condition names who is banned and how to continue.
#[test]
fn members_that_were_banned_are_named_and_so_is_the_way_out_when_too_few_are_left() {
    let (mut standing, receiver) = standing();
    let mut banned = machine();
    banned.banned = vec![MemberIndex(3)];
    banned.attendance.contributors = 3;
    standing.publish(banned.clone(), Time(0), NOW);
    let [(name, severity, text)] = &shown(&receiver)[..] else { panic!() };
    assert_eq!((name.as_str(), *severity), ("members-banned", Severity::Warning));
    assert!(text.starts_with("banned for proven misbehaviour: delta;"), "{text}");
    assert!(receiver.borrow().can_take_part());
    let mut few = without(banned, &[(2, Some(Leave::Stopped))]);
    few.attendance = Attendance { here: 3, quorum: 3, contributors: 2, min_contributors: 3 };
    standing.publish(few, Time(1_000), NOW + 1);
    let conditions = receiver.borrow().conditions.clone();
    let few = conditions.iter().find(|it| it.name == "too-few-contributors").unwrap();
    assert!(few.message.ends_with("banned for proven misbehaviour: delta"), "{}", few.message);
    assert!(few.message.contains("missing gamma (stopped"), "{}", few.message);
    assert!(few.hint.as_ref().unwrap().contains("evidence lift NAME"));
}

#[test]
fn a_pause_says_since_when_by_whom_and_from_which_round_on() {
    let (mut standing, receiver) = standing();
    let by = Some("ada".to_owned());
    standing.set_pause(Some(Pause { since_unix_s: NOW - 60, by, after_round: None }));
    standing.publish(Status { paused: true, ..machine() }, Time(0), NOW);
    assert_eq!(standing.pause().unwrap().after_round, Some(Round(2)));
    let [(_, severity, text)] = &shown(&receiver)[..] else { panic!() };
    assert_eq!(*severity, Severity::Notice);
    assert!(
        text.starts_with("pauses after round 2") && text.ends_with("22:39:00 UTC by ada"),
        "{text}"
    );
    assert_eq!(receiver.borrow().state, NodeState::Active);

    let mut paused = Status { phase: Phase::Paused, paused: true, ..machine() };
    paused.members[0].left = Some(Leave::Paused);
    standing.publish(paused, Time(1_000), NOW + 1);
    let text = "paused since 2026-11-27 22:39:00 UTC by ada".to_owned();
    assert_eq!(shown(&receiver), [("paused".to_owned(), Severity::Blocking, text)]);
    assert_eq!(receiver.borrow().state, NodeState::Paused);
    assert_eq!(receiver.borrow().pause.as_ref().unwrap().after_round, None);

    standing.set_pause(None);
    standing.publish(machine(), Time(2_000), NOW + 2);
    assert_eq!((shown(&receiver), receiver.borrow().state), (vec![], NodeState::Active));
}

/// The message appears though nothing happens, because the standing is checked each second.
#[test]
fn a_recovery_of_more_than_a_minute_is_trouble_whatever_it_hangs_on() {
    let recovering = Status {
        phase: Phase::Recovering,
        waiting_for: vec![MemberIndex(1), MemberIndex(2)],
        wait: Some(Wait { here: 1, enough: 2, of: 3, until: None }),
        ..machine()
    };
    let sync = Status { phase: Phase::Sync, waiting_for: vec![], wait: None, ..machine() };
    let mut behind = machine();
    for member in [1, 2] {
        behind.members[member].round = Some(Round(9));
    }
    for (machine, words) in [
        (recovering, "1 of 2 needed answers are here; none yet from beta, gamma"),
        (sync, "the adapter that round 2 starts from is not here yet"),
        (behind, "in round 2, the others are in round 9"),
    ] {
        let (mut standing, receiver) = standing();
        standing.publish(machine.clone(), Time(5_000), NOW);
        assert_eq!(shown(&receiver), [], "each round ends with a short one");
        standing.refresh(Time(20_000), NOW + 15);
        assert_eq!(shown(&receiver)[0].1, Severity::Notice);
        // A step forward is progress, not the end of it.
        standing.publish(Status { applied: 3, ..machine }, Time(40_000), NOW + 35);
        standing.refresh(Time(65_000), NOW + 60);
        let [(name, severity, text)] = &shown(&receiver)[..] else { panic!() };
        assert_eq!((name.as_str(), *severity), ("recovering", Severity::Blocking));
        assert!(text.contains(words), "{text}");
        standing.publish(self::machine(), Time(66_000), NOW + 61);
        assert_eq!(shown(&receiver), []);
    }
}

/// One member that claims to be in a much later round must not make the others unfit.
#[test]
fn one_member_far_ahead_is_not_believed() {
    let (mut standing, receiver) = standing();
    let mut machine = machine();
    machine.members[1].round = Some(Round(1_000_000));
    standing.publish(machine, Time(0), NOW);
    standing.refresh(Time(600_000), NOW + 600);
    assert_eq!(shown(&receiver), []);
}

#[test]
fn a_silent_node_says_through_which_round_and_a_done_one_says_nothing() {
    let (mut standing, receiver) = standing();
    let mut machine = Status { phase: Phase::Sync, silent_through: Some(Round(4)), ..machine() };
    standing.publish(machine.clone(), Time(0), NOW);
    standing.refresh(Time(600_000), NOW + 600);
    let text = "sits out rounds up to 4: its journal lacks what it has signed".to_owned();
    assert_eq!(shown(&receiver), [("silent".to_owned(), Severity::Blocking, text)]);
    machine = without(machine, &[(1, None), (2, None), (3, None)]);
    machine.phase = Phase::Done;
    standing.publish(machine, Time(601_000), NOW + 601);
    assert_eq!((shown(&receiver), receiver.borrow().waiting.clone()), (vec![], None));
}
