//! Absent members are not waited for, and no member can make another one count as absent.

mod fixture;

use fedshield_protocol::effect::Effect;
use fedshield_protocol::event::{Command, Event, TimerId};
use fedshield_protocol::ids::{MemberIndex, RecordDigest, Round, Time};
use fedshield_protocol::job::{Job, JobOutput};
use fedshield_protocol::status::Phase;
use fedshield_protocol::wire::{Body, Goodbye, Leave, UpdateSet, Value};
use fixture::bench::{Bench, commitment_digest, heartbeat, update};
use fixture::{message, object};

/// The heartbeat of the fixture's deadlines, in ms.
const BEAT_MS: u64 = 100;
/// Heartbeats until a silent member counts as absent: three seconds, because three heartbeats are
/// shorter.
const SILENCE: u64 = 31;
/// Heartbeats until a goodbye takes effect.
const CONFIRMATION: u64 = 6;

const fn goodbye(number: u32, why: Leave) -> Body {
    Body::Goodbye(Goodbye { incarnation: [3; 32], number, why })
}

impl Bench {
    /// Runs `count` heartbeats of this member, during each of which the members in `alive` send
    /// one of theirs.
    fn beats(&mut self, count: u64, alive: &[u16]) -> Vec<Effect> {
        let mut effects = Vec::new();
        for _ in 0..count {
            let head = self.machine.status().head;
            for member in alive {
                effects.extend(self.receive(*member, heartbeat(4, head)));
            }
            let at = self.now + BEAT_MS;
            effects.extend(self.tick(TimerId::Heartbeat, at));
        }
        effects
    }

    fn contribute(&mut self) {
        self.done(|job| matches!(job, Job::Contribute { .. }), JobOutput::Contribution(update(0)));
    }

    fn commit(&mut self, members: &[u16]) {
        for member in members {
            self.receive(*member, Body::Commitment(Box::new(update(*member as u8))));
        }
    }

    fn dropped(&self, reason: &str) -> bool {
        self.machine.status().dropped.keys().any(|dropped| dropped.contains(reason))
    }

    fn goodbyes(&self, effects: &[Effect]) -> Vec<Goodbye> {
        let sent = effects.iter().filter_map(|effect| match effect {
            Effect::Gossip(bytes) => Some(bytes),
            _ => None,
        });
        sent.filter_map(|bytes| match self.body(bytes) {
            Body::Goodbye(goodbye) => Some(goodbye),
            _ => None,
        })
        .collect()
    }
}

#[test]
fn a_silent_member_is_waited_for_no_longer_than_three_heartbeats() {
    let mut bench = Bench::new();
    bench.begin();
    bench.contribute();
    bench.commit(&[1, 2]);
    bench.beats(SILENCE - 1, &[1, 2]);
    assert_eq!(bench.phase(), Phase::Commit, "it may be only late");
    let wait = bench.machine.status().wait.expect("it waits");
    assert_eq!((wait.here, wait.enough, wait.of), (3, 3, 4));
    assert_eq!(wait.until, Some(Time(1_000)), "of the commit timer");
    bench.beats(1, &[1, 2]);
    assert_eq!(bench.phase(), Phase::Transfer);
    let status = bench.machine.status();
    assert!(!status.members[3].here && status.members[2].here);
    assert_eq!((status.attendance.here, status.attendance.quorum), (3, 3));
}

#[test]
fn a_member_whose_heartbeats_flow_is_waited_for_as_long_as_it_trains() {
    let mut bench = Bench::new();
    bench.begin();
    bench.contribute();
    bench.commit(&[1, 2]);
    bench.beats(2_000, &[1, 2, 3]);
    assert_eq!(bench.phase(), Phase::Commit);
    assert_eq!(bench.machine.status().waiting_for, [MemberIndex(3)]);
    bench.commit(&[3]);
    assert_eq!(bench.phase(), Phase::Transfer);
}

#[test]
fn too_few_updates_for_a_sum_wait_for_the_timer() {
    let mut bench = Bench::new();
    bench.begin();
    bench.contribute();
    bench.commit(&[1]);
    bench.beats(10 * SILENCE, &[1]);
    assert_eq!(bench.phase(), Phase::Commit);
    let status = bench.machine.status();
    assert_eq!(status.waiting_for, [MemberIndex(2), MemberIndex(3)]);
    assert!(!status.attendance.is_quorum());
    let now = bench.now;
    bench.tick(TimerId::Commit, now);
    assert_eq!(bench.phase(), Phase::Transfer);
}

