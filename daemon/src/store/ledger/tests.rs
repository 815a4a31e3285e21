//! Damage at any position, a lost index, and stores of any size.

use std::collections::BTreeMap;
use std::fs;

use fedshield_protocol::ids::{
    Beacon, Epoch, FederationId, ManifestDigest, MemberIndex, RecordDigest,
};
use fedshield_protocol::limits::MAX_PROOFS_PER_MEMBER;
use fedshield_protocol::wire::Record;
use fedshield_protocol::wire::evidence::Evidence;

use super::*;
use crate::control::api::{RoundOutcome, RoundReport};
use crate::store::evidence::{EvidenceEntry, KeptEvidence, Lift};
use crate::store::formats::EVIDENCE_ENTRY;

fn record(round: u64) -> CertifiedRecord {
    let digest = [7; 32];
    CertifiedRecord {
        record: Record {
            federation: FederationId(digest),
            manifest: ManifestDigest(digest),
            epoch: Epoch(0),
            round: Round(round),
            previous: RecordDigest(digest),
            outcome: Outcome::Skipped,
            adapter: None,
            applied: 0,
            beacon: Beacon(digest),
        },
        signatures: vec![],
        attachments: vec![round as u8; 40],
    }
}

fn report(round: u64, loss: Option<f64>) -> RoundReport {
    RoundReport {
        round: Round(round),
        outcome: RoundOutcome::Skipped,
        adapter_digest: None,
        contributors: vec![],
        committee: vec![],
        bytes: BTreeMap::new(),
        bytes_in: BTreeMap::new(),
        seconds: BTreeMap::new(),
        train_loss: None,
        held_out_loss: loss,
        mean_loss: None,
        update_bytes_f32: 0,
        sent_bytes: 0,
    }
}

fn two_votes(member: u16, round: u64) -> Evidence {
    let vote = |byte: u8| {
        let body = fedshield_protocol::wire::Body::RecordSignature(RecordDigest([byte; 32]));
        (body, fedshield_protocol::sign::Signature::default())
    };
    Evidence::equivocation(MemberIndex(member), Round(round), vote(1), vote(2))
}

#[test]
fn of_one_member_only_so_much_evidence_is_kept_and_a_lift_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let put = |ledger: &Ledger, member: u16, round: u64| {
        let bytes = two_votes(member, round).encode().unwrap();
        ledger.put_evidence(&EvidenceEntry::now("ward", "two votes", &bytes)).unwrap()
    };
    for _ in 0..2 {
        // The bound holds across restarts.
        let ledger = Ledger::open(&home).unwrap().ledger;
        let kept: Vec<bool> = (0..20).map(|round| put(&ledger, 1, round)).collect();
        let before = ledger.evidence().unwrap().len();
        assert_eq!(before, MAX_PROOFS_PER_MEMBER, "{kept:?}");
    }
    let ledger = Ledger::open(&home).unwrap().ledger;
    assert!(put(&ledger, 2, 3) && !put(&ledger, 2, 3), "one of each rule in a round");
    let lift = |through| Lift {
        member: MemberIndex(1),
        through: Round(through),
        at_unix_s: 7,
        by: Some("ada".to_owned()),
    };
    ledger.put_lift(&lift(9)).unwrap();
    ledger.put_lift(&lift(30)).unwrap();
    drop(ledger);
    let ledger = Ledger::open(&home).unwrap().ledger;
    assert_eq!(ledger.lifts(), [lift(30)]);
    assert!(put(&ledger, 1, 31), "what came before the lift does not count");
    assert_eq!(ledger.evidence().unwrap().len(), MAX_PROOFS_PER_MEMBER + 2);
}

/// Evidence of earlier versions is still listed with its text; it bans nobody and cannot be sent to
/// others.
#[test]
fn evidence_of_an_earlier_version_is_kept_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    drop(Ledger::open(&home).unwrap());
    let old = EvidenceEntry::now("ward", "a wrong partial decryption", b"the form of before");
    let body = old.encode().unwrap();
    let mut bytes = fs::read(home.evidence()).unwrap();
    let entry = EVIDENCE_FORMAT.encode(bytes.len() as u64, EVIDENCE_ENTRY, &body);
    bytes.extend_from_slice(&entry);
    fs::write(home.evidence(), bytes).unwrap();
    let Opened { ledger, repairs, .. } = Ledger::open(&home).unwrap();
    assert_eq!(repairs, []);
    assert_eq!(ledger.evidence().unwrap(), [KeptEvidence { evidence: old, proof: None }]);
}

