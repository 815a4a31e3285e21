//! The bytes on the wire and in the journal, pinned. A change here is a change of version.

mod fixture;

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use fedshield_protocol::ids::{Digest, MemberIndex, Round, View};
use fedshield_protocol::manifest::ValidManifest;
use fedshield_protocol::sign::Signature;
use fedshield_protocol::wire::journal::{Entry, MissedAnswer, Note, VotingState};
use fedshield_protocol::wire::{
    Accusation, Bits, Body, CommitmentBody, Complaint, Decided, Decision, Goodbye, Heartbeat,
    Justification, Known, Leave, Proposal, Remedy, ReportBundle, Set, Signed, Statement, Value,
    Vote, VoteKind,
};
use fixture::{certificate, ledger, message, object, sign, signed_manifest};

fn bodies() -> Vec<Body> {
    let manifest = ValidManifest::founded(signed_manifest(4)).unwrap();
    let set: Set = (0..3).map(|m| (MemberIndex(m), Digest([m as u8; 32]))).collect();
    let report = Body::Report(set.clone());
    let reports: BTreeMap<_, _> = (0..3)
        .map(|m| (MemberIndex(m), (set.clone(), sign(&manifest, Round(2), m, &report))))
        .collect();
    let bundle = ReportBundle::pack(&reports, 3).unwrap();
    let value = Value::Aggregate { set: set.clone(), aggregate: object(5) };
    let attestation = (MemberIndex(0), sign(&manifest, Round(2), 0, &report));
    let bits = || Bits::of(4, [MemberIndex(1), MemberIndex(3)]);
    let known = Known {
        keys: bits(),
        commitments: bits(),
        have_updates: bits(),
        reports: bits(),
        attestations: bits(),
        prevotes: bits(),
        precommits: bits(),
        partials: bits(),
        signatures: bits(),
        present: bits(),
        accused: bits(),
    };
    let heartbeat = Heartbeat {
        incarnation: 3,
        number: 5,
        ready: true,
        head: Digest([1; 32]),
        set_decided: true,
        outcome_decided: false,
        voting: Some((Decision::Outcome, View(2))),
        has_proposal: false,
        known,
    };
    let commitment = CommitmentBody {
        ciphertext: object(1),
        boxes: (2..6).map(|i| (i != 3).then(|| object(i))).collect(),
        shares: vec![1, 2, 3],
        layout: Digest([4; 32]),
    };
    let vote = Vote {
        decision: Decision::Set,
        kind: VoteKind::Precommit,
        view: View(3),
        value: Some(value.id()),
    };
    vec![
        Body::Heartbeat(Box::new(heartbeat)),
        Body::SealingKey(vec![9; 32]),
        Body::Commitment(Box::new(commitment)),
        Body::HaveUpdates(vec![Digest([1; 32]), Digest([2; 32])]),
        Body::Complaint(Box::new(Complaint {
            commitment: Digest([3; 32]),
            sealing_key: vec![9; 32],
            remedy: Remedy::Open,
        })),
        Body::ShareOpening {
            commitment: Digest([3; 32]),
            member: MemberIndex(2),
            opening: vec![1, 2, 3],
        },
        report,
        Body::ReportBundle { view: View(1), bundle: bundle.clone() },
        Body::Attestation { set: Digest([5; 32]), aggregate: object(6) },
        Body::Proposal(Box::new(Proposal {
            view: View(0),
            value: value.clone(),
            polka: None,
            justification: Some(Justification { bundle, attestations: vec![attestation] }),
        })),
        Body::Vote(vote),
        Body::Decided(Box::new(Decided {
            certificate: certificate(&manifest, Round(2), &value),
            value,
        })),
        Body::Partial { set: Digest([5; 32]), object: object(8) },
        Body::RecordSignature(Digest([6; 32])),
        Body::GetCommitments(vec![Digest([7; 32])]),
        Body::RecordsRequest(Round(300)),
        Body::Records(ledger().1.into_iter().take(1).collect()),
        Body::Ready,
        Body::RecoveryRequest([8; 32]),
        Body::RecoveryResponse {
            nonce: [8; 32],
            statements: vec![
                (Statement::Ready, sign(&manifest, Round(2), 2, &Body::Ready)),
                (Statement::Vote(vote), sign(&manifest, Round(2), 2, &Body::Vote(vote))),
            ],
            heartbeat: None,
        },
        Body::Goodbye(Goodbye { incarnation: [8; 32], number: 3, why: Leave::SitsOut }),
        Body::Ping,
        Body::Rejection(Digest([9; 32])),
        Body::Accusations(vec![Accusation {
            member: MemberIndex(3),
            round: Round(1),
            object: object(4),
        }]),
        Body::ResealedShare {
            commitment: Digest([3; 32]),
            member: MemberIndex(2),
            sealed: vec![4, 5, 6],
        },
    ]
}

#[test]
fn messages_are_pinned() {
    let manifest = ValidManifest::founded(signed_manifest(4)).unwrap();
    let mut pinned = String::new();
    for body in bodies() {
        assert!(body.is_within_bounds(4), "{}", body.kind());
        let kind = body.kind();
        let bytes = message(&manifest, Round(2), 1, body.clone());
        assert_eq!(Signed::decode(&bytes).unwrap().body, body);
        // Long ones by digest; the signature covers the content either way.
        let shown = match bytes.len() {
            0..=200 => HEXLOWER.encode(&bytes),
            length => format!("{length} bytes, blake3 {}", blake3::hash(&bytes)),
        };
        pinned.push_str(&format!("{kind}: {shown}\n"));
    }
    insta::assert_snapshot!(pinned);
}

#[test]
fn journal_entries_are_pinned() {
    let state = VotingState {
        view: View(2),
        cast: [((View(2), VoteKind::Prevote), None)].into_iter().collect(),
        locked: None,
        valid: None,
        proposed: Some(View(1)),
    };
    let notes = [
        Note::Reported(vec![(MemberIndex(1), Digest([1; 32]))]),
        Note::Attested { set: Digest([2; 32]), aggregate: object(3) },
        Note::Voting { decision: Decision::Set, state, values: vec![Value::Skip] },
        Note::Released { set: Digest([4; 32]), object: object(5) },
        Note::Ready,
        Note::Present(vec![(MemberIndex(2), Signature::from_slice(&[6; 64]).unwrap())]),
        Note::Kept {
            author: MemberIndex(1),
            body: Box::new(fixture::bench::update(1)),
            signature: Signature::from_slice(&[6; 64]).unwrap(),
        },
        Note::Opened { key: object(7), sum: Digest([8; 32]) },
        Note::Reached,
        Note::Rejected(Digest([9; 32])),
        Note::ShareOpened(MemberIndex(2)),
        Note::Excluded(vec![(
            MemberIndex(1),
            MissedAnswer { times: 2, until: Round(9), clean: 1 },
        )]),
    ];
    let mut pinned = String::new();
    for note in notes {
        let entry = Entry::new(Round(7), note);
        let bytes = entry.encode().unwrap();
        assert_eq!(Entry::decode(&bytes).unwrap(), entry);
        pinned.push_str(&HEXLOWER.encode(&bytes));
        pinned.push('\n');
    }
    insta::assert_snapshot!(pinned);
}

#[test]
fn the_founding_digests_are_pinned() {
    let manifest = ValidManifest::founded(signed_manifest(4)).unwrap();
    insta::assert_snapshot!(format!(
        "manifest {}\nfederation {}\nbeacon {}",
        manifest.digest(),
        manifest.federation(),
        manifest.first_beacon()
    ));
}