#[test]
fn a_member_that_returns_in_time_is_waited_for_again_and_counts() {
    let mut bench = Bench::new();
    bench.begin();
    bench.contribute();
    bench.commit(&[1]);
    // Member 2 trains; member 3 is no longer waited for, then returns before the round has
    // continued.
    bench.beats(2 * SILENCE, &[1, 2]);
    assert!(!bench.machine.status().members[3].here);
    bench.beats(1, &[1, 2, 3]);
    bench.commit(&[2]);
    assert_eq!(bench.phase(), Phase::Commit, "member 3 is back");
    bench.beats(SILENCE, &[1, 2]);
    assert_eq!(bench.phase(), Phase::Transfer, "and gone again");
    // It returns a second time: what it commits before this member has reported still counts.
    bench.commit(&[3]);
    assert!(bench.machine.status().members[3].committed);
}

#[test]
fn a_goodbye_is_believed_after_one_heartbeat() {
    let mut bench = Bench::new();
    bench.begin();
    bench.contribute();
    bench.commit(&[1, 2]);
    bench.beats(1, &[1, 2, 3]);
    bench.receive(3, goodbye(0, Leave::Stopped));
    assert_eq!(bench.phase(), Phase::Commit);
    bench.beats(CONFIRMATION, &[1, 2]);
    assert_eq!(bench.phase(), Phase::Transfer);
    assert_eq!(bench.machine.status().members[3].left, Some(Leave::Stopped));
}

/// A paused member still sends heartbeats, but does not announce that it is ready.
#[test]
fn a_paused_member_is_not_waited_for_in_any_round_until_it_is_ready_again() {
    let mut bench = Bench::new();
    bench.begin();
    let head = bench.machine.status().head;
    let Body::Heartbeat(mut resting) = heartbeat(4, head) else { panic!() };
    resting.ready = false;
    bench.contribute();
    bench.commit(&[1, 2]);
    bench.receive(3, goodbye(0, Leave::Paused));
    for _ in 0..CONFIRMATION {
        bench.receive(3, Body::Heartbeat(resting.clone()));
        bench.beats(1, &[1, 2]);
    }
    assert_eq!(bench.phase(), Phase::Transfer);
    assert_eq!(bench.machine.status().members[3].left, Some(Leave::Paused));
    bench.beats(1, &[1, 2, 3]);
    let status = bench.machine.status();
    assert!(status.members[3].here && status.members[3].left.is_none());
}

#[test]
fn an_old_goodbye_does_not_silence_a_member_that_is_back() {
    let mut bench = Bench::new();
    bench.begin();
    bench.contribute();
    bench.commit(&[1, 2]);
    // The goodbye was sent, revoked by a later message, then replayed by another member again and
    // again.
    bench.receive(3, goodbye(0, Leave::Stopped));
    for _ in 0..100 {
        bench.beats(1, &[1, 2, 3]);
        bench.receive(3, goodbye(0, Leave::Stopped));
    }
    assert!(bench.dropped("goodbye: its sender has come back"));
    // A goodbye of the same round that was withheld from this member until now.
    for number in 1..100 {
        bench.receive(3, goodbye(number, Leave::Paused));
        bench.beats(1, &[1, 2, 3]);
    }
    assert_eq!(bench.phase(), Phase::Commit);
    assert!(bench.machine.status().members[3].here);
    // A goodbye of an earlier round.
    let bytes = message(&bench.manifest, Round(1), 3, heartbeat(4, RecordDigest([1; 32])));
    bench.handle(Event::Message { from: MemberIndex(3), bytes });
    bench.receive(3, goodbye(200, Leave::Stopped));
    assert!(bench.dropped("goodbye: of an earlier round"));
}

#[test]
fn nobody_can_say_goodbye_for_another() {
    let mut bench = Bench::new();
    bench.begin();
    bench.contribute();
    bench.commit(&[1, 2]);
    let mut bytes = message(&bench.manifest, Round(0), 1, goodbye(0, Leave::Stopped));
    // The sender is the fourth field: version, epoch, round, sender.
    bytes[3] = 3;
    bench.handle(Event::Message { from: MemberIndex(1), bytes });
    bench.beats(CONFIRMATION + 1, &[1, 2]);
    assert!(bench.dropped("signature"));
    assert_eq!(bench.phase(), Phase::Commit);
}

#[test]
fn a_machine_that_was_suspended_counts_no_member_as_absent() {
    let mut bench = Bench::new();
    bench.begin();
    bench.contribute();
    bench.commit(&[1, 2]);
    let after_an_hour = bench.now + 3_600_000;
    bench.tick(TimerId::Heartbeat, after_an_hour);
    assert_eq!(bench.phase(), Phase::Commit);
    assert!(bench.machine.status().members[3].reachable || bench.machine.status().wait.is_some());
}