fn filled(home: &Home, rounds: u64) {
    let ledger = Ledger::open(home).unwrap().ledger;
    for round in ledger.count()..rounds {
        ledger.append(&record(round)).unwrap();
        ledger.put_report(&report(round, None)).unwrap();
        ledger.put_report(&report(round, Some(round as f64))).unwrap();
    }
}

fn check(ledger: &Ledger, rounds: u64) {
    assert_eq!(ledger.count(), rounds);
    let expected: Vec<_> = (0..rounds).map(record).collect();
    assert_eq!(ledger.records().unwrap(), expected);
    let read = fedshield_protocol::ledger::decode(&ledger.bytes().unwrap()).unwrap();
    assert_eq!(read, expected);
    assert_eq!(ledger.record(Round(rounds)).unwrap(), None);
}

#[test]
fn everything_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    filled(&home, 5);
    let held_out =
        HeldOut { round: Round(4), loss: 1.5, base: None, examples: 3, tokens: 9, sample: None };
    let proof = two_votes(1, 0);
    let evidence = EvidenceEntry::now("ward", "two votes", &proof.encode().unwrap());
    let ledger = Ledger::open(&home).unwrap().ledger;
    ledger.put_held_out(&held_out).unwrap();
    for _ in 0..3 {
        ledger.put_evidence(&evidence).unwrap();
    }
    drop(ledger);
    let Opened { ledger, repairs, remarks } = Ledger::open(&home).unwrap();
    assert_eq!((repairs, remarks), (vec![], vec![]));
    check(&ledger, 5);
    assert_eq!(ledger.record(Round(3)).unwrap(), Some(record(3)));
    assert_eq!(ledger.report(Round(3)).unwrap(), Some(report(3, Some(3.0))));
    assert_eq!(ledger.reports().unwrap().len(), 5);
    assert_eq!(ledger.held_out(), Some(held_out));
    let kept = KeptEvidence { evidence, proof: Some(proof) };
    assert_eq!(ledger.evidence().unwrap(), std::slice::from_ref(&kept));
    assert_eq!(ledger.evidence_named(&kept.evidence.object().root).unwrap(), Some(kept));
}

#[test]
fn records_are_read_from_any_round_and_within_a_budget() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    filled(&home, 20);
    let ledger = Ledger::open(&home).unwrap().ledger;
    let one = encode_record(&record(7)).unwrap().len();
    let rounds = |from: u64, room| -> Vec<u64> {
        let read = ledger.read_from(Round(from), room).unwrap();
        read.iter().map(|it| it.record.round.0).collect()
    };
    assert_eq!(rounds(7, 3 * one), [7, 8, 9]);
    assert_eq!(rounds(7, 3 * one - 1), [7, 8]);
    assert_eq!(rounds(18, usize::MAX), [18, 19]);
    assert_eq!(rounds(20, usize::MAX), [0_u64; 0]);
    let mut seen = Vec::new();
    let visit = |it: CertifiedRecord| {
        seen.push(it.record.round.0);
        if seen.len() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    ledger.for_each(Round(4), visit).unwrap();
    assert_eq!(seen, [4, 5]);
}

#[test]
fn a_record_of_another_round_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    filled(&home, 2);
    let ledger = Ledger::open(&home).unwrap().ledger;
    for round in [0, 1, 3] {
        let error = ledger.append(&record(round)).unwrap_err();
        assert!(error.to_string().contains("in the place of round 2"), "{error}");
    }
    ledger.append(&record(2)).unwrap();
    check(&ledger, 3);
}

/// Everything that a crash can leave: every prefix of the file, with and without zeros after it.
#[test]
fn an_append_that_was_cut_short_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    filled(&home, 3);
    let whole = fs::read(home.ledger()).unwrap();
    let two = fedshield_protocol::ledger::encode(&[record(0), record(1)]).unwrap().len();
    for end in two + 1..whole.len() {
        for zeros in [0, 1000] {
            let mut bytes = whole[..end].to_vec();
            bytes.resize(end + zeros, 0);
            fs::write(home.ledger(), &bytes).unwrap();
            let Opened { ledger, repairs, .. } = Ledger::open(&home).unwrap();
            check(&ledger, 2);
            assert_eq!(repairs[0].offset, two as u64, "cut at {end}, {zeros} zeros");
            ledger.append(&record(2)).unwrap();
            check(&ledger, 3);
        }
    }
}

