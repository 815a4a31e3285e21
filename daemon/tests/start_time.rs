//! What a start has to verify of a ledger, and how long that takes.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use fedshield_fixtures::history::{founded, history};
use fedshield_fixtures::key;
use fedshield_protocol::ids::{Digest, Round};
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::CertifiedRecord;
use fedshield_protocol::{Machine, MachineConfig};
use fedshieldd::home::Home;
use fedshieldd::store::{CheckpointKey, Ledger};

const ADAPTER: ObjectRef = ObjectRef { root: Digest([7; 32]), length: 1000 };

fn machine(members: u16) -> Machine {
    Machine::new(MachineConfig::new(founded(members, 100_000), key(0)).unwrap())
}

fn write(home: &Home, records: &[CertifiedRecord]) {
    let ledger = Ledger::open(home).unwrap().ledger;
    records.iter().for_each(|record| ledger.append(record).unwrap());
}

/// Opens the ledger and gives it to a machine as a start does; how many records were verified
/// before, and how long it took.
fn start(home: &Home, members: u16, key: &CheckpointKey) -> (u64, Duration) {
    let mut machine = machine(members);
    let began = Instant::now();
    let ledger = Ledger::open(home).unwrap().ledger;
    let verified = ledger.verified(key).unwrap();
    let mut last = None;
    ledger
        .for_each(Round(0), |record| {
            let is_new = record.record.round.0 >= verified;
            let replayed = match is_new {
                true => machine.replay(&record),
                false => machine.replay_verified(&record),
            };
            replayed.unwrap();
            last = Some(record);
            ControlFlow::Continue(())
        })
        .unwrap();
    let took = began.elapsed();
    ledger.set_verified(key, &last.unwrap());
    (verified, took)
}

#[test]
fn what_was_verified_is_not_verified_again_as_long_as_it_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let [own, other] = [1, 2].map(|byte| CheckpointKey::from_seed(&[byte; 32]));
    let records = history(&founded(4, 100_000), 12, ADAPTER);
    write(&home, &records[..10]);
    assert_eq!(start(&home, 4, &own).0, 0);
    assert_eq!(start(&home, 4, &own).0, 10);
    write(&home, &records[10..]);
    assert_eq!(start(&home, 4, &own).0, 10, "the rest is new");
    assert_eq!(start(&home, 4, &other).0, 0, "of another identity");
    assert_eq!(start(&home, 4, &own).0, 0, "the index has one checkpoint");
    assert_eq!(start(&home, 4, &own).0, 12);
    // Another history of the same length, and a shorter one: nothing is taken for verified.
    for rounds in [12, 8] {
        std::fs::remove_file(home.ledger()).unwrap();
        let adapter = ObjectRef { length: 1001, ..ADAPTER };
        write(&home, &history(&founded(4, 100_000), rounds, adapter));
        let ledger = Ledger::open(&home).unwrap().ledger;
        assert_eq!(ledger.verified(&own).unwrap(), 0, "{rounds}");
    }
    // Without the index everything is verified again.
    std::fs::remove_dir_all(home.index()).unwrap();
    assert_eq!(start(&home, 4, &own).0, 0);
}

#[test]
#[ignore = "a measurement: --ignored --nocapture"]
#[expect(clippy::print_stdout, reason = "it is for people")]
fn the_start_of_five_thousand_rounds() {
    for members in [4, 10] {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let key = CheckpointKey::from_seed(&[1; 32]);
        write(&home, &history(&founded(members, 100_000), 5_000, ADAPTER));
        let (_, before) = start(&home, members, &key);
        let (verified, after) = start(&home, members, &key);
        assert_eq!(verified, 5_000);
        println!("{members} members, 5,000 rounds: {before:.2?} before, {after:.2?} now");
    }
}