/// Announcements may not reach every member: a connected member is pinged before it counts as
/// absent, and answers directly.
#[test]
fn a_silent_member_is_pinged_and_a_pinged_member_answers() {
    let mut bench = Bench::new();
    bench.begin();
    bench.handle(Event::PeerUp(MemberIndex(3)));
    let effects = bench.beats(2, &[1, 2]);
    let to_three = |effects: &[Effect], bench: &Bench, is: fn(&Body) -> bool| {
        effects.iter().any(|effect| {
            matches!(effect, Effect::Send { to: MemberIndex(3), bytes } if is(&bench.body(bytes)))
        })
    };
    assert!(to_three(&effects, &bench, |body| *body == Body::Ping));
    bench.now += 60;
    let effects = bench.receive(3, Body::Ping);
    assert!(to_three(&effects, &bench, |body| matches!(body, Body::Heartbeat(_))));
    let effects = bench.receive(3, Body::Ping);
    assert!(!to_three(&effects, &bench, |body| matches!(body, Body::Heartbeat(_))), "too often");
}

#[test]
fn an_update_whose_contributor_left_before_anyone_had_it_is_left_out() {
    let mut bench = Bench::new();
    bench.begin();
    bench.contribute();
    bench.commit(&[1, 2, 3]);
    assert_eq!(bench.phase(), Phase::Transfer);
    let committee = bench.machine.status().committee;
    let check = |job: &Job| matches!(job, Job::CheckShare { .. });
    for contributor in 0..3_u16 {
        bench.handle(Event::ObjectReady(update(contributor as u8).sealed_shares[0].unwrap()));
        bench.done(check, JobOutput::Checked { valid: true });
    }
    for member in committee.iter().filter(|member| (1..3).contains(&member.0)) {
        let mut held: Vec<_> = (0..3).map(|m| commitment_digest(&bench, m)).collect();
        held.sort_unstable();
        bench.receive(member.0, Body::HaveUpdates(held));
    }
    if committee.contains(&MemberIndex(0)) {
        for contributor in 0..3_u8 {
            let update = update(contributor);
            for object in update.sealed_shares.iter().flatten().chain([&update.ciphertext]) {
                bench.handle(Event::ObjectReady(*object));
            }
            let read = |job: &Job| matches!(job, Job::CheckCiphertext { .. });
            if bench.jobs.iter().any(|(_, job)| read(job)) {
                bench.done(read, JobOutput::Checked { valid: true });
            }
        }
    }
    bench.beats(SILENCE - 1, &[1, 2]);
    assert_eq!(bench.phase(), Phase::Transfer, "member 3 may still give it");
    bench.beats(1, &[1, 2]);
    assert_eq!(bench.phase(), Phase::Certify);
    assert!(bench.machine.status().members[0].reported);
}

#[test]
fn a_view_whose_proposer_is_absent_is_not_waited_for() {
    let mut bench = Bench::new();
    bench.begin();
    bench.tick(TimerId::Commit, 1_000);
    bench.tick(TimerId::Transfer, 2_000);
    let proposer = bench.machine.status().proposer.expect("a vote is on");
    if proposer == MemberIndex(0) {
        return;
    }
    let alive: Vec<u16> = (1..4).filter(|member| *member != proposer.0).collect();
    let effects = bench.beats(SILENCE, &alive);
    assert!(bench.story(&effects).contains(&"send vote".to_owned()), "against it");
}

#[test]
fn a_pause_takes_effect_at_once_before_a_round_and_after_it_in_one() {
    let mut bench = Bench::new();
    let effects = bench.handle(Event::Operator(Command::Pause));
    assert_eq!(bench.phase(), Phase::Paused);
    assert_eq!(bench.goodbyes(&effects).len(), 1);
    let effects = bench.beats(1, &[]);
    assert!(!bench.goodbyes(&effects).is_empty(), "sent again for those that start");
    bench.handle(Event::Operator(Command::Resume));
    assert_eq!(bench.phase(), Phase::WaitingForQuorum);
    bench.begin();
    bench.contribute();
    let effects = bench.handle(Event::Operator(Command::Pause));
    assert!(bench.machine.status().paused);
    assert_eq!(bench.phase(), Phase::Commit, "it goes on with what it has promised");
    assert!(bench.goodbyes(&effects).is_empty(), "and says nothing before it takes effect");

    // A restart does not release it: its commitment has been sent.
    bench.boot();
    bench.handle(Event::Operator(Command::Pause));
    bench.begin();
    let effects = bench.decide(Value::Skip);
    assert!(bench.goodbyes(&effects).is_empty());
    let tip = fedshield_protocol::ledger::Tip::start(&bench.manifest);
    let skipped = fedshield_protocol::wire::Outcome::Skipped;
    let record = tip.record(&bench.manifest, skipped, None, None);
    let signature = || Body::RecordSignature(fedshield_protocol::ledger::record_digest(&record));
    bench.receive(1, signature());
    let effects = bench.receive(2, signature());
    assert_eq!((bench.machine.status().round, bench.phase()), (Round(1), Phase::Paused));
    let [sent] = bench.goodbyes(&effects)[..] else { panic!("one goodbye") };
    assert_eq!(sent.why, Leave::Paused);
}

