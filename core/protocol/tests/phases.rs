//! One machine, phase by phase: its inputs, and the effects that must follow in order. The test
//! signs the other members' messages.

mod fixture;

use fedshield_protocol::effect::Effect;
use fedshield_protocol::event::{Event, TimerId};
use fedshield_protocol::failed_rounds::FailureReason;
use fedshield_protocol::ids::{MemberIndex, RecordDigest, Round, View};
use fedshield_protocol::job::{Fate, Job, JobOutput};
use fedshield_protocol::ledger::{Tip, record_digest};
use fedshield_protocol::status::Phase;
use fedshield_protocol::wire::journal::{Entry, Note};
use fedshield_protocol::wire::{Body, Decided, Outcome, Proposal, UpdateSet, Value};
use fixture::bench::{Bench, commitment_digest, heartbeat, update};
use fixture::{certificate, message, object};

#[test]
fn gather_waits_for_a_quorum() {
    let mut bench = Bench::new();
    let head = bench.machine.status().head;
    bench.receive(1, heartbeat(4, head));
    assert_eq!(bench.phase(), Phase::WaitingForQuorum);
    assert_eq!(bench.machine.status().waiting_for, [MemberIndex(2), MemberIndex(3)]);
    bench.receive(2, heartbeat(4, head));
    assert_eq!(bench.phase(), Phase::Commit);
    let contributes = |(_, job): &(_, Job)| matches!(job, Job::Contribute { .. });
    assert!(bench.jobs.iter().any(contributes));
}

#[test]
fn a_commitment_is_persisted_before_it_is_sent_and_survives_a_restart() {
    let mut bench = Bench::new();
    bench.begin();
    let contribute = |job: &Job| matches!(job, Job::Contribute { .. });
    let effects = bench.done(contribute, JobOutput::Contribution(update(0)));
    assert_eq!(bench.story(&effects)[..2], ["persist commitment", "send commitment"]);
    let effects = bench.boot();
    let served = effects.iter().filter(|e| matches!(e, Effect::Serve { .. })).count();
    assert_eq!(served, 5, "the ciphertext and four sealed shares");
    bench.begin();
    assert!(!bench.jobs.iter().any(|(_, job)| contribute(job)), "nothing is encrypted twice");
    // A member that lacks the commitment gets it from its contributor.
    bench.now += 200;
    let head = bench.machine.status().head;
    let effects = bench.receive(3, heartbeat(4, head));
    let sent = effects.iter().any(|effect| match effect {
        Effect::Send { to, bytes } => {
            *to == MemberIndex(3) && bench.body(bytes) == Body::Commitment(Box::new(update(0)))
        }
        _ => false,
    });
    assert!(sent);
}

#[test]
fn transfer_tests_the_own_share_and_complains_about_a_bad_one() {
    let mut bench = Bench::new();
    bench.begin();
    let effects = bench.receive(1, Body::Commitment(Box::new(update(1))));
    let own_share = update(1).sealed_shares[0].unwrap();
    let fetched = |e: &Effect| matches!(e, Effect::Fetch { object, .. } if *object == own_share);
    assert!(effects.iter().any(fetched));
    bench.handle(Event::ObjectReady(own_share));
    let check = |job: &Job| matches!(job, Job::CheckShare { .. });
    let effects = bench.done(check, JobOutput::Checked { valid: false });
    let asked = |e: &Effect| matches!(e, Effect::Send { to: MemberIndex(1), bytes } if bench.body(bytes).kind() == "complaint");
    assert!(effects.iter().any(asked), "the dealer alone");
    assert!(!bench.machine.status().members[1].share_valid);
    let answer = Body::ShareOpening {
        commitment: commitment_digest(&bench, 1),
        member: MemberIndex(0),
        opening: vec![1],
    };
    bench.receive(1, answer);
    let check = |job: &Job| matches!(job, Job::CheckShareOpening { .. });
    bench.done(check, JobOutput::Checked { valid: true });
    assert!(bench.machine.status().members[1].share_valid);
}

#[test]
fn report_comes_at_the_deadline_and_is_not_changed() {
    let mut bench = Bench::new();
    bench.begin();
    bench.receive(2, Body::Commitment(Box::new(update(2))));
    bench.tick(TimerId::Commit, 1_000);
    assert_eq!(bench.phase(), Phase::Transfer, "the share of member 2 is missing");
    let effects = bench.tick(TimerId::Transfer, 2_000);
    assert_eq!(bench.story(&effects)[..2], ["persist report", "send report"]);
    assert_eq!(bench.phase(), Phase::Certify);
    bench.receive(1, Body::Commitment(Box::new(update(1))));
    assert!(!bench.machine.status().members[1].committed, "too late");
    bench.boot();
    let head = bench.machine.status().head;
    let mut effects = bench.receive(1, heartbeat(4, head));
    effects.extend(bench.receive(2, heartbeat(4, head)));
    assert_eq!(bench.phase(), Phase::Certify, "with the report of before");
    assert!(!bench.story(&effects).contains(&"persist report".to_owned()));
    assert!(bench.machine.status().members[0].reported);
}

