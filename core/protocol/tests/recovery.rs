//! A member asks after a start what it signed before. Member 0 of four: two others must answer.

mod fixture;

use fedshield_protocol::effect::Effect;
use fedshield_protocol::event::{Event, TimerId};
use fedshield_protocol::ids::{MemberIndex, RecordDigest, Round, SetDigest, View};
use fedshield_protocol::job::{Job, JobOutput};
use fedshield_protocol::ledger::{Tip, record_digest};
use fedshield_protocol::sign::Signature;
use fedshield_protocol::status::Phase;
use fedshield_protocol::wire::{
    Bits, Body, Decision, Heartbeat, Outcome, Signed, Statement, UpdateSet, Vote, VoteKind,
};
use fixture::bench::{Bench, NONCE, heartbeat, memory, update};
use fixture::misbehaviour::drops;
use fixture::{message, object, sign};

/// A statement with the signature of `member`, in the first round.
fn by(bench: &Bench, member: u16, statement: Statement) -> (Statement, Signature) {
    let signature = sign(&bench.manifest, Round(0), member, &statement.body());
    (statement, signature)
}

fn own(bench: &Bench, statement: Statement) -> (Statement, Signature) {
    by(bench, 0, statement)
}

/// Everything that was sent, to all members or to one.
fn bodies(effects: &[Effect]) -> Vec<Body> {
    let sent = effects.iter().filter_map(|effect| match effect {
        Effect::Gossip(bytes) | Effect::Send { bytes, .. } => Some(bytes),
        _ => None,
    });
    sent.map(|bytes| Signed::decode(bytes).unwrap().body).collect()
}

/// The members that are asked by direct message.
fn asked(effects: &[Effect]) -> Vec<u16> {
    let question = |effect: &Effect| match effect {
        Effect::Send { to, bytes } => {
            let body = Signed::decode(bytes).unwrap().body;
            (body == Body::RecoveryRequest(NONCE)).then_some(to.0)
        }
        _ => None,
    };
    effects.iter().filter_map(question).collect()
}

fn is_ready(body: &Body) -> bool {
    matches!(body, Body::Heartbeat(heartbeat) if heartbeat.ready)
}

/// No binding statement was sent, and no heartbeat that announces that the member is ready.
fn binds(effects: &[Effect]) -> bool {
    bodies(effects).iter().any(|body| match body {
        Body::Heartbeat(_) => is_ready(body),
        Body::RecoveryRequest(_)
        | Body::RecoveryResponse { .. }
        | Body::RecordsRequest(_)
        | Body::Records(_) => false,
        Body::Goodbye(_) | Body::Ping => false,
        _ => true,
    })
}

#[test]
fn it_asks_and_takes_part_when_two_have_answered() {
    let mut bench = Bench::new();
    bench.journal.clear();
    let effects = bench.boot_in_doubt();
    // By direct message, like the answers: gossip may not be connected yet.
    assert_eq!(asked(&effects), [1, 2, 3]);
    assert_eq!(bench.phase(), Phase::Recovering);
    let head = bench.machine.status().head;
    for member in [1, 2, 3] {
        assert!(!binds(&bench.receive(member, heartbeat(4, head))));
    }
    // Requests and answers get lost: it asks all members again, and each one that connects.
    let effects = bench.tick(TimerId::Heartbeat, 60_000);
    assert!(asked(&effects) == [1, 2, 3] && !binds(&effects));
    let effects = bench.handle(Event::PeerUp(MemberIndex(3)));
    assert!(asked(&effects) == [3] && !binds(&effects));
    let others = [1, 2, 3].map(MemberIndex);
    assert_eq!(bench.machine.status().waiting_for, others);

    assert!(!binds(&bench.receive(1, memory(&[]))));
    assert_eq!(bench.machine.status().waiting_for, others[1..]);
    assert_eq!(
        asked(&bench.tick(TimerId::Heartbeat, 120_000)),
        [2, 3],
        "who has answered is left alone"
    );
    assert!(!binds(&bench.receive(1, memory(&[]))), "the same member counts once");
    let effects = bench.receive(2, memory(&[]));
    assert_eq!(bench.story(&effects)[..2], ["persist ready", "send ready"]);
    assert_eq!(bench.phase(), Phase::Commit);
    assert_eq!(bench.machine.status().silent_through, None);
}

