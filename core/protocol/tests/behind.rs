//! The ledger ends before the journal: it was lost or truncated, or is an older copy. Records are
//! fetched, then the journal is replayed as at any start. Member 0 of four.

mod fixture;

use fedshield_protocol::effect::Effect;
use fedshield_protocol::event::{Event, TimerId};
use fedshield_protocol::ids::{MemberIndex, Round};
use fedshield_protocol::job::{Job, JobOutput};
use fedshield_protocol::ledger::LedgerError;
use fedshield_protocol::status::Phase;
use fedshield_protocol::wire::{Body, Signed, Statement};
use fixture::bench::{Bench, NONCE, memory, update};
use fixture::{ledger, machine, message, object, sign};

/// What was sent to one member.
fn sent(effects: &[Effect], member: u16) -> Vec<Body> {
    let to = |effect: &Effect| match effect {
        Effect::Send { to, bytes } if to.0 == member => Some(Signed::decode(bytes).unwrap().body),
        _ => None,
    };
    effects.iter().filter_map(to).collect()
}

/// Nothing was sent but heartbeats and requests.
fn binds(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| match effect {
        Effect::Gossip(bytes) | Effect::Send { bytes, .. } => {
            let body = Signed::decode(bytes).unwrap().body;
            let harmless = matches!(
                body,
                Body::Heartbeat(_) | Body::RecordsRequest(_) | Body::RecoveryRequest(_)
            );
            !harmless && !matches!(body, Body::Goodbye(_) | Body::Ping)
        }
        _ => false,
    })
}

/// Four rounds are over and this member has committed in the fifth.
fn in_the_fifth_round() -> Bench {
    let mut bench = Bench::new();
    bench.journal.clear();
    bench.records = ledger().1;
    bench.boot();
    catch_up(&mut bench);
    bench.begin();
    let contribute = |job: &Job| matches!(job, Job::Contribute { .. });
    bench.done(contribute, JobOutput::Contribution(update(0)));
    bench
}

/// The host runs the jobs that are requested before a round begins.
fn catch_up(bench: &mut Bench) -> Vec<Effect> {
    let key = |job: &Job| matches!(job, Job::MakeSealingKey { round: Round(4) });
    let mut effects = bench.done(key, JobOutput::SealingKey(vec![5; 32]));
    while bench.jobs.iter().any(|(_, job)| matches!(job, Job::Settle { .. })) {
        effects.extend(bench.done(|job| matches!(job, Job::Settle { .. }), JobOutput::Settled));
    }
    effects.extend(bench.handle(Event::ObjectReady(object(7))));
    effects.extend(bench.done(|job| matches!(job, Job::Adopt { .. }), JobOutput::Adopted));
    effects
}

#[test]
fn records_are_fetched_and_the_journal_is_recalled() {
    let records = ledger().1;
    for kept in 0..records.len() {
        let mut bench = in_the_fifth_round();
        bench.records.truncate(kept);
        let mut effects = bench.boot_in_doubt();
        let status = bench.machine.status();
        assert_eq!((status.phase, status.round), (Phase::Sync, Round(kept as u64)));
        assert_eq!((status.silent_through, status.journal_round), (None, Some(Round(4))));
        // It asks every member that connects, and each in turn, without a heartbeat of any member
        // that is ahead.
        let request = Body::RecordsRequest(Round(kept as u64));
        let came = bench.handle(Event::PeerUp(MemberIndex(2)));
        assert!(sent(&came, 2).contains(&request));
        effects.extend(bench.handle(Event::PeerUp(MemberIndex(3))));
        for (at, member) in [(60_000, 2), (120_000, 3), (180_000, 2)] {
            let ticked = bench.tick(TimerId::Heartbeat, at);
            assert!(sent(&ticked, member).contains(&request), "{at}");
            effects.extend(ticked);
        }
        // The journal no longer has what it received in that round.
        let response = bench.receive(1, Body::RecoveryRequest(NONCE));
        assert!(sent(&response, 1).is_empty());
        assert!(!binds(&effects) && bench.jobs.is_empty());

        let rest = records[kept..].to_vec();
        let bytes = message(&bench.manifest, Round(4), 3, fixture::entries(rest));
        let mut effects = bench.handle(Event::Message { from: MemberIndex(3), bytes });
        let status = bench.machine.status();
        assert_eq!((status.round, status.journal_round), (Round(4), None));
        assert!(
            sent(&effects, 1).contains(&Body::RecoveryRequest(NONCE)),
            "the question holds as ever"
        );
        effects.extend(catch_up(&mut bench));
        let truncated = effects.iter().filter_map(|effect| match effect {
            Effect::Truncate { before } => Some(*before),
            _ => None,
        });
        assert!(truncated.clone().count() > 0 && truncated.clone().all(|before| before.0 <= 4));
        assert!(!binds(&effects));

        // The others know what it sent, and its journal has it too.
        let commitment = Statement::Commitment(Box::new(update(0)));
        let sent = [Statement::Ready, commitment].map(|statement| {
            let signature = sign(&bench.manifest, Round(4), 0, &statement.body());
            (statement, signature)
        });
        bench.receive(1, memory(&sent));
        bench.receive(2, memory(&sent));
        bench.begin();
        assert!(bench.machine.status().members[0].committed);
        let contribute = |(_, job): &(_, Job)| matches!(job, Job::Contribute { .. });
        assert!(!bench.jobs.iter().any(contribute), "nothing is encrypted twice");
    }
}