/// The proposer of a view, from the machine's status.
fn proposer(bench: &Bench) -> MemberIndex {
    bench.machine.status().proposer.expect("a vote is on")
}

#[test]
fn certify_does_not_take_a_skip_before_its_time_nor_an_aggregate_without_justification() {
    for (value, accepted) in [
        (Value::Skip, true),
        (Value::Aggregate { set: UpdateSet::default(), aggregate: object(1) }, false),
    ] {
        let mut bench = Bench::new();
        bench.begin();
        bench.tick(TimerId::Commit, 1_000);
        bench.tick(TimerId::Transfer, 2_000);
        let by = proposer(&bench);
        if by == MemberIndex(0) {
            let effects = bench.tick(TimerId::Round, 4_000);
            assert!(bench.story(&effects).contains(&"send proposal".to_owned()));
            continue;
        }
        let proposal = Proposal { view: View(0), value, polka: None, justification: None };
        let effects = bench.receive(by.0, Body::Proposal(Box::new(proposal)));
        assert!(!bench.story(&effects).contains(&"send vote".to_owned()));
        let effects = bench.tick(TimerId::Round, 4_000);
        let voted = bench.story(&effects).contains(&"send vote".to_owned());
        assert_eq!(voted, accepted);
    }
}

#[test]
fn decrypt_happens_on_the_decision_only_and_once() {
    let mut bench = Bench::new();
    bench.begin();
    let mut set = Vec::new();
    for member in 1..4 {
        bench.receive(member, Body::Commitment(Box::new(update(member as u8))));
        bench.handle(Event::ObjectReady(update(member as u8).sealed_shares[0].unwrap()));
        let check = |job: &Job| matches!(job, Job::CheckShare { .. });
        bench.done(check, JobOutput::Checked { valid: true });
        set.push((MemberIndex(member), commitment_digest(&bench, member)));
    }
    let partial = |job: &Job| matches!(job, Job::PartialDecrypt { .. });
    assert!(!bench.jobs.iter().any(|(_, job)| partial(job)));
    let mut forged = certificate(&bench.manifest, Round(0), &Value::Skip);
    let set = set.into_iter().collect();
    let value = Value::Aggregate { set, aggregate: object(90) };
    forged.value = value.id();
    let decided = Decided { value: value.clone(), certificate: forged };
    bench.receive(3, Body::Decided(Box::new(decided)));
    assert!(!bench.jobs.iter().any(|(_, job)| partial(job)), "a forged certificate");
    let effects = bench.decide(value);
    let kept = [1, 2, 3].map(|contributor| format!("persist commitment of {contributor}"));
    assert_eq!(bench.story(&effects), [kept.as_slice(), &["persist decision".into()]].concat());
    assert_eq!(bench.phase(), Phase::Decrypt);
    let effects = bench.done(partial, JobOutput::Partial(object(91)));
    assert_eq!(bench.story(&effects), ["persist release", "send partial"]);
    bench.boot();
    bench.begin_after_restart();
    assert!(!bench.jobs.iter().any(|(_, job)| partial(job)), "never computed again");
    assert!(bench.machine.status().members[0].answered);
}

impl Bench {
    fn begin_after_restart(&mut self) {
        for member in [1, 2] {
            let head = self.machine.status().head;
            self.receive(member, heartbeat(4, head));
        }
        assert_eq!(self.phase(), Phase::Decrypt);
    }
}

#[test]
fn record_of_a_skipped_round_keeps_the_own_update() {
    let mut bench = Bench::new();
    bench.begin();
    let contribute = |job: &Job| matches!(job, Job::Contribute { .. });
    bench.done(contribute, JobOutput::Contribution(update(0)));
    let effects = bench.decide(Value::Skip);
    let story = bench.story(&effects);
    assert_eq!(story, ["persist decision", "persist record", "send record signature"]);
    let tip = Tip::start(&bench.manifest);
    let record = tip.record(&bench.manifest, Outcome::Skipped, None, None);
    bench.receive(1, Body::RecordSignature(record_digest(&record)));
    assert!(bench.records.is_empty());
    let effects = bench.receive(2, Body::RecordSignature(record_digest(&record)));
    assert_eq!(bench.story(&effects)[0], "append");
    assert_eq!(bench.machine.status().round, Round(1));
    // The key of the next round is made first, so that it is ready when this round's keys are
    // erased.
    let settle = |job: &Job| matches!(job, Job::Settle { round: Round(0), fate: Some(Fate::Kept) });
    assert!(!bench.jobs.iter().any(|(_, job)| settle(job)));
    let key = |job: &Job| matches!(job, Job::MakeSealingKey { round: Round(1) });
    let effects = bench.done(key, JobOutput::SealingKey(vec![5; 32]));
    assert_eq!(bench.story(&effects), ["send sealing key"]);
    let effects = bench.done(settle, JobOutput::Settled);
    let story = ["persist round", "truncate before 1", "persist ready", "send ready"];
    assert_eq!(bench.story(&effects), story);
}

