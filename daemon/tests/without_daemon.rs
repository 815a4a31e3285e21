//! A home without its daemon: what can be read, and the errors for what cannot.

use fedshield_protocol::ids::{
    Beacon, Epoch, FederationId, ManifestDigest, RecordDigest, Round, SumDigest,
};
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::{CertifiedRecord, Outcome, Record, UpdateSet};
use fedshieldd::control::api::ErrorCode;
use fedshieldd::home::Home;
use fedshieldd::objects::Objects;
use fedshieldd::offline::OfflineHome;
use fedshieldd::store::Ledger;

fn record(round: u64, outcome: Outcome, adapter: Option<ObjectRef>) -> CertifiedRecord {
    let digest = [7; 32];
    let record = Record {
        federation: FederationId(digest),
        manifest: ManifestDigest(digest),
        epoch: Epoch(0),
        round: Round(round),
        previous: RecordDigest(digest),
        outcome,
        adapter,
        applied: round,
        beacon: Beacon(digest),
    };
    CertifiedRecord { record, signatures: vec![], attachments: vec![] }
}

fn applied(adapter: ObjectRef) -> Outcome {
    Outcome::Applied {
        set: UpdateSet::default(),
        aggregate: adapter,
        sum: SumDigest([1; 32]),
        measured: None,
        stops: false,
    }
}

#[test]
fn a_home_that_was_never_used_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path().join("node"));
    assert!(OfflineHome::open(&home).unwrap().is_none());
    assert!(!home.path().exists());
}

#[test]
fn a_home_whose_daemon_is_starting_or_hangs_can_be_read_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let ledger = Ledger::open(&home).unwrap().ledger;
    ledger.append(&record(0, Outcome::Skipped, None)).unwrap();
    let _daemon = home.lock().unwrap();
    let offline = OfflineHome::open(&home).unwrap().unwrap();
    assert_eq!(offline.ledger().unwrap(), ledger.bytes().unwrap());
}

#[test]
fn the_ledger_is_read_and_a_missing_adapter_says_who_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path().join("node"));
    let objects = Objects::open(&home.objects()).unwrap();
    let adapter = objects.put(b"not an adapter").unwrap();
    let records =
        [record(0, applied(adapter), Some(adapter)), record(1, Outcome::Skipped, Some(adapter))];
    let ledger = Ledger::open(&home).unwrap().ledger;
    for record in &records {
        ledger.append(record).unwrap();
    }
    assert_eq!(ledger.last_applied().unwrap(), Some((Round(0), adapter)));
    drop(ledger);

    let offline = OfflineHome::open(&home).unwrap().unwrap();
    let bytes = offline.ledger().unwrap();
    assert_eq!(fedshield_protocol::ledger::decode(&bytes).unwrap(), records);
    assert_eq!(offline.rounds().unwrap(), []);
    // Something else under the adapter's name is no adapter; a lost one can be had again.
    let out = folder.path().join("out");
    assert_eq!(offline.export(&out, "base").unwrap_err().code, ErrorCode::Internal);
    objects.remove(&adapter).unwrap();
    let error = offline.export(&out, "base").unwrap_err();
    assert!(error.hint.unwrap().contains("other members"), "{}", error.message);
    assert!(!out.exists());
}
