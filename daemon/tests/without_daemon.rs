//! A home without its daemon: what can be read, and what says why it cannot.

use std::sync::Arc;

use fedshield_protocol::ids::{Digest, Epoch, Round};
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::record::{CertifiedRecord, Outcome, Record};
use fedshieldd::control::api::ErrorCode;
use fedshieldd::home::Home;
use fedshieldd::objects::Objects;
use fedshieldd::stopped::Stopped;
use fedshieldd::store::{Ledger, SledStore};

fn record(round: u64, outcome: Outcome, adapter: Option<ObjectRef>) -> CertifiedRecord {
    let digest = Digest([7; 32]);
    let record = Record {
        federation: digest,
        manifest: digest,
        epoch: Epoch(0),
        round: Round(round),
        previous: digest,
        outcome,
        adapter,
        applied: round,
        beacon: digest,
    };
    CertifiedRecord { record, signatures: vec![], attachments: vec![] }
}

fn applied(adapter: ObjectRef) -> Outcome {
    Outcome::Applied { set: vec![], aggregate: adapter, sum: Digest([1; 32]) }
}

#[test]
fn a_home_that_was_never_used_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path().join("node"));
    assert!(Stopped::open(&home).unwrap().is_none());
    assert!(!home.path().exists());
}

#[test]
fn a_daemon_that_has_the_home_keeps_readers_out() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    std::fs::create_dir(home.store()).unwrap();
    let _daemon = home.lock().unwrap();
    let error = Stopped::open(&home).unwrap_err();
    assert_eq!(error.code, ErrorCode::AddressInUse);
    assert!(error.hint.unwrap().contains("try again"));
}

#[test]
fn the_ledger_is_read_and_a_missing_adapter_says_who_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path().join("node"));
    let objects = Objects::open(&home.objects()).unwrap();
    let adapter = objects.put(b"not an adapter").unwrap();
    let records =
        [record(0, applied(adapter), Some(adapter)), record(1, Outcome::Skipped, Some(adapter))];
    let ledger = Ledger::new(Arc::new(SledStore::open(&home.store()).unwrap()));
    for record in &records {
        ledger.append(record).unwrap();
    }
    assert_eq!(ledger.last_applied().unwrap(), Some((Round(0), adapter)));
    drop(ledger);

    let offline = Stopped::open(&home).unwrap().unwrap();
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
