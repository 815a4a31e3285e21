//! Sealing keys of one machine: one for each round, made a round early and erased when no round
//! needs them.

mod fixture;

use fedshield_protocol::effect::Effect;
use fedshield_protocol::event::{Command, Event, TimerId};
use fedshield_protocol::ids::{MemberIndex, Round};
use fedshield_protocol::job::{Job, JobOutput};
use fedshield_protocol::ledger::{Tip, record_digest};
use fedshield_protocol::limits::LONG_PAUSE_MS;
use fedshield_protocol::status::Phase;
use fedshield_protocol::wire::{Body, Outcome, Value};
use fixture::bench::{Bench, update};
use fixture::message;

/// The fixture's heartbeat.
const BEAT_MS: u64 = 100;

fn is_key(round: u64) -> impl Fn(&Job) -> bool {
    move |job| matches!(job, Job::MakeSealingKey { round: of } if of.0 == round)
}

fn is_seal(job: &Job) -> bool {
    matches!(job, Job::SealShares { .. })
}

fn is_settle(job: &Job) -> bool {
    matches!(job, Job::Settle { .. })
}

fn is_erase(job: &Job) -> bool {
    matches!(job, Job::EraseSecrets { .. })
}

fn runs(bench: &Bench, is: impl Fn(&Job) -> bool) -> bool {
    bench.jobs.iter().any(|(_, job)| is(job))
}

fn receive_key(bench: &mut Bench, round: u64, from: u16, byte: u8) {
    let bytes = message(&bench.manifest, Round(round), from, Body::SealingKey(vec![byte; 32]));
    bench.handle(Event::Message { from: MemberIndex(from), bytes });
}

/// Round 0 is skipped: its record has arrived.
fn skip(bench: &mut Bench) {
    bench.decide(Value::Skip);
    let tip = Tip::start(&bench.manifest);
    let digest = record_digest(&tip.record(&bench.manifest, Outcome::Skipped, None, None));
    for member in [1, 2] {
        bench.receive(member, Body::RecordSignature(digest));
    }
    assert_eq!(bench.machine.status().round, Round(1));
}

/// Shares are sealed to those keys of the round that have arrived by the end of training, and to
/// no others.
#[test]
fn shares_are_sealed_to_keys_of_this_round_that_are_there_after_training() {
    let mut bench = Bench::new();
    bench.begin();
    skip(&mut bench);
    bench.done(is_key(1), JobOutput::SealingKey(vec![50; 32]));
    bench.done(is_settle, JobOutput::Settled);
    receive_key(&mut bench, 1, 1, 51);
    bench.begin();
    // No member is waited for: the key of member 2 arrives while this one trains; that of member 3
    // is of the next round.
    let contribute =
        |job: &Job| matches!(job, Job::Contribute { start } if start.round == Round(1));
    assert!(runs(&bench, contribute));
    receive_key(&mut bench, 1, 2, 52);
    receive_key(&mut bench, 1, 2, 99);
    receive_key(&mut bench, 2, 3, 63);
    bench.done(contribute, JobOutput::Encrypted);
    let keys = bench.jobs.iter().find_map(|(_, job)| match job {
        Job::SealShares { round: Round(1), sealing_keys } => Some(sealing_keys.clone()),
        _ => None,
    });
    let key = |byte: u8| Some(vec![byte; 32]);
    assert_eq!(keys, Some(vec![key(50), key(51), key(52), None]));
    let effects = bench.done(is_seal, JobOutput::Contribution(update(0)));
    assert_eq!(bench.story(&effects)[..2], ["persist commitment", "send commitment"]);
}

/// The next key is made and announced before anything of this round is settled.
#[test]
fn the_next_key_is_made_before_this_round_is_settled() {
    let mut bench = Bench::new();
    bench.begin();
    bench.decide(Value::Skip);
    assert!(runs(&bench, is_key(1)), "the round is decided");
    let effects = bench.done(is_key(1), JobOutput::SealingKey(vec![5; 32]));
    assert_eq!(bench.story(&effects), ["send sealing key"]);
    skip(&mut bench);
    assert!(runs(&bench, is_settle), "nothing is waited for");
    assert!(!runs(&bench, is_key(1)));
}

/// A long pause: the key of the round is erased after an hour, another is made when the member is
/// resumed.
#[test]
fn a_long_pause_erases_the_keys_and_the_member_makes_new_ones() {
    let mut bench = Bench::new();
    bench.done(is_key(0), JobOutput::SealingKey(vec![1; 32]));
    bench.handle(Event::Operator(Command::Pause));
    assert_eq!(bench.phase(), Phase::Paused);
    // The pause is counted in this member's own heartbeats: a suspended machine has not been
    // paused for longer.
    let mut beats = 0;
    while !runs(&bench, is_erase) {
        beats += 1;
        bench.tick(TimerId::Heartbeat, beats * BEAT_MS);
        assert!(beats * BEAT_MS < 2 * LONG_PAUSE_MS);
    }
    assert!(beats * BEAT_MS >= LONG_PAUSE_MS);
    bench.handle(Event::Operator(Command::Resume));
    bench.done(is_erase, JobOutput::Erased);
    let effects = bench.done(is_key(0), JobOutput::SealingKey(vec![77; 32]));
    assert!(bench.story(&effects).contains(&"send sealing key".to_owned()));
    bench.begin();
    assert_eq!(bench.phase(), Phase::Commit);
}

/// A paused member makes no key: the last one is erased with the round in which the pause took
/// effect.
#[test]
fn a_paused_member_makes_no_keys() {
    let mut bench = Bench::new();
    bench.handle(Event::Operator(Command::Pause));
    let record = vec![fixture::ledger().1.remove(0)];
    let bytes = message(&bench.manifest, Round(1), 2, fixture::entries(record));
    bench.handle(Event::Message { from: MemberIndex(2), bytes });
    assert_eq!(bench.machine.status().round, Round(1));
    assert!(!runs(&bench, is_key(1)) && runs(&bench, is_settle));
    bench.done(is_settle, JobOutput::Settled);
    bench.handle(Event::Operator(Command::Resume));
    assert!(runs(&bench, is_key(1)));
}

/// A backup holds no secrets: the key that the manifest names is replaced by a new one, which is
/// announced.
#[test]
fn a_first_key_that_is_not_on_the_disk_is_replaced() {
    let mut bench = Bench::new();
    let same = bench.done(is_key(0), JobOutput::SealingKey(vec![1; 32]));
    assert!(!bench.story(&same).contains(&"send sealing key".to_owned()), "all have it");
    bench.boot();
    let effects = bench.done(is_key(0), JobOutput::SealingKey(vec![78; 32]));
    assert!(bench.story(&effects).contains(&"send sealing key".to_owned()));
    let sent = effects.iter().any(|effect| match effect {
        Effect::Gossip(bytes) => bench.body(bytes) == Body::SealingKey(vec![78; 32]),
        _ => false,
    });
    assert!(sent);
}
