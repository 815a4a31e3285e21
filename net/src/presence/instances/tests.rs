//! Processes of a federation that exchange hellos, one after the other.

use super::*;
use crate::key::identity_key_of;

const INTERVAL: Duration = Duration::from_secs(15);

struct World {
    now: Instant,
    processes: Vec<Instances>,
    /// Who is connected with whom.
    links: Vec<(usize, usize)>,
}

fn process(seed: u8, now: Instant) -> Instances {
    let pair = Keypair::ed25519_from_bytes([seed; 32]).unwrap();
    let own = identity_key_of(&pair.public().to_peer_id()).unwrap();
    Instances::new(pair, own, INTERVAL, now)
}

impl World {
    /// One process for each seed; the same seed twice is a duplicate.
    fn new(seeds: &[u8], links: &[(usize, usize)]) -> Self {
        let now = Instant::now();
        let processes = seeds.iter().map(|seed| process(*seed, now)).collect();
        Self { now, processes, links: links.to_vec() }
    }

    fn key(&self, process: usize) -> IdentityKey {
        self.processes[process].own
    }

    /// Each end of each link sends one hello.
    fn round(&mut self) {
        for (number, (a, b)) in self.links.clone().into_iter().enumerate() {
            let id = ConnectionId::new_unchecked(number);
            self.exchange(id, a, b);
            self.exchange(id, b, a);
        }
    }

    fn exchange(&mut self, id: ConnectionId, sender: usize, receiver: usize) {
        let (sender_key, receiver_key) = (self.key(sender), self.key(receiver));
        let request = self.processes[sender].hello_to(&receiver_key, self.now);
        let sent_at = self.now;
        self.now += Duration::from_millis(10);
        let answer = self.processes[receiver].hello_to(&sender_key, self.now);
        self.processes[receiver].on_hello(id, sender_key, &request, None, self.now);
        self.now += Duration::from_millis(10);
        self.processes[sender].on_hello(id, receiver_key, &answer, Some(sent_at), self.now);
    }

    fn hello(&mut self, from: usize, to: usize) -> Hello {
        let to = self.key(to);
        self.processes[from].hello_to(&to, self.now)
    }

    fn rounds(&mut self, count: usize) {
        for _ in 0..count {
            self.round();
            self.now += INTERVAL;
        }
    }

    fn has_duplicate(&self) -> Vec<bool> {
        self.processes.iter().map(|it| it.has_duplicate(self.now)).collect()
    }

    fn duplicated(&self, process: usize) -> Vec<IdentityKey> {
        self.processes[process].duplicated(self.now).into_iter().collect()
    }
}

