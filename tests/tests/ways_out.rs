//! The ways out, with real daemons and the command line.

use std::time::Duration;

use fedshield_tests::{Federation, Program, Terms, phrase_of};
use fedshieldd::control::api::{ErrorCode, LeftView, NodeState};

const OWNER: usize = 0;

fn state_of(federation: &mut Federation, member: usize, wanted: NodeState) {
    federation.wait_until("a node is in that state", |daemons| {
        daemons[member].status().is_some_and(|status| status.state == wanted)
    });
}

/// Whether a node shows the condition of this name, with these words in it.
fn says(federation: &mut Federation, member: usize, name: &str, words: &str) {
    federation.wait_until("a node says so", |daemons| {
        daemons[member].status().is_some_and(|status| {
            let mut conditions = status.conditions.iter();
            conditions.any(|it| it.name == name && it.message.contains(words))
        })
    });
}

#[test]
fn a_founder_that_never_comes_back_costs_the_others_one_command() {
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let mut federation = Federation::start(&program, 4, |_| None);
    let terms = Terms { members: 4, rounds: 1, ..Terms::default() };
    federation.new_draft(&terms);
    for joiner in 1..4 {
        federation.join(joiner);
    }
    let homes: Vec<_> = federation.daemons.iter().map(|it| it.home.clone()).collect();
    let bad = federation.folder().join("bad.txt");
    std::fs::write(&bad, "# ours\nm1 m1\n").expect("it can be written");
    let expect = bad.display().to_string();
    let run = program.run(&homes[OWNER], ["federation", "found", "--expect", &expect]);
    run.fails(ErrorCode::InvalidRequest.exit_code(), &["line 2 does not begin", "identity"]);
    program.run(&homes[3], ["stop"]).ok();
    assert_eq!(federation.daemons[3].wait(), Some(0));
    federation.freeze();
    says(&mut federation, OWNER, "founding-waits", "m3");
    says(&mut federation, 1, "founding-waits", "waits for m3 to confirm the list");
    let status = program.run(&homes[1], ["status"]).ok();
    assert!(status.contains("not yet: m3"), "{status}");
    // The others cannot be had for anything else, and are told how they can.
    let run = program.run(&homes[1], ["federation", "new", "--name", "other"]);
    run.fails(ErrorCode::AlreadyInFederation.exit_code(), &["federation leave"]);
    program
        .run(&homes[1], ["federation", "drop", "m3"])
        .fails(ErrorCode::NotOwner.exit_code(), &[]);
    let wrong = program.run(&homes[OWNER], ["federation", "drop", "m7"]);
    wrong.fails(ErrorCode::InvalidRequest.exit_code(), &["m7", "m1, m2, m3"]);
    let dropped = program.run(&homes[OWNER], ["federation", "drop", "m3"]).ok();
    assert!(dropped.contains("the draft is open again"), "{dropped}");
    federation.wait_until("the others have come back", |daemons| {
        let members = daemons[OWNER].status().and_then(|status| status.federation);
        members.is_some_and(|federation| federation.members.len() == 3)
    });
    // The list is not the expected one now: no node confirms it without its operator.
    federation.freeze_and_confirm(&[0, 1]);
    says(&mut federation, 2, "list-differs", "m3 is expected and not in the list");
    says(&mut federation, 2, "list-unconfirmed", "waits for this node's operator");
    let bare = program.run(&homes[2], ["federation", "confirm"]);
    bare.fails(ErrorCode::InvalidRequest.exit_code(), &["nobody is here", "--phrase"]);
    let wrong = program.run(&homes[2], ["federation", "confirm", "--phrase", "abandon"]);
    wrong.fails(ErrorCode::ListMismatch.exit_code(), &["24 words"]);
    let phrase = phrase_of(&federation.daemons[2]).expect("it is shown the list");
    program.run(&homes[2], ["federation", "confirm", "--phrase", &phrase]).ok();
    federation.wait_until("all rounds are done", |daemons| {
        let states = daemons[..3].iter().map(|daemon| daemon.status().map(|it| it.state));
        states.into_iter().all(|state| state == Some(NodeState::Done))
    });
    let late = program.run(&homes[1], ["federation", "leave", "--yes"]);
    late.fails(ErrorCode::WrongState.exit_code(), &["finished rounds"]);
}

#[test]
fn a_draft_that_is_abandoned_and_a_federation_without_a_round_are_left_by_running_daemons() {
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let mut federation = Federation::start(&program, 3, |_| None);
    let homes: Vec<_> = federation.daemons.iter().map(|it| it.home.clone()).collect();
    let typo = ["federation", "new", "--name", "t", "--template", "foo"];
    let run = program.run(&homes[OWNER], typo);
    run.fails(ErrorCode::InvalidRequest.exit_code(), &["training.template", "foo", "alpaca"]);
    let typo = ["federation", "new", "--name", "t", "--target-modules", "q_prj"];
    let run = program.run(&homes[OWNER], typo);
    run.fails(ErrorCode::InvalidRequest.exit_code(), &["q_prj", "q_proj"]);
    // A first round that takes longer than any test.
    let new = ["federation", "new", "--name", "test", "--members", "3", "--steps", "900000"];
    let long = |federation: &mut Federation| {
        let run = program.run(&homes[OWNER], new);
        assert!(run.err.contains("--steps) is 900000"), "{}", run.err);
        run.ok();
        federation.join(1);
        federation.join(2);
    };
    long(&mut federation);
    program.run(&homes[OWNER], ["federation", "abandon", "--yes"]).ok();
    for joiner in [1, 2] {
        says(&mut federation, joiner, "draft-abandoned", "m0 has abandoned the draft `test`");
        state_of(&mut federation, joiner, NodeState::Idle);
    }
    long(&mut federation);
    federation.freeze();
    for member in 0..3 {
        state_of(&mut federation, member, NodeState::Active);
    }
    let run = program.run(&homes[1], ["federation", "leave", "--yes", "--json"]).ok();
    let left: LeftView = serde_json::from_str(&run).expect("it is a view");
    assert!(left.was_founded && left.had_signed);
    federation.daemons[1].wait_for_log(&["starting anew"], Duration::from_secs(60));
    state_of(&mut federation, 1, NodeState::Idle);
    assert!(!homes[1].join("manifest.signed").exists());
    program.run(&homes[1], ["federation", "new", "--name", "next"]).ok();
    program.run(&homes[1], ["invite", "--quiet"]).ok();
}
