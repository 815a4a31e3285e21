//! Every member knows the shape of a round's updates before it has one, and the updates have it.

use fedshield_protocol::job::{Job, JobOutput, UpdateShape};
use fedshield_tests::{Party, parties, run};

use crate::steps::{START, contributions, sealing_keys};

fn shape(party: &Party) -> UpdateShape {
    let JobOutput::Prepared(shape) = run(party, Job::PrepareRound { start: START }) else {
        panic!("not prepared")
    };
    shape
}

#[test]
fn every_member_knows_layout_and_lengths_before_anybody_has_trained() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let parties = parties(folder.path(), 4);
    let expected = shape(&parties[0]);
    assert!(parties.iter().all(|party| shape(party) == expected));
    for update in contributions(&parties, &sealing_keys(&parties)) {
        assert_eq!(update.body.layout, expected.layout);
        assert_eq!(update.body.ciphertext.length, expected.ciphertext_bytes);
        assert!(
            update
                .body
                .sealed_shares
                .iter()
                .flatten()
                .all(|sealed| sealed.length == expected.sealed_share_bytes)
        );
    }
}
