//! The ledger at the size that federations reach, opened again and again, and killed in the middle
//! of what it does.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use fedshield_protocol::ids::{Beacon, Epoch, FederationId, ManifestDigest, RecordDigest, Round};
use fedshield_protocol::wire::{CertifiedRecord, Outcome, Record};
use fedshieldd::control::api::{RoundOutcome, RoundReport};
use fedshieldd::home::Home;
use fedshieldd::store::{Ledger, Opened};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Tells a process of this test that it is to write until it is killed.
const HOME_VARIABLE: &str = "FEDSHIELD_TEST_LEDGER_HOME";

fn record(round: u64) -> CertifiedRecord {
    let digest = [round as u8; 32];
    let record = Record {
        federation: FederationId(digest),
        manifest: ManifestDigest(digest),
        epoch: Epoch(0),
        round: Round(round),
        previous: RecordDigest(digest),
        outcome: Outcome::Skipped,
        adapter: None,
        applied: 0,
        beacon: Beacon(digest),
    };
    CertifiedRecord { record, signatures: vec![], attachments: vec![round as u8; 900] }
}

fn report(round: u64) -> RoundReport {
    RoundReport {
        round: Round(round),
        outcome: RoundOutcome::Skipped,
        adapter_digest: None,
        contributors: vec!["ward".into(); 4],
        committee: vec![],
        bytes: [("ciphertext".to_owned(), round)].into(),
        bytes_in: [].into(),
        seconds: [].into(),
        train_loss: Some(1.5),
        held_out_loss: None,
        mean_loss: None,
        update_bytes_f32: 0,
        sent_bytes: 0,
    }
}

/// What lost the ledgers of the first version: it failed at about the twentieth opening.
#[test]
fn eight_rows_twice_in_forty_openings() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    for open in 0..40 {
        let Opened { ledger, repairs, remarks } = Ledger::open(&home).unwrap();
        assert_eq!((ledger.count(), repairs, remarks), (open * 8, vec![], vec![]));
        for round in open * 8..(open + 1) * 8 {
            ledger.append(&record(round)).unwrap();
            ledger.put_report(&report(round)).unwrap();
            ledger.put_report(&report(round)).unwrap();
        }
    }
    let ledger = Ledger::open(&home).unwrap().ledger;
    assert_eq!(ledger.records().unwrap(), (0..320).map(record).collect::<Vec<_>>());
    assert_eq!(ledger.reports().unwrap(), (0..320).map(report).collect::<Vec<_>>());
}

#[test]
fn ledgers_of_50_to_5000_rounds_are_opened_again_and_again() {
    for rounds in [50, 500, 5000] {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let records: Vec<_> = (0..rounds).map(record).collect();
        let bytes = fedshield_protocol::ledger::encode(&records).unwrap();
        fs::write(home.ledger(), &bytes).unwrap();
        for _ in 0..12 {
            let Opened { ledger, repairs, remarks } = Ledger::open(&home).unwrap();
            assert_eq!((ledger.count(), repairs, remarks), (rounds, vec![], vec![]));
            assert_eq!(
                ledger.record(Round(rounds / 2)).unwrap().as_ref(),
                records.get(rounds as usize / 2)
            );
        }
        let scratch = tempfile::tempdir().unwrap();
        for _ in 0..3 {
            let looked = Ledger::open_to_read(&home, scratch.path()).unwrap().unwrap();
            assert_eq!(looked.ledger.bytes().unwrap(), bytes);
        }
        assert_eq!(fs::read(home.ledger()).unwrap(), bytes);
    }
}

/// Not a test by itself: what the next one starts and kills.
#[test]
fn a_process_that_writes_until_it_is_killed() {
    let Some(home) = std::env::var_os(HOME_VARIABLE) else { return };
    let ledger = Ledger::open(&Home::new(home)).unwrap().ledger;
    for round in ledger.count().. {
        ledger.append(&record(round)).unwrap();
        ledger.put_report(&report(round)).unwrap();
        writeln!(std::io::stdout(), "kept {}", round + 1).unwrap();
    }
}

#[test]
fn a_hundred_kills_lose_nothing_that_was_kept() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut last = 0;
    for kill in 0..100 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_process_that_writes_until_it_is_killed", "--nocapture"])
            .env(HOME_VARIABLE, home.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let wanted = rng.random_range(0..6);
        let mut kept = last;
        let mut seen = 0;
        while seen < wanted {
            let line = lines.next().expect("it writes on").unwrap();
            if let Some((_, count)) = line.split_once("kept ") {
                kept = count.trim().parse().unwrap();
                seen += 1;
            }
        }
        // Somewhere in what follows, not only between two rounds.
        std::thread::sleep(Duration::from_micros(rng.random_range(0..3000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let Opened { ledger, repairs, remarks } = Ledger::open(&home).unwrap();
        assert!(repairs.iter().all(|repair| repair.torn), "kill {kill}: {repairs:?}");
        // An index that a kill has left half written is made anew; nothing else may need a word.
        assert!(remarks.iter().all(|remark| remark.starts_with("the index at")), "{remarks:?}");
        assert!(ledger.count() >= kept, "kill {kill}: {} of {kept} records", ledger.count());
        let records = ledger.records().unwrap();
        assert_eq!(records, (0..ledger.count()).map(record).collect::<Vec<_>>(), "kill {kill}");
        let read = fedshield_protocol::ledger::decode(&ledger.bytes().unwrap()).unwrap();
        assert_eq!(read, records);
        last = ledger.count();
    }
    eprintln!("{last} records after 100 kills");
    assert!(last > 100);
}