#[test]
fn a_duplicate_is_detected_by_both_and_by_the_member_between_them() {
    // 0 and 1 are one identity; 2 and 3 are connected with both.
    let mut world = World::new(&[1, 1, 2, 3], &[(0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]);
    world.rounds(4);
    assert_eq!(world.has_duplicate(), [true, true, false, false]);
    assert_eq!(world.duplicated(2), [world.key(0)]);
    assert_eq!(world.duplicated(3), [world.key(0)]);
    // It stays detected as long as both run, over many challenges.
    for _ in 0..60 {
        world.rounds(1);
        assert_eq!(world.has_duplicate(), [true, true, false, false]);
        assert_eq!(world.duplicated(2), [world.key(0)]);
    }
    // The duplicate ends, and so does the report.
    world.links.retain(|(a, _)| *a != 1);
    for member in [2, 3] {
        world.processes[member].closed(ConnectionId::new_unchecked(1));
        world.processes[member].closed(ConnectionId::new_unchecked(3));
    }
    world.links = vec![(0, 2)];
    world.rounds(12);
    assert!(!world.processes[0].has_duplicate(world.now));
    assert!(world.duplicated(2).is_empty());
}

#[test]
fn duplicates_that_no_member_is_connected_with_both_of_are_detected() {
    // 0 is connected with 2 only, 1 with 3 only; 2 and 3 with each other.
    let mut world = World::new(&[1, 1, 2, 3], &[(0, 2), (1, 3), (2, 3)]);
    world.rounds(8);
    assert_eq!(world.has_duplicate(), [true, true, false, false]);
    for member in [2, 3] {
        assert_eq!(world.duplicated(member), [world.key(0)], "{member}");
    }
}

#[test]
fn no_duplicate_is_detected_where_each_member_runs_once() {
    let mut world = World::new(&[1, 2, 3, 4], &[(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]);
    world.rounds(50);
    assert_eq!(world.has_duplicate(), [false; 4]);
    assert!((0..4).all(|it| world.duplicated(it).is_empty()));
}

/// 0 crashes, 1 is its next start; the others hold the dead connections for a while, and forward
/// what they know.
#[test]
fn a_restart_is_not_a_duplicate() {
    let mut world = World::new(&[1, 1, 2, 3], &[(0, 2), (0, 3), (2, 3)]);
    for restart in 0..100 {
        world.rounds(5);
        // New connections, the old ones are not closed yet.
        world.processes[0] = process(1, world.now);
        world.processes.swap(0, 1);
        let known = 3 * (restart % 2);
        world.links = vec![(1, 2), (1, 3), (2, 3)];
        for (number, (a, b)) in world.links.clone().into_iter().enumerate() {
            let id = ConnectionId::new_unchecked(100 + known + number);
            for _ in 0..3 {
                world.exchange(id, a, b);
                world.exchange(id, b, a);
                world.now += Duration::from_secs(1);
            }
        }
        for process in 0..4 {
            assert!(!world.processes[process].has_duplicate(world.now), "restart {restart}");
            assert!(world.duplicated(process).is_empty(), "restart {restart}");
        }
        world.processes.swap(0, 1);
        world.links = vec![(0, 2), (0, 3), (2, 3)];
    }
}

/// A Byzantine member reports duplicates, sends forged, stale and foreign proofs, and replays a
/// member's own signatures.
#[test]
fn a_byzantine_member_cannot_forge_a_duplicate() {
    let mut world = World::new(&[1, 2, 3], &[(0, 1), (0, 2), (1, 2)]);
    world.rounds(2);
    let (honest, byzantine) = (world.key(0), world.key(1));
    let id = ConnectionId::new_unchecked(0);
    for step in 0..200u8 {
        let hello = world.processes[0].hello_to(&byzantine, world.now);
        let claim =
            Report { member: honest, instance: Instance([step; 16]), challenge: hello.challenge };
        let mut forged = world.processes[1].hello_to(&honest, world.now);
        forged.reports = vec![claim; 20];
        // A proof that the honest member signed for this report, and a copy of it with the id of
        // another process.
        forged.proofs = hello.proofs.clone();
        let renamed = |proof: &Proof| Proof { instance: Instance([9; 16]), ..*proof };
        forged.proofs.extend(hello.proofs.iter().map(renamed).collect::<Vec<_>>());
        forged.proofs.push(Proof {
            member: honest,
            challenge: hello.challenge,
            instance: Instance([step; 16]),
            signature: [step; 64],
        });
        world.processes[0].on_hello(id, byzantine, &forged, Some(world.now), world.now);
        // The third one gets the same.
        let third = ConnectionId::new_unchecked(2);
        world.processes[2].on_hello(third, byzantine, &forged, Some(world.now), world.now);
        world.rounds(1);
        assert_eq!(world.has_duplicate(), [false; 3], "step {step}");
        assert!((0..3).all(|it| world.duplicated(it).is_empty()), "step {step}");
        let held = world.processes[0].outbox.values().map(VecDeque::len).sum::<usize>();
        assert!(held <= 3 * MAX_HELLO_PROOFS, "{held}");
    }
}

#[test]
fn an_old_proof_is_not_valid_later() {
    let mut world = World::new(&[1, 1, 2], &[(0, 2), (1, 2)]);
    world.rounds(4);
    assert!(world.processes[0].has_duplicate(world.now));
    let proofs = world.hello(2, 0).proofs;
    assert!(!proofs.is_empty());
    world.now += 20 * INTERVAL;
    world.hello(0, 2);
    world.now += 20 * INTERVAL;
    let mut replay = world.hello(2, 0);
    replay.proofs = proofs;
    world.hello(0, 2);
    let id = ConnectionId::new_unchecked(0);
    let byzantine = world.key(2);
    world.processes[0].on_hello(id, byzantine, &replay, None, world.now);
    assert!(!world.processes[0].has_duplicate(world.now));
}