#[test]
fn a_member_that_is_behind_takes_over_records_and_the_adapter() {
    let (_, records) = fixture::ledger();
    let mut bench = Bench::new();
    let bytes = message(&bench.manifest, Round(4), 2, heartbeat(4, RecordDigest([1; 32])));
    let effects = bench.handle(Event::Message { from: MemberIndex(2), bytes });
    let asked = effects.iter().any(|effect| match effect {
        Effect::Send { bytes, .. } => bench.body(bytes) == Body::RecordsRequest(Round(0)),
        _ => false,
    });
    assert!(asked);
    let bytes = message(&bench.manifest, Round(4), 2, fixture::entries(records.clone()));
    bench.handle(Event::Message { from: MemberIndex(2), bytes });
    assert_eq!(bench.records.len(), 4);
    assert_eq!(bench.phase(), Phase::Sync);
    bench.handle(Event::ObjectReady(object(7)));
    let key = |job: &Job| matches!(job, Job::MakeSealingKey { round: Round(4) });
    bench.done(key, JobOutput::SealingKey(vec![5; 32]));
    let settled = |job: &Job| matches!(job, Job::Settle { .. });
    while bench.jobs.iter().any(|(_, job)| settled(job)) {
        bench.done(settled, JobOutput::Settled);
    }
    bench.done(|job| matches!(job, Job::Adopt { applied: 1, .. }), JobOutput::Adopted);
    assert_eq!(bench.phase(), Phase::WaitingForQuorum);
    assert_eq!(bench.machine.status().round, Round(4));
}

/// The last records of the ledger are a rejected and a void one: nobody is excluded, and the status
/// names who was in their sets, after a restart too.
#[test]
fn nobody_is_excluded_after_failed_rounds_and_the_status_names_their_contributors() {
    let (_, records) = fixture::ledger();
    let mut bench = Bench::new();
    bench.records = records;
    bench.journal.clear();
    bench.boot();
    let failed_rounds = bench.machine.status().failed_rounds;
    assert_eq!((failed_rounds.rejected, failed_rounds.voided), (1, 1));
    assert_eq!(failed_rounds.in_all, [0, 1, 2].map(MemberIndex));
    let ends: Vec<_> = failed_rounds.last.iter().map(|it| (it.round, it.reason)).collect();
    assert_eq!(ends, [(Round(2), FailureReason::Rejected), (Round(3), FailureReason::Void)]);
    bench.handle(Event::ObjectReady(object(7)));
    bench.done(|job| matches!(job, Job::Adopt { .. }), JobOutput::Adopted);
    let key = |job: &Job| matches!(job, Job::MakeSealingKey { round: Round(4) });
    bench.done(key, JobOutput::SealingKey(vec![5; 32]));
    bench.begin();
    let contribute = |job: &Job| matches!(job, Job::Contribute { .. });
    bench.done(contribute, JobOutput::Contribution(update(0)));
    for member in 1..4 {
        assert_eq!(bench.phase(), Phase::Commit, "member {member} is waited for");
        bench.receive(member, Body::Commitment(Box::new(update(member as u8))));
    }
    assert_eq!(bench.phase(), Phase::Transfer);
    assert!(bench.machine.status().members.iter().all(|member| member.committed));
}

#[test]
fn a_journal_that_cannot_be_read_silences_the_newest_round_that_it_can_be_of() {
    let beyond = Entry::new(Round(2), Note::Reported(UpdateSet::default())).encode().unwrap();
    let damaged = || vec![1, 2, 3];
    for (journal, last) in [(vec![damaged()], 0), (vec![beyond, damaged()], 2)] {
        let mut bench = Bench::new();
        bench.journal = journal;
        bench.boot();
        let head = bench.machine.status().head;
        let mut sent = Vec::new();
        for member in [1, 2, 3] {
            sent.extend(bench.receive(member, heartbeat(4, head)));
        }
        assert_eq!(bench.phase(), Phase::Sync);
        assert!(bench.jobs.is_empty());
        assert!(!bench.story(&sent).iter().any(|line| line != "send status"));
        assert!(bench.machine.status().proposer.is_none(), "it takes part in no vote");
        assert_eq!(bench.machine.status().silent_through, Some(Round(last)));
    }
}