#[test]
fn what_the_journal_knows_is_nothing_new() {
    let mut bench = Bench::new();
    bench.begin();
    let contribute = |job: &Job| matches!(job, Job::Contribute { .. });
    bench.done(contribute, JobOutput::Contribution(update(0)));
    bench.tick(TimerId::Commit, 1_000);
    bench.tick(TimerId::Transfer, 2_000);
    let effects = bench.tick(TimerId::View, 60_000);
    let vote = bodies(&effects).into_iter().find_map(|body| match body {
        Body::Vote(vote) => Some(vote),
        _ => None,
    });
    let sent = [
        Statement::Ready,
        Statement::Commitment(Box::new(update(0))),
        Statement::Report(UpdateSet::default()),
        Statement::Vote(vote.expect("it has voted for nothing")),
    ];
    let sent = sent.map(|statement| own(&bench, statement));
    bench.boot_in_doubt();
    for member in [1, 2] {
        bench.receive(member, memory(&sent));
    }
    assert_eq!(
        (bench.phase(), bench.machine.status().silent_through),
        (Phase::WaitingForQuorum, None)
    );
}

/// The disk is empty, or as it was when the round began.
#[test]
fn what_the_journal_does_not_know_silences_the_round() {
    let (set, digest) = (SetDigest([1; 32]), RecordDigest([2; 32]));
    let vote =
        Vote { decision: Decision::Set, kind: VoteKind::Prevote, view: View(0), value: None };
    let lacking = [
        Statement::Ready,
        Statement::Commitment(Box::new(update(0))),
        Statement::Report(UpdateSet::default()),
        Statement::Attestation { set, aggregate: object(1) },
        Statement::Vote(vote),
        Statement::Partial { set, object: object(1) },
        Statement::RecordSignature(digest),
    ];
    for statement in lacking {
        let mut bench = Bench::new();
        if statement == Statement::Ready {
            bench.journal.clear();
        }
        bench.boot_in_doubt();
        // One honest member that knows is enough, whenever it answers.
        bench.receive(1, memory(&[]));
        let statement = own(&bench, statement);
        let mut effects = bench.receive(2, memory(&[statement]));
        effects.extend(bench.receive(3, memory(&[])));
        let head = bench.machine.status().head;
        for member in [1, 2, 3] {
            effects.extend(bench.receive(member, heartbeat(4, head)));
        }
        effects.extend(bench.tick(TimerId::Heartbeat, 60_000));
        assert!(!binds(&effects));
        let status = bench.machine.status();
        assert_eq!((status.phase, status.silent_through), (Phase::Sync, Some(Round(0))));
        assert!(bench.jobs.iter().all(|(_, job)| matches!(job, Job::MakeSealingKey { .. })));
    }
}

#[test]
fn after_a_silent_round_it_asks_about_the_next_and_shows_a_new_key() {
    let mut bench = Bench::new();
    bench.journal.clear();
    bench.boot_in_doubt();
    let statement = own(&bench, Statement::Ready);
    bench.receive(1, memory(&[statement]));
    let (_, records) = fixture::ledger();
    let last = records.len() as u64;
    let bytes = message(&bench.manifest, Round(last), 1, fixture::entries(records));
    let effects = bench.handle(Event::Message { from: MemberIndex(1), bytes });
    assert!(bodies(&effects).contains(&Body::RecoveryRequest(NONCE)) && !binds(&effects));
    let key = |job: &Job| matches!(job, Job::MakeSealingKey { round } if round.0 == last);
    let effects = bench.done(key, JobOutput::SealingKey(vec![5; 32]));
    assert!(!binds(&effects), "another key may have been shown before");
    while bench.jobs.iter().any(|(_, job)| matches!(job, Job::Settle { .. })) {
        bench.done(|job| matches!(job, Job::Settle { .. }), JobOutput::Settled);
    }
    bench.handle(Event::ObjectReady(object(7)));
    bench.done(|job| matches!(job, Job::Adopt { .. }), JobOutput::Adopted);
    // An answer about an earlier round does not count for this one.
    let old = message(&bench.manifest, Round(0), 2, memory(&[]));
    bench.handle(Event::Message { from: MemberIndex(2), bytes: old });
    bench.receive(1, memory(&[]));
    assert_eq!(bench.phase(), Phase::Recovering);
    let effects = bench.receive(2, memory(&[]));
    assert_eq!(bench.story(&effects), ["send sealing key", "persist ready", "send ready"]);
    assert_eq!(bench.machine.status().silent_through, None);
}

#[test]
fn forged_statements_and_old_responses_do_not_count() {
    let mut bench = Bench::new();
    bench.journal.clear();
    bench.boot_in_doubt();
    let forged = (Statement::Ready, Signature::default());
    let of_another = by(&bench, 3, Statement::Ready);
    for sent in [forged, of_another] {
        bench.receive(3, memory(&[sent]));
    }
    assert_eq!(drops(&bench, "recovery response: not what this member signed"), 2);
    let statement = own(&bench, Statement::Ready);
    bench.receive(
        3,
        Body::RecoveryResponse { nonce: [8; 32], statements: vec![statement], heartbeat: None },
    );
    assert_eq!(drops(&bench, "recovery response: an answer to another question"), 1);
    bench.receive(3, memory(&vec![(Statement::Ready, Signature::default()); 65]));
    assert_eq!(drops(&bench, "message: impossible content"), 1);
    assert_eq!(bench.machine.status().waiting_for.len(), 3, "none of them counts");
    bench.receive(1, memory(&[]));
    bench.receive(2, memory(&[]));
    assert_eq!(bench.phase(), Phase::WaitingForQuorum);
    bench.receive(3, memory(&[forged_statement(&bench)]));
    assert_eq!(drops(&bench, "recovery response: not recovering"), 1);
    assert_eq!(bench.machine.status().silent_through, None);
}

