//! Malformed ciphertexts in otherwise valid contributions: the bytes are changed, and the dealing
//! is bound to the changed bytes.

use std::io::{Seek, SeekFrom, Write};

use fedshield_protocol::ids::CommitmentDigest;
use fedshield_protocol::job::{Included, Job, JobOutput};
use fedshield_protocol::object::ObjectRef;
use fedshield_tests::{Party, carry, parties, run};
use tokio_util::sync::CancellationToken;

use crate::steps::{START, contributions, sealing_keys};

/// Before the first block, see `he/src/ciphertext.rs`: the last eight bytes are the count of
/// values.
const HEADER_BYTES: usize = 32;

type Change = fn(&mut Vec<u8>);

fn check(dealer: &Included) -> Job {
    Job::CheckCiphertext { start: START, update: Box::new(dealer.clone()) }
}

fn is_valid(party: &Party, dealer: &Included) -> bool {
    let JobOutput::Checked { valid } = run(party, check(dealer)) else { panic!("not checked") };
    valid
}

/// The same dealing bound to other bytes, as a Byzantine contributor would share it.
fn bound_to(dealer: &Included, ciphertext: ObjectRef) -> Included {
    let mut changed = dealer.clone();
    let (old, new) = (dealer.body.ciphertext.root.0, ciphertext.root.0);
    let shares = &mut changed.body.shares;
    let at = shares.windows(32).position(|window| window == old).expect("the digest is in it");
    shares[at..at + 32].copy_from_slice(&new);
    changed.body.ciphertext = ciphertext;
    changed.commitment = CommitmentDigest([99; 32]);
    changed
}

/// The ciphertext of `dealer` after `change`, carried to all.
fn changed(parties: &[Party], dealer: &Included, change: Change) -> Included {
    let contributor = dealer.member.position();
    let mut bytes = parties[contributor].objects.read(&dealer.body.ciphertext).expect("it is here");
    change(&mut bytes);
    let object = parties[contributor].objects.put(&bytes).expect("it can be kept");
    carry(parties, contributor, &object);
    bound_to(dealer, object)
}

fn is_added(party: &Party, set: &[Included]) -> bool {
    let job = Job::Aggregate { start: START, set: set.to_vec() };
    party.pipeline.run(&job, &CancellationToken::new()).is_ok()
}

#[test]
fn malformed_ciphertexts_are_rejected_by_every_member_and_valid_ones_by_none() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let parties = parties(folder.path(), 4);
    let all = contributions(&parties, &sealing_keys(&parties));
    for dealer in &all {
        assert!(parties.iter().all(|party| is_valid(party, dealer)));
    }
    let changes: [(&str, Change); 8] = [
        ("the first byte", |bytes| bytes[0] ^= 1),
        ("the last byte of the header", |bytes| bytes[HEADER_BYTES - 1] ^= 1),
        ("a count of values", |bytes| bytes[HEADER_BYTES - 8] ^= 1),
        ("words out of range", |bytes| bytes[HEADER_BYTES..HEADER_BYTES + 64].fill(0xff)),
        ("one byte less", |bytes| bytes.truncate(bytes.len() - 1)),
        ("one byte more", |bytes| bytes.push(0)),
        ("a header alone", |bytes| bytes.truncate(HEADER_BYTES)),
        ("one byte", |bytes| bytes.truncate(1)),
    ];
    for (what, change) in changes {
        let bad = changed(&parties, &all[3], change);
        for party in &parties {
            assert!(!is_valid(party, &bad), "{what}");
        }
        let set = [&all[..3], &[bad]].concat();
        assert!(!is_added(&parties[0], &set), "{what}: no sum can be made with it");
    }
}

/// A commitment to another contributor's ciphertext, or with an invalid dealing, is refused too;
/// the copied update stays valid.
#[test]
fn copied_ciphertexts_and_broken_sharings_are_found_out_too() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let parties = parties(folder.path(), 4);
    let all = contributions(&parties, &sealing_keys(&parties));
    let copied = bound_to(&all[3], all[1].body.ciphertext);
    let mut unbound = all[3].clone();
    unbound.body.ciphertext = all[1].body.ciphertext;
    let mut cut = all[3].clone();
    cut.body.shares.pop();
    let mut none = all[3].clone();
    none.body.shares.clear();
    for party in &parties {
        for bad in [&copied, &unbound, &cut, &none] {
            assert!(!is_valid(party, bad), "{bad:?}");
        }
        assert!(is_valid(party, &all[1]));
    }
}

/// Bytes that this member's own disk has changed accuse nobody, and can be fetched again.
#[test]
fn a_disk_that_changes_bytes_accuses_nobody() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let parties = parties(folder.path(), 4);
    let all = contributions(&parties, &sealing_keys(&parties));
    let (party, object) = (&parties[0], all[2].body.ciphertext);
    for (offset, length) in [(0, object.length), (0, object.length - 1)] {
        let path = party.objects.path(&object).expect("it is here");
        let mut file =
            std::fs::OpenOptions::new().write(true).open(&path).expect("the file can be opened");
        file.seek(SeekFrom::Start(offset)).expect("it can be sought");
        file.write_all(&[0x55]).expect("it can be written");
        file.set_len(length).expect("it can be cut");
        let result = party.pipeline.run(&check(&all[2]), &CancellationToken::new());
        assert!(result.is_err(), "{result:?}");
        assert!(!party.objects.contains(&object).expect("the folder can be read"));
        carry(&parties, 2, &object);
        assert!(is_valid(party, &all[2]));
    }
}
