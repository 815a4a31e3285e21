//! Decoders of messages, journal and ledger.

use fedshield_protocol::ledger;
use fedshield_protocol::manifest::SignedManifest;
use fedshield_protocol::wire::Signed;
use fedshield_protocol::wire::evidence::{EVIDENCE_FORMAT, Evidence, EvidenceFile};
use fedshield_protocol::wire::journal::Entry;

use super::Target;

pub(super) fn targets() -> Vec<Target> {
    let ledger = ledger::encode(&[]).expect("an empty ledger can be written");
    vec![
        Target { name: "message", seeds: vec![vec![1; 200]], run: |b| drop(Signed::decode(b)) },
        Target {
            name: "manifest",
            seeds: vec![vec![1; 300]],
            run: |b| drop(SignedManifest::decode(b)),
        },
        Target {
            name: "journal_entry",
            seeds: vec![vec![1; 100]],
            run: |b| drop(Entry::decode(b)),
        },
        Target { name: "evidence", seeds: vec![vec![1; 100]], run: |b| drop(Evidence::decode(b)) },
        Target {
            name: "evidence_file",
            seeds: vec![EVIDENCE_FORMAT.magic.to_vec()],
            run: |b| drop(EvidenceFile::decode(b)),
        },
        Target { name: "ledger", seeds: vec![ledger], run: |b| drop(ledger::decode(b)) },
    ]
}
