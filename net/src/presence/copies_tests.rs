//! A federation of processes that say hello to each other, one hello after the other.

use super::*;
use crate::key::identity_key_of;

const INTERVAL: Duration = Duration::from_secs(15);

struct World {
    now: Instant,
    processes: Vec<Copies>,
    /// Who is connected with whom.
    links: Vec<(usize, usize)>,
}

fn process(seed: u8, now: Instant) -> Copies {
    let pair = Keypair::ed25519_from_bytes([seed; 32]).unwrap();
    let own = identity_key_of(&pair.public().to_peer_id()).unwrap();
    Copies::new(pair, own, INTERVAL, now)
}

impl World {
    /// One process for each seed; the same seed twice is a copy.
    fn new(seeds: &[u8], links: &[(usize, usize)]) -> Self {
        let now = Instant::now();
        let processes = seeds.iter().map(|seed| process(*seed, now)).collect();
        Self { now, processes, links: links.to_vec() }
    }

    fn key(&self, process: usize) -> IdentityKey {
        self.processes[process].own
    }

    /// Each end of each link asks once.
    fn round(&mut self) {
        for (number, (a, b)) in self.links.clone().into_iter().enumerate() {
            let id = ConnectionId::new_unchecked(number);
            self.ask(id, a, b);
            self.ask(id, b, a);
        }
    }

    fn ask(&mut self, id: ConnectionId, asker: usize, asked: usize) {
        let (asker_key, asked_key) = (self.key(asker), self.key(asked));
        let question = self.processes[asker].hello_to(&asked_key, self.now);
        let asked_at = self.now;
        self.now += Duration::from_millis(10);
        let answer = self.processes[asked].hello_to(&asker_key, self.now);
        self.processes[asked].on_hello(id, asker_key, &question, None, self.now);
        self.now += Duration::from_millis(10);
        self.processes[asker].on_hello(id, asked_key, &answer, Some(asked_at), self.now);
    }

    fn say(&mut self, from: usize, to: usize) -> Hello {
        let to = self.key(to);
        self.processes[from].hello_to(&to, self.now)
    }

    fn rounds(&mut self, count: usize) {
        for _ in 0..count {
            self.round();
            self.now += INTERVAL;
        }
    }

    fn has_second(&self) -> Vec<bool> {
        self.processes.iter().map(|it| it.has_second(self.now)).collect()
    }

    fn doubled(&self, process: usize) -> Vec<IdentityKey> {
        self.processes[process].doubled(self.now).into_iter().collect()
    }
}

#[test]
fn a_copy_is_named_to_both_and_to_the_member_between_them() {
    // 0 and 1 are one identity; 2 and 3 are connected with both.
    let mut world = World::new(&[1, 1, 2, 3], &[(0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]);
    world.rounds(4);
    assert_eq!(world.has_second(), [true, true, false, false]);
    assert_eq!(world.doubled(2), [world.key(0)]);
    assert_eq!(world.doubled(3), [world.key(0)]);
    // It stays so as long as both run, over many challenges.
    for _ in 0..60 {
        world.rounds(1);
        assert_eq!(world.has_second(), [true, true, false, false]);
        assert_eq!(world.doubled(2), [world.key(0)]);
    }
    // The second one ends: nobody says so for ever.
    world.links.retain(|(a, _)| *a != 1);
    for member in [2, 3] {
        world.processes[member].closed(ConnectionId::new_unchecked(1));
        world.processes[member].closed(ConnectionId::new_unchecked(3));
    }
    world.links = vec![(0, 2)];
    world.rounds(12);
    assert!(!world.processes[0].has_second(world.now));
    assert!(world.doubled(2).is_empty());
}

#[test]
fn copies_that_no_member_sees_both_of_are_named_too() {
    // 0 is connected with 2 only, 1 with 3 only; 2 and 3 with each other.
    let mut world = World::new(&[1, 1, 2, 3], &[(0, 2), (1, 3), (2, 3)]);
    world.rounds(8);
    assert_eq!(world.has_second(), [true, true, false, false]);
    for member in [2, 3] {
        assert_eq!(world.doubled(member), [world.key(0)], "{member}");
    }
}

#[test]
fn nobody_is_named_where_each_runs_once() {
    let mut world = World::new(&[1, 2, 3, 4], &[(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]);
    world.rounds(50);
    assert_eq!(world.has_second(), [false; 4]);
    assert!((0..4).all(|it| world.doubled(it).is_empty()));
}

/// 0 crashes, 1 is its next start; the others hold the dead connections for a while, and pass on what they know.
#[test]
fn a_restart_is_no_copy() {
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
                world.ask(id, a, b);
                world.ask(id, b, a);
                world.now += Duration::from_secs(1);
            }
        }
        for process in 0..4 {
            assert!(!world.processes[process].has_second(world.now), "restart {restart}");
            assert!(world.doubled(process).is_empty(), "restart {restart}");
        }
        world.processes.swap(0, 1);
        world.links = vec![(0, 2), (0, 3), (2, 3)];
    }
}

/// A faulty member claims copies, sends false, stale and foreign proofs, and gives a member its own signatures back.
#[test]
fn a_faulty_member_cannot_make_a_copy_of_one_that_runs_once() {
    let mut world = World::new(&[1, 2, 3], &[(0, 1), (0, 2), (1, 2)]);
    world.rounds(2);
    let (honest, liar) = (world.key(0), world.key(1));
    let id = ConnectionId::new_unchecked(0);
    for step in 0..200u8 {
        let said = world.processes[0].hello_to(&liar, world.now);
        let claim =
            Report { member: honest, instance: Instance([step; 16]), challenge: said.challenge };
        let mut lie = world.processes[1].hello_to(&honest, world.now);
        lie.reports = vec![claim; 20];
        // What the honest one signed itself, for this claim; and with another process's name.
        lie.proofs = said.proofs.clone();
        let renamed = |proof: &Proof| Proof { instance: Instance([9; 16]), ..*proof };
        lie.proofs.extend(said.proofs.iter().map(renamed).collect::<Vec<_>>());
        lie.proofs.push(Proof {
            member: honest,
            challenge: said.challenge,
            instance: Instance([step; 16]),
            signature: [step; 64],
        });
        world.processes[0].on_hello(id, liar, &lie, Some(world.now), world.now);
        // The third one hears the same.
        let third = ConnectionId::new_unchecked(2);
        world.processes[2].on_hello(third, liar, &lie, Some(world.now), world.now);
        world.rounds(1);
        assert_eq!(world.has_second(), [false; 3], "step {step}");
        assert!((0..3).all(|it| world.doubled(it).is_empty()), "step {step}");
        let held = world.processes[0].outbox.values().map(VecDeque::len).sum::<usize>();
        assert!(held <= 3 * MAX_HELLO_PROOFS, "{held}");
    }
}

#[test]
fn a_proof_of_once_does_not_count_later() {
    let mut world = World::new(&[1, 1, 2], &[(0, 2), (1, 2)]);
    world.rounds(4);
    assert!(world.processes[0].has_second(world.now));
    let proofs = world.say(2, 0).proofs;
    assert!(!proofs.is_empty());
    world.now += 20 * INTERVAL;
    world.say(0, 2);
    world.now += 20 * INTERVAL;
    let mut replay = world.say(2, 0);
    replay.proofs = proofs;
    world.say(0, 2);
    let id = ConnectionId::new_unchecked(0);
    let liar = world.key(2);
    world.processes[0].on_hello(id, liar, &replay, None, world.now);
    assert!(!world.processes[0].has_second(world.now));
}
