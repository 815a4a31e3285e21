//! The largest federation: a committee member of a hundred pulls a hundred ciphertexts and ten
//! thousand sealed shares.

mod fixture;

use std::collections::BTreeSet;

use fedshield_protocol::effect::Effect;
use fedshield_protocol::event::{Event, TimerId};
use fedshield_protocol::ids::{CommitmentDigest, Digest, LayoutDigest, MemberIndex, Time};
use fedshield_protocol::job::{Job, JobOutput, UpdateShape};
use fedshield_protocol::limits::MAX_MEMBERS;
use fedshield_protocol::manifest::{SignedManifest, ValidManifest, sign_founding};
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::status::Phase;
use fedshield_protocol::wire::{Body, CommitmentBody, Signed};
use fedshield_protocol::{Machine, MachineConfig};
use fixture::bench::{NONCE, heartbeat, memory};
use fixture::{key, manifest, message};

fn object(member: u16, receiver: u16) -> ObjectRef {
    let root =
        Digest(*blake3::hash(&[member.to_le_bytes(), receiver.to_le_bytes()].concat()).as_bytes());
    ObjectRef { root, length: 1000 }
}

fn update(member: u16) -> CommitmentBody {
    CommitmentBody {
        ciphertext: object(member, MAX_MEMBERS),
        sealed_shares: (0..MAX_MEMBERS).map(|receiver| Some(object(member, receiver))).collect(),
        shares: vec![1],
        layout: LayoutDigest([1; 32]),
    }
}

fn signed() -> SignedManifest {
    let (min_contributors, committee_size) = (67, 67);
    let manifest = fedshield_protocol::manifest::Manifest {
        min_contributors,
        committee_size,
        ..manifest(MAX_MEMBERS)
    };
    let sign = |member| sign_founding(&manifest, &key(member)).unwrap().1;
    let signatures = (0..MAX_MEMBERS).map(sign).collect();
    SignedManifest { manifest, signatures }
}

/// A machine of the committee, in its first round, with what it requested and sent.
struct Bench {
    manifest: ValidManifest,
    machine: Machine,
    me: MemberIndex,
    now: u64,
    fetched: BTreeSet<ObjectRef>,
    held: BTreeSet<CommitmentDigest>,
    checks: usize,
}

impl Bench {
    fn new() -> Self {
        let signed = signed();
        let manifest = ValidManifest::founded(signed.clone()).unwrap();
        let start = |member| Machine::new(MachineConfig::new(signed.clone(), key(member)).unwrap());
        let me = *start(0).status().committee.first().unwrap();
        let (fetched, held) = (BTreeSet::new(), BTreeSet::new());
        let mut bench =
            Self { manifest, machine: start(me.0), me, now: 0, fetched, held, checks: 0 };
        bench.handle(Event::Boot { journal: vec![], nonce: NONCE });
        for member in bench.others() {
            bench.receive(member, memory(&[]));
        }
        let head = bench.machine.status().head;
        for member in bench.others() {
            bench.receive(member, heartbeat(MAX_MEMBERS, head));
        }
        assert_eq!(bench.machine.status().phase, Phase::Commit);
        bench
    }

    fn others(&self) -> Vec<u16> {
        (0..MAX_MEMBERS).filter(|member| *member != self.me.0).collect()
    }

    fn receive(&mut self, from: u16, body: Body) {
        let round = self.machine.scope().round;
        let bytes = message(&self.manifest, round, from, body);
        self.handle(Event::Message { from: MemberIndex(from), bytes });
    }

    /// Records every fetch; shares and ciphertexts are found valid at once.
    fn handle(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for effect in self.machine.handle(Time(self.now), event) {
                match effect {
                    Effect::Fetch { object, holders, .. } => {
                        assert!(!holders.contains(&self.me) && !holders.is_empty());
                        assert!(self.fetched.insert(object), "asked for twice");
                    }
                    Effect::Start(id, Job::CheckShare { .. }) => {
                        self.checks += 1;
                        events.push(Event::JobDone(id, JobOutput::Checked { valid: true }));
                    }
                    Effect::Start(id, Job::PrepareRound { .. }) => {
                        let layout = LayoutDigest([1; 32]);
                        let (ciphertext_bytes, sealed_share_bytes) = (1000, 1000);
                        let shape = UpdateShape {
                            layout,
                            stalled: None,
                            ciphertext_bytes,
                            sealed_share_bytes,
                        };
                        events.push(Event::JobDone(id, JobOutput::Prepared(shape)));
                    }
                    Effect::Start(id, Job::CheckCiphertext { .. }) => {
                        events.push(Event::JobDone(id, JobOutput::Checked { valid: true }));
                    }
                    Effect::Gossip(bytes) => {
                        if let Body::HaveUpdates(held) = Signed::decode(&bytes).unwrap().body {
                            self.held.extend(held);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn a_committee_member_of_a_hundred_pulls_everything_once_and_announces_it() {
    let mut bench = Bench::new();
    let others = bench.others();
    for member in &others {
        bench.receive(*member, Body::Commitment(Box::new(update(*member))));
    }
    let all: BTreeSet<ObjectRef> = others
        .iter()
        .flat_map(|member| (0..=MAX_MEMBERS).map(|receiver| object(*member, receiver)))
        .collect();
    assert_eq!(bench.fetched, all);
    assert_eq!((bench.checks, bench.held.len()), (0, 0));
    // One of them fails at first, and is asked for again after the next status tick.
    let late = object(others[5], 7);
    bench.handle(Event::ObjectFailed(late));
    for object in all.iter().filter(|object| **object != late) {
        bench.handle(Event::ObjectReady(*object));
    }
    assert_eq!(bench.held.len(), others.len() - 1);
    assert_eq!(bench.checks, others.len());
    bench.fetched.remove(&late);
    bench.now = 60_000;
    bench.handle(Event::Tick(TimerId::Heartbeat));
    assert_eq!(bench.fetched, all);
    bench.handle(Event::ObjectReady(late));
    assert_eq!(bench.held.len(), others.len());
}