#[test]
fn damage_is_named_by_its_byte_and_put_aside_and_what_precedes_it_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    filled(&home, 4);
    let whole = fs::read(home.ledger()).unwrap();
    let ends: Vec<usize> = (0..=4)
        .map(|count| {
            let records: Vec<_> = (0..count).map(record).collect();
            fedshield_protocol::ledger::encode(&records).unwrap().len()
        })
        .collect();
    for at in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(home.ledger(), &bytes).unwrap();
        // After the first bytes all entries are whole.
        let left = ends.iter().rposition(|end| *end <= at).unwrap_or(4) as u64;
        // Opening to read changes nothing.
        let scratch = tempfile::tempdir().unwrap();
        let looked = Ledger::open_to_read(&home, scratch.path()).unwrap().unwrap();
        check(&looked.ledger, left);
        assert!(looked.ledger.append(&record(left)).is_err());
        assert_eq!(fs::read(home.ledger()).unwrap(), bytes);
        let Opened { ledger, repairs, .. } = Ledger::open(&home).unwrap();
        check(&ledger, left);
        let repair = &repairs[0];
        assert!(!repair.torn, "byte {at}");
        let start = ends.iter().rev().find(|end| **end <= at).copied().unwrap_or(0);
        assert_eq!(repair.offset, start as u64, "byte {at}");
        let aside = repair.aside.as_ref().unwrap();
        assert_eq!(fs::read(aside).unwrap(), bytes);
        fs::remove_file(aside).unwrap();
        for round in left..4 {
            ledger.append(&record(round)).unwrap();
        }
        drop(ledger);
        assert_eq!(fs::read(home.ledger()).unwrap(), whole);
    }
}

#[test]
fn files_of_a_later_version_are_refused_and_left_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    filled(&home, 2);
    let whole = fs::read(home.ledger()).unwrap();
    let later = [b"fsledg3\n", &b"what a later version writes"[..]].concat();
    let mut kind = whole.clone();
    let entry = LEDGER_FORMAT.encode(kind.len() as u64, 77, b"later");
    kind.extend_from_slice(&entry);
    for bytes in [later, kind] {
        fs::write(home.ledger(), &bytes).unwrap();
        let error = Ledger::open(&home).unwrap_err();
        assert!(matches!(error, StoreError::Newer { .. }), "{error}");
        assert!(error.to_string().contains("upgrade"), "{error}");
        assert_eq!(fs::read(home.ledger()).unwrap(), bytes);
    }
}

#[test]
fn records_that_do_not_follow_are_cut_off_with_a_copy() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    filled(&home, 6);
    let ledger = Ledger::open(&home).unwrap().ledger;
    let repair = ledger.cut(Round(4), "its signature does not verify").unwrap().unwrap();
    assert!(repair.to_string().contains("its signature does not verify"), "{repair}");
    check(&ledger, 4);
    ledger.append(&record(4)).unwrap();
    check(&ledger, 5);
    drop(ledger);
    check(&Ledger::open(&home).unwrap().ledger, 5);
}

/// Whatever happens to the index, the ledger stays the same.
#[test]
fn the_index_can_be_gone_old_damaged_or_of_another_home() {
    let folder = tempfile::tempdir().unwrap();
    let (home, other) = (Home::new(folder.path().join("a")), Home::new(folder.path().join("b")));
    filled(&home, 3);
    let old = folder.path().join("old");
    copy(&home.index(), &old);
    filled(&home, 30);
    filled(&other, 50);
    let damages: [fn(&Home, &Home, &std::path::Path); 6] = [
        |home, _, _| fs::remove_dir_all(home.index()).unwrap(),
        |home, _, old| copy(old, &home.index()),
        |home, other, _| copy(&other.index(), &home.index()),
        |home, _, _| fs::write(home.index().join("db"), [0xa5; 5000]).unwrap(),
        |home, _, _| fs::write(home.index().join("conf"), b"nonsense").unwrap(),
        |home, _, _| {
            fs::remove_dir_all(home.index()).unwrap();
            fs::write(home.index(), b"a file").unwrap();
        },
    ];
    for damage in damages {
        damage(&home, &other, &old);
        let opened = Ledger::open(&home).unwrap();
        check(&opened.ledger, 30);
        assert_eq!(opened.ledger.reports().unwrap().len(), 30);
        drop(opened);
        check(&Ledger::open(&home).unwrap().ledger, 30);
    }
}

#[test]
fn an_index_that_fails_while_it_is_used_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    filled(&home, 10);
    let ledger = Ledger::open(&home).unwrap().ledger;
    let scans = ledger.scan_again().unwrap();
    let failure = crate::store::index::contain::<()>(|| panic!("a page")).unwrap_err();
    ledger.use_memory_index(&failure, &scans);
    check(&ledger, 10);
    ledger.append(&record(10)).unwrap();
    check(&ledger, 11);
    drop(ledger);
    check(&Ledger::open(&home).unwrap().ledger, 11);
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    if to.exists() {
        fs::remove_dir_all(to).unwrap();
    }
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