#[test]
fn the_last_message_of_a_daemon_is_its_goodbye() {
    let mut bench = Bench::new();
    bench.begin();
    let effects = bench.handle(Event::Operator(Command::Leave));
    assert_eq!(bench.goodbyes(&effects)[0].why, Leave::Stopped);
    let direct = effects.iter().filter(|effect| matches!(effect, Effect::Send { .. })).count();
    assert_eq!((effects.len(), direct), (4, 3), "to everyone and to each, and nothing else");
    assert!(bench.beats(3, &[1, 2, 3]).is_empty(), "nothing is sent after it");
}

#[test]
fn a_member_that_sits_a_round_out_announces_it() {
    let mut bench = Bench::new();
    bench.journal = vec![vec![1, 2, 3]];
    let effects = bench.boot();
    assert_eq!(bench.goodbyes(&effects)[0].why, Leave::SitsOut);
    assert_eq!(bench.machine.status().members[0].left, Some(Leave::SitsOut));
}

/// A late member finds that the others have reported, or too many of the committee have: its own
/// update cannot be in any set any more, and it may be the proposer.
#[test]
fn an_update_that_no_report_can_list_any_more_is_not_waited_for() {
    for commits in [true, false] {
        let mut bench = Bench::new();
        bench.begin();
        if commits {
            bench.contribute();
        }
        bench.commit(&[1, 2, 3]);
        let set: Vec<_> = (1..4).map(|m| (MemberIndex(m), commitment_digest(&bench, m))).collect();
        for contributor in 1..4_u8 {
            let update = update(contributor);
            for object in update.sealed_shares.iter().flatten().chain([&update.ciphertext]) {
                bench.handle(Event::ObjectReady(*object));
            }
        }
        let check = |job: &Job| matches!(job, Job::CheckShare { .. });
        while bench.jobs.iter().any(|(_, job)| check(job)) {
            bench.done(check, JobOutput::Checked { valid: true });
        }
        let mut held: Vec<_> = set.iter().map(|(_, digest)| *digest).collect();
        held.sort_unstable();
        for member in bench.machine.status().committee {
            if member.0 != 0 {
                bench.receive(member.0, Body::HaveUpdates(held.clone()));
            }
        }
        let committee = bench.others_of_the_committee();
        let outsider = (1..4).find(|member| !committee.contains(member)).unwrap();
        for member in [outsider, committee[0]] {
            bench.receive(member, Body::Report(UpdateSet::from_iter(set.clone())));
        }
        assert!(!bench.machine.status().members[0].reported, "two may still hold and list it");
        bench.receive(committee[1], Body::Report(UpdateSet::from_iter(set.clone())));
        assert!(bench.machine.status().members[0].reported, "contributed: {commits}");
        assert_eq!(bench.phase(), Phase::Certify);
    }
}

/// A member that does not become ready announces it: the others need not wait for it in every
/// round.
#[test]
fn a_member_that_catches_up_for_long_announces_it_and_takes_it_back() {
    let (_, records) = fixture::ledger();
    let mut bench = Bench::new();
    bench.records = records;
    bench.journal.clear();
    bench.boot();
    assert_eq!(bench.phase(), Phase::Sync, "the adapter does not come");
    let effects = bench.beats(600, &[]);
    assert!(bench.goodbyes(&effects).is_empty(), "not within a minute");
    let effects = bench.beats(2, &[]);
    assert_eq!(bench.goodbyes(&effects)[0].why, Leave::CatchesUp);
    bench.handle(Event::ObjectReady(object(7)));
    bench.done(|job| matches!(job, Job::Adopt { .. }), JobOutput::Adopted);
    assert_eq!(bench.phase(), Phase::WaitingForQuorum);
    let effects = bench.beats(2, &[]);
    assert!(bench.goodbyes(&effects).is_empty());
}

/// Replaying the last heartbeat of an absent member does not make it count as present.
#[test]
fn a_message_of_an_earlier_round_does_not_show_presence() {
    let (_, records) = fixture::ledger();
    let mut bench = Bench::new();
    let old = message(&bench.manifest, Round(1), 3, heartbeat(4, RecordDigest([1; 32])));
    bench.records = records;
    bench.journal.clear();
    bench.boot();
    for _ in 0..=SILENCE {
        bench.handle(Event::Message { from: MemberIndex(1), bytes: old.clone() });
        bench.beats(1, &[1, 2]);
    }
    let members = bench.machine.status().members;
    assert!(members[1].here && members[2].here && !members[3].here);
}
