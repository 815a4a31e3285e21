//! Kills and starts, over and over: of one member, of all at once, with a disk lost each time.
//! Every record is there after each, and the history verifies.
//!
//! `cargo test --workspace` runs a few of each; a hundred with
//! `FEDSHIELD_STORM_KILLS=100 cargo test --workspace --test storm`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use fedshield_protocol::ledger::record_digest;
use fedshield_protocol::wire::CertifiedRecord;
use fedshield_tests::{Federation, Program, Terms};
use fedshieldd::home::Home;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How often each storm strikes.
fn kills() -> u64 {
    let given = std::env::var("FEDSHIELD_STORM_KILLS").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(4)
}

/// More rounds than a storm lasts.
const ROUNDS: u64 = 100_000;

struct Storm {
    federation: Federation,
    program: Program,
    rng: ChaCha8Rng,
    /// The longest history that any member has shown.
    known: Vec<[u8; 32]>,
}

impl Storm {
    fn begin(seed: u64) -> Self {
        let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
        let terms = Terms { rounds: ROUNDS, phase_ms: 3000, ..Terms::default() };
        let federation = Federation::found(&program, &terms);
        let mut it =
            Self { federation, program, rng: ChaCha8Rng::seed_from_u64(seed), known: Vec::new() };
        it.round_ends();
        it
    }

    /// Waits until the round that is under way has ended at every member, and compares all
    /// histories: the next strike is one of another round, so that no more than one disk is lost in
    /// each.
    fn round_ends(&mut self) {
        self.federation.wait_until("all daemons answer", |daemons| {
            daemons.iter().all(|daemon| !daemon.ledger().is_empty())
        });
        let longest = self.federation.daemons.iter().map(|daemon| daemon.ledger().len()).max();
        let wanted = longest.unwrap_or_default().max(self.known.len()) + 1;
        self.federation.wait_until("the round ends", |daemons| {
            daemons.iter().all(|daemon| daemon.ledger().len() >= wanted)
        });
        let before = self.known.len();
        for member in 0..self.federation.daemons.len() {
            let digests = digests(&self.federation.daemons[member].ledger());
            let shared = digests.len().min(self.known.len());
            assert!(digests[..shared] == self.known[..shared], "member {member} forked");
            assert!(digests.len() >= before, "member {member} lost records");
            self.program.run(&self.federation.daemons[member].home, ["ledger", "verify"]).ok();
            if digests.len() > self.known.len() {
                self.known = digests;
            }
        }
    }

    /// At any moment of a round.
    fn sleep(&mut self) {
        std::thread::sleep(Duration::from_millis(self.rng.random_range(0..1500)));
    }

    fn kill(&mut self, members: &[usize]) {
        for member in members {
            self.federation.daemons[*member].kill();
        }
    }

    fn start(&mut self, members: &[usize]) {
        for member in members {
            self.federation.restart(*member);
        }
    }
}

fn digests(records: &[CertifiedRecord]) -> Vec<[u8; 32]> {
    records.iter().map(|certified| *record_digest(&certified.record).as_bytes()).collect()
}

/// A new disk with what docs/OPERATING.md says to back up.
fn lose_disk(home: &Path) {
    let home = Home::new(home);
    let kept = [home.identity(), home.config(), home.manifest()].map(|file| {
        let bytes = fs::read(&file).expect("it is there");
        (file, bytes)
    });
    fs::remove_dir_all(home.path()).expect("it can be removed");
    fs::create_dir(home.path()).expect("it can be made");
    for (file, bytes) in kept {
        fs::write(file, bytes).expect("it can be written");
    }
}

#[test]
fn all_members_are_killed_again_and_again() {
    let mut storm = Storm::begin(1);
    for kill in 0..kills() {
        storm.sleep();
        storm.kill(&[0, 1, 2, 3]);
        storm.start(&[0, 1, 2, 3]);
        storm.round_ends();
        eprintln!("kill {kill} of all: {} records everywhere", storm.known.len());
    }
}

#[test]
fn one_member_is_killed_again_and_again() {
    let mut storm = Storm::begin(2);
    for kill in 0..kills() {
        storm.sleep();
        let victim = storm.rng.random_range(0..4);
        storm.kill(&[victim]);
        storm.start(&[victim]);
        storm.round_ends();
        eprintln!("kill {kill} of one: {} records everywhere", storm.known.len());
    }
}

/// The others start anew as well: what they knew of the lost one's round must be on their disks.
#[test]
fn a_disk_is_lost_each_time_that_all_are_killed() {
    let mut storm = Storm::begin(3);
    for kill in 0..kills() {
        storm.sleep();
        let victim = storm.rng.random_range(0..4);
        storm.kill(&[0, 1, 2, 3]);
        lose_disk(&storm.federation.daemons[victim].home);
        storm.start(&[0, 1, 2, 3]);
        storm.round_ends();
        eprintln!("kill {kill}, disk of {victim} lost: {} records everywhere", storm.known.len());
    }
}
