use fedshield_protocol::failed_rounds::FailedRounds;
use fedshield_protocol::ids::{Digest, Epoch, IdentityKey, RecordDigest, Round, View};
use fedshield_protocol::status::{Activity, Attendance, MemberStatus, Phase};
use fedshield_protocol::wire::Leave;
use fedshieldd::control::api::{Condition, MemberTransport, TransportKind, Waiting};

use super::round::phase;
use super::*;

#[test]
fn a_measured_loss_stands_against_the_base_model() {
    let mut held_out = HeldOut {
        round: Round(7),
        loss: 2.4527,
        base: None,
        examples: 64,
        tokens: 3000,
        sample: None,
    };
    assert_eq!(held_out_text(&held_out), "2.4527 after round 7");
    held_out.base = Some(8.0623);
    let text = "2.4527 after round 7 (-69.6% against the base model's 8.0623)";
    assert_eq!(held_out_text(&held_out), text);
}

#[test]
fn what_is_made_at_home_is_shown_with_the_reason_where_it_is_not() {
    let text = |state, reason: Option<&str>| {
        at_home_text(&AtHome { state, reason: reason.map(str::to_owned) }, Colours::none())
    };
    assert!(text(AtHomeState::Running, None).contains("training on"));
    assert!(text(AtHomeState::Done, None).contains("export --which best"));
    let off = text(AtHomeState::Off, Some("`training.personal` is false"));
    assert!(off.starts_with("off") && off.ends_with("(`training.personal` is false)"), "{off}");
    let failed = text(AtHomeState::Failed, Some("no held-out data\u{1b}[2J"));
    assert!(failed.contains("fedshield-cli compare") && !failed.contains('\u{1b}'), "{failed}");
}

/// A round that waits for one of its members.
fn waits() -> NodeStatus {
    let member = MemberStatus { here: true, ..MemberStatus::default() };
    let machine = Status {
        epoch: Epoch(0),
        round: Round(4),
        phase: Phase::Commit,
        activity: Activity::Commit,
        view: View(0),
        applied: 4,
        stopped: None,
        adapter: None,
        head: RecordDigest([0; 32]),
        committee: vec![],
        proposer: None,
        members: vec![member],
        silent_through: None,
        journal_round: None,
        failed_rounds: FailedRounds::default(),
        waiting_for: vec![MemberIndex(0)],
        wait: None,
        attendance: Attendance::default(),
        paused: false,
        banned: vec![],
        dropped: [].into(),
    };
    let waiting = Waiting {
        text: "3 of 4 are enough".into(),
        until_unix_s: Some(22 * 3600 + 44 * 60 + 28),
        can_go_on: true,
    };
    NodeStatus {
        machine: Some(machine),
        waiting: Some(waiting),
        ..NodeStatus::starting("a", IdentityKey([1; 32]))
    }
}

#[test]
fn a_wait_says_for_whom_how_many_are_enough_and_until_when() {
    let mut status = waits();
    let text = "member 0: 3 of 4 are enough, until 22:44:28 UTC at most";
    assert!(one_line(&status).ends_with(&format!(", waiting for {text}")));
    let page = |status: &NodeStatus| {
        let pace = Pace { head: None, round_seconds: Some(60.0) };
        render(status, &pace, Colours::none())
    };
    let federation = fedshieldd::control::api::FederationSummary {
        id: None,
        founding_id: Digest([2; 32]),
        name: "trial".into(),
        epoch: Epoch(0),
        manifest_digest: None,
        members: vec!["delta".into()],
        self_index: None,
        rounds: 8,
        signed: vec![],
        phrase: None,
    };
    status.federation = Some(federation);
    let shown = page(&status);
    assert!(shown.contains("delta: 3 of 4 are enough, until 22:44:28 UTC at most"), "{shown}");
    assert!(shown.contains("about 4 min 00 s to go"), "{shown}");
    assert!(!shown.contains("post-quantum"), "{shown}");
    let tcp = MemberTransport { transport: TransportKind::Tcp, post_quantum: false };
    status.transports = [("delta".to_owned(), tcp)].into();
    assert!(page(&status).contains("tcp (not post-quantum)"), "{shown}");

    // Without a quorum there is no estimate.
    let text = "no quorum: 2 of 3 needed";
    let condition = Condition::new("no-quorum", Severity::Blocking, text);
    status.conditions = vec![condition];
    status.waiting = Some(Waiting { text: text.into(), until_unix_s: None, can_go_on: false });
    let shown = page(&status);
    assert!(shown.contains("delta: no quorum: 2 of 3 needed"), "{shown}");
    assert!(!shown.contains("to go") && !shown.contains("at most"), "{shown}");
    status.conditions.clear();
    assert!(!page(&status).contains("to go"));
}

#[test]
fn an_absent_member_is_shown_with_the_reason() {
    let mut status = waits();
    for (left, text) in [
        (Some(Leave::Stopped), "stopped"),
        (Some(Leave::Paused), "paused"),
        (Some(Leave::SitsOut), "sits out"),
        (Some(Leave::CatchesUp), "catches up"),
        (None, "no messages"),
    ] {
        let machine = status.machine.as_mut().unwrap();
        machine.members[0] = MemberStatus { left, ..MemberStatus::default() };
        let shown = render(&status, &Pace::default(), Colours::none());
        assert!(shown.contains(text), "{shown}");
    }
}

#[test]
fn recovery_and_silence_are_shown_in_words() {
    let machine = Status {
        epoch: Epoch(0),
        round: Round(4),
        phase: Phase::Recovering,
        activity: Activity::Recovering,
        view: View(0),
        applied: 4,
        stopped: None,
        adapter: None,
        head: RecordDigest([0; 32]),
        committee: vec![],
        proposer: None,
        members: vec![],
        silent_through: None,
        journal_round: None,
        failed_rounds: FailedRounds::default(),
        waiting_for: vec![],
        wait: None,
        attendance: Attendance::default(),
        paused: false,
        banned: vec![],
        dropped: [].into(),
    };
    let colours = Colours::none();
    let asking = "recovering: asking the others what this node signed before it started";
    assert_eq!(phase(&machine, colours), asking);
    let mut status = NodeStatus::starting("a", IdentityKey([1; 32]));
    status.machine = Some(Status {
        phase: Phase::Sync,
        activity: Activity::Sync,
        silent_through: Some(Round(4)),
        ..machine
    });
    let text = render(&status, &Pace::default(), colours);
    assert!(text.contains("through round 4: the journal lacks"), "{text}");
    assert!(one_line(&status).ends_with("sync, silent through round 4"));
}

#[test]
fn progress_shows_what_is_known_and_no_more() {
    let mut progress = WorkProgress {
        phase: "train".into(),
        step: 7,
        steps: 10,
        loss: Some(2.345_67),
        tokens_per_second: Some(812.4),
        fraction: 0.7,
    };
    assert_eq!(progress_text(&progress), "train 7/10, loss 2.3457, 812 tokens/s");
    progress = WorkProgress { steps: 0, loss: None, tokens_per_second: None, ..progress };
    assert_eq!(progress_text(&progress), "train 70%");
}