/// A journal always names the newest round, so that a lost ledger is detected at any time: three
/// members that did not detect it could start the federation again from round 0.
#[test]
fn a_lost_ledger_is_noticed_before_anything_was_sent_in_a_round() {
    let mut bench = Bench::new();
    bench.journal.clear();
    bench.boot_in_doubt();
    let bytes = message(&bench.manifest, Round(4), 1, fixture::entries(ledger().1));
    bench.handle(Event::Message { from: MemberIndex(1), bytes });
    let key = |job: &Job| matches!(job, Job::MakeSealingKey { round: Round(4) });
    bench.done(key, JobOutput::SealingKey(vec![5; 32]));
    while bench.jobs.iter().any(|(_, job)| matches!(job, Job::Settle { .. })) {
        let effects = bench.done(|job| matches!(job, Job::Settle { .. }), JobOutput::Settled);
        if effects.contains(&Effect::Truncate { before: Round(4) }) {
            bench.journal.drain(..bench.journal.len() - 1);
        }
    }
    assert_eq!(bench.journal.len(), 1);
    let records = std::mem::take(&mut bench.records);
    bench.boot();
    let status = bench.machine.status();
    assert_eq!((status.phase, status.journal_round), (Phase::Sync, Some(Round(4))));
    // A journal of an earlier version and a new one do so too, from the next start on.
    bench.journal.clear();
    bench.records = records;
    bench.boot_in_doubt();
    assert_eq!(bench.journal.len(), 1);
    bench.records.clear();
    bench.boot_in_doubt();
    assert_eq!(bench.machine.status().journal_round, Some(Round(4)));
}

#[test]
fn records_are_read_by_the_host_when_somebody_asks_and_no_more_are_sent_than_fit() {
    let records = ledger().1;
    let mut bench = Bench::new();
    bench.journal.clear();
    bench.records = records.clone();
    bench.boot();
    let reads = |effects: &[Effect]| {
        let read = |effect: &Effect| match effect {
            Effect::ReadRecords { to, from, limit_bytes } => Some((to.0, from.0, *limit_bytes)),
            _ => None,
        };
        effects.iter().filter_map(read).collect::<Vec<_>>()
    };
    let room = fedshield_protocol::limits::MAX_RECORDS_ANSWER_BYTES;
    assert_eq!(reads(&bench.receive(1, Body::RecordsRequest(Round(2)))), [(1, 2, room)]);
    assert!(reads(&bench.receive(1, Body::RecordsRequest(Round(2)))).is_empty(), "too soon");
    assert!(
        reads(&bench.receive(2, Body::RecordsRequest(Round(4)))).is_empty(),
        "there is no more"
    );
    let to = MemberIndex(1);
    let answer = bench.handle(Event::Records { to, records: records[2..].to_vec() });
    assert_eq!(sent(&answer, 1), [fixture::entries(records[2..].to_vec())]);
    let mut large = records[0].clone();
    large.attachments = vec![1; 100_000];
    let answer = bench.handle(Event::Records { to, records: vec![large.clone(); 5] });
    assert_eq!(sent(&answer, 1), [fixture::entries(vec![large; 2])]);
    assert!(sent(&bench.handle(Event::Records { to, records: vec![] }), 1).is_empty());
}

#[test]
fn a_stored_record_that_is_not_valid_is_named_and_those_before_it_count() {
    let mut records = ledger().1;
    records[2].signatures[0].1[0] ^= 1;
    let mut machine = machine(0);
    let results: Vec<_> = records.iter().map(|record| machine.replay(record)).collect();
    assert_eq!(results[..2], [Ok(()), Ok(())]);
    let error = results[2].clone().unwrap_err();
    assert!(matches!(&error, LedgerError::Record { index: 2, round: Round(2), .. }));
    assert!(error.to_string().contains("the signature of member 0 does not verify"), "{error}");
    assert!(results[3].is_err(), "it follows from none that is there");
    machine.handle(fedshield_protocol::ids::Time(0), Event::Boot { journal: vec![], nonce: NONCE });
    assert_eq!(machine.status().round, Round(2));
    assert!(machine.replay(&ledger().1[2]).is_err(), "after the start they come from others");
}