fn forged_statement(bench: &Bench) -> (Statement, Signature) {
    by(bench, 3, Statement::Report(UpdateSet::default()))
}

/// The heartbeat of a member in answer to one that has started.
fn answers_of(effects: &[Effect], to: u16) -> Vec<Vec<Statement>> {
    let sent = effects.iter().filter_map(|effect| match effect {
        Effect::Send { to: whom, bytes } if whom.0 == to => {
            Some(Signed::decode(bytes).unwrap().body)
        }
        _ => None,
    });
    sent.filter_map(|body| match body {
        Body::RecoveryResponse { nonce: [9, ..], statements: sent, .. } => {
            Some(sent.into_iter().map(|(statement, _)| statement).collect())
        }
        _ => None,
    })
    .collect()
}

#[test]
fn others_get_their_statements_back_and_their_presence_is_in_the_journal() {
    let mut bench = Bench::new();
    bench.begin();
    bench.receive(1, Body::Ready);
    bench.receive(1, Body::Commitment(Box::new(update(1))));
    let question = Body::RecoveryRequest([9; 32]);
    let statement = answers_of(&bench.receive(1, question.clone()), 1);
    assert_eq!(statement, [[Statement::Ready, Statement::Commitment(Box::new(update(1)))]]);
    assert_eq!(answers_of(&bench.receive(2, question.clone()), 2), [vec![]]);
    // Asking is cheaper than answering.
    assert!(answers_of(&bench.receive(1, question.clone()), 1).is_empty());
    assert_eq!(drops(&bench, "question: answered a moment ago"), 1);
    // The readiness is persisted before a heartbeat announces it, and after a restart the answer
    // is the same.
    let effects = bench.tick(TimerId::Heartbeat, 60_000);
    let own_present = |body: &Body| match body {
        Body::Heartbeat(heartbeat) => Some(heartbeat.known.present.clone()),
        _ => None,
    };
    assert_eq!(bench.story(&effects)[..2], ["persist present", "send heartbeat"]);
    let present = bodies(&effects).iter().find_map(own_present);
    assert_eq!(present, Some(Bits::of(4, [0, 1].map(MemberIndex))));
    bench.boot();
    assert_eq!(answers_of(&bench.receive(1, question), 1), [[Statement::Ready]]);
}

/// Two members that are ready but have not received this one's `Ready` could not confirm it later.
#[test]
fn a_round_begins_when_a_quorum_lists_this_member() {
    let mut bench = Bench::new();
    let head = bench.machine.status().head;
    let Body::Heartbeat(deaf) = heartbeat(4, head) else { panic!("it is a heartbeat") };
    let known = fedshield_protocol::wire::Known {
        present: Bits::of(4, [1, 2].map(MemberIndex)),
        ..deaf.known.clone()
    };
    for member in [1, 2, 3] {
        let deaf = Heartbeat { known: known.clone(), ..deaf.as_ref().clone() };
        // It sends its `Ready` again to whoever lacks it.
        let effects = bench.receive(member, Body::Heartbeat(Box::new(deaf)));
        assert!(bodies(&effects).contains(&Body::Ready));
    }
    assert_eq!(bench.phase(), Phase::WaitingForQuorum);
    bench.begin();
}

#[test]
fn a_signed_record_is_remembered() {
    let mut bench = Bench::new();
    let record = Tip::start(&bench.manifest).record(&bench.manifest, Outcome::Skipped, None, None);
    let note = fedshield_protocol::wire::journal::Note::Signed(Box::new(record.clone()));
    let entry = fedshield_protocol::wire::journal::Entry::new(Round(0), note);
    bench.journal.push(entry.encode().unwrap());
    bench.boot_in_doubt();
    let statement = own(&bench, Statement::RecordSignature(record_digest(&record)));
    bench.receive(1, memory(&[statement]));
    let effects = bench.receive(2, memory(&[]));
    // Stating what the journal holds needs no other member and no repeated work.
    assert_eq!(bench.story(&effects), ["send record signature"]);
    assert_eq!(bench.phase(), Phase::Record);
    assert!(bench.machine.status().members[0].signed);
}
