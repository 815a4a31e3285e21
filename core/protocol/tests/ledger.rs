//! A ledger verifies by itself; any flipped byte is found, and its record is named.

mod fixture;

use fedshield_protocol::ids::MemberIndex;
use fedshield_protocol::ledger::{
    Attachments, LEDGER_FORMAT, LedgerError, decode, encode, encode_record, verify,
};
use proptest::prelude::*;

#[test]
fn a_ledger_of_every_outcome_verifies() {
    let (manifest, records) = fixture::ledger();
    let summary = verify(&manifest, &decode(&encode(&records).unwrap()).unwrap()).unwrap();
    assert_eq!(summary.records, 4);
    assert_eq!((summary.applied, summary.rejected, summary.voided, summary.skipped), (1, 1, 1, 1));
    assert_eq!(summary.tip.adapter, Some(fixture::object(7)));
}

#[test]
fn order_quorum_and_manifest_matter() {
    let (manifest, records) = fixture::ledger();
    let mut swapped = records.clone();
    swapped.swap(1, 2);
    let mut short = records.clone();
    short[2].signatures.pop();
    let mut twice = records.clone();
    let first = twice[3].signatures[0].clone();
    twice[3].signatures[1] = first;
    for (changed, expected) in [(swapped, 1), (short, 2), (twice, 3)] {
        match verify(&manifest, &changed) {
            Err(LedgerError::Record { index, .. }) => assert_eq!(index, expected),
            other => panic!("{other:?}"),
        }
    }
    let mut other = manifest;
    other.manifest.rounds = 4;
    assert!(matches!(verify(&other, &records), Err(LedgerError::Manifest(_))));
}

/// A record names the evidence of its round. Without any it has the bytes of earlier versions, and
/// these are still read.
#[test]
fn attachments_name_evidence_and_are_those_of_before_without_any() {
    let (manifest, records) = fixture::ledger();
    for record in &records {
        let plain = Attachments::decode(&record.attachments).unwrap();
        assert_eq!(plain.encode().unwrap(), record.attachments);
        let name = |member: u16| (MemberIndex(member), fixture::object(member as u8));
        let with = |evidence: Vec<_>| Attachments { evidence, ..plain.clone() }.encode().unwrap();
        let of = |attachments: Vec<u8>| {
            let mut all = records.clone();
            let position = record.record.round.0 as usize;
            all[position].attachments = attachments;
            verify(&manifest, &all)
        };
        let named = with(vec![name(1), name(3)]);
        assert!(named.starts_with(&record.attachments), "the shorter form goes on");
        assert_eq!(Attachments::decode(&named).unwrap().evidence, [name(1), name(3)]);
        assert!(of(named.clone()).is_ok());
        for wrong in [vec![name(3), name(1)], vec![name(1), name(1)], vec![name(4)]] {
            assert!(of(with(wrong)).is_err());
        }
        // An explicit empty list, or trailing bytes after the list, would be second encodings of
        // the same record.
        assert!(of([record.attachments.clone(), vec![0]].concat()).is_err());
        assert!(of([named, vec![0]].concat()).is_err());
    }
}

#[test]
fn a_flipped_byte_anywhere_is_found() {
    let (manifest, records) = fixture::ledger();
    let bytes = encode(&records).unwrap();
    // Where each record ends, its length included.
    let mut ends = Vec::new();
    let mut end = 8;
    for record in &records {
        end += encode(std::slice::from_ref(record)).unwrap().len() - 8;
        ends.push(end);
    }
    proptest!(ProptestConfig::with_cases(400), |(at in 0..bytes.len(), flip in 1_u8..)| {
        let mut changed = bytes.clone();
        changed[at] ^= flip;
        let result = decode(&changed).and_then(|records| verify(&manifest, &records));
        match result {
            Err(LedgerError::NotALedger | LedgerError::NewerFormat { .. }) => prop_assert!(at < 8),
            Err(LedgerError::Record { index, .. }) => {
                let holder = ends.iter().position(|end| at < *end).unwrap();
                prop_assert_eq!(index, holder);
            }
            other => prop_assert!(false, "byte {}: {:?}", at, other),
        }
    });
}

#[test]
fn a_ledger_of_the_first_version_is_still_read() {
    let (manifest, records) = fixture::ledger();
    let mut bytes = b"fsledg1\n".to_vec();
    for record in &records {
        let body = encode_record(record).unwrap();
        bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&body);
    }
    let read = decode(&bytes).unwrap();
    assert_eq!(read, records);
    verify(&manifest, &read).unwrap();
    bytes.pop();
    let error = decode(&bytes).unwrap_err().to_string();
    assert!(error.starts_with("record 3 (round 3): the file ends within it (at byte "), "{error}");
}

#[test]
fn what_this_version_does_not_know_is_refused_by_name() {
    let mut bytes = encode(&[]).unwrap();
    bytes[6] = b'3';
    let error = decode(&bytes).unwrap_err();
    assert_eq!(error, LedgerError::NewerFormat { version: '3' });
    let mut bytes = encode(&[]).unwrap();
    let entry = LEDGER_FORMAT.encode(bytes.len() as u64, 9, b"a later kind");
    bytes.extend_from_slice(&entry);
    let error = decode(&bytes).unwrap_err().to_string();
    assert!(error.contains("of kind 9") && error.contains("upgrade"), "{error}");
}
