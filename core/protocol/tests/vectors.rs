//! The bytes on the wire and in the journal, pinned. A change here is a change of version.

mod fixture;

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use fedshield_fixtures::real;
use fedshield_protocol::ids::{
    CommitmentDigest, LayoutDigest, MemberIndex, RecordDigest, Round, SetDigest, SumDigest, View,
};
use fedshield_protocol::manifest::{
    Algorithm, Evaluation, LocalOptimizer, ServerOptimizer, Stop, ValidManifest,
};
use fedshield_protocol::sign::Signature;
use fedshield_protocol::wire::journal::{Entry, MissedAnswer, Note, VotingState};
use fedshield_protocol::wire::version::MESSAGES;
use fedshield_protocol::wire::{
    Accusation, Bits, Body, CommitmentBody, Complaint, Decided, Decision, Goodbye, Heartbeat,
    Justification, Known, Leave, Measured, Outcome, Proposal, Remedy, ReportBundle, Signed,
    Statement, UpdateSet, Value, Vote, VoteKind,
};
use fixture::{certificate, ledger, message, object, sign, signed_manifest};

fn bodies() -> Vec<Body> {
    let manifest = ValidManifest::founded(signed_manifest(4)).unwrap();
    let set: UpdateSet =
        (0..3).map(|m| (MemberIndex(m), CommitmentDigest([m as u8; 32]))).collect();
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
        versions: MESSAGES,
        number: 5,
        ready: true,
        head: RecordDigest([1; 32]),
        set_decided: true,
        outcome_decided: false,
        voting: Some((Decision::Outcome, View(2))),
        has_proposal: false,
        known,
    };
    let commitment = CommitmentBody {
        ciphertext: object(1),
        sealed_shares: (2..6).map(|i| (i != 3).then(|| object(i))).collect(),
        shares: vec![1, 2, 3],
        layout: LayoutDigest([4; 32]),
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
        Body::HaveUpdates(vec![CommitmentDigest([1; 32]), CommitmentDigest([2; 32])]),
        Body::Complaint(Box::new(Complaint {
            commitment: CommitmentDigest([3; 32]),
            sealing_key: vec![9; 32],
            remedy: Remedy::Open,
        })),
        Body::ShareOpening {
            commitment: CommitmentDigest([3; 32]),
            member: MemberIndex(2),
            opening: vec![1, 2, 3],
        },
        report,
        Body::ReportBundle { view: View(1), bundle: bundle.clone() },
        Body::Attestation { set: SetDigest([5; 32]), aggregate: object(6) },
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
        Body::Partial { set: SetDigest([5; 32]), object: object(8) },
        Body::RecordSignature(RecordDigest([6; 32])),
        Body::GetCommitments(vec![CommitmentDigest([7; 32])]),
        Body::RecordsRequest(Round(300)),
        fixture::entries(ledger().1.into_iter().take(1)),
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
        Body::Rejection(CommitmentDigest([9; 32])),
        Body::Accusations(vec![Accusation {
            member: MemberIndex(3),
            round: Round(1),
            object: object(4),
        }]),
        Body::ResealedShare {
            commitment: CommitmentDigest([3; 32]),
            member: MemberIndex(2),
            sealed: vec![4, 5, 6],
        },
    ]
}

/// The place of a kind in the encoding. A new kind does not compile here until it has one, and the
/// tests below fail until it has a vector.
const fn place_of_body(body: &Body) -> u8 {
    match body {
        Body::Heartbeat(_) => 0,
        Body::SealingKey(_) => 1,
        Body::Commitment(_) => 2,
        Body::HaveUpdates(_) => 3,
        Body::Complaint(_) => 4,
        Body::ShareOpening { .. } => 5,
        Body::Report(_) => 6,
        Body::ReportBundle { .. } => 7,
        Body::Attestation { .. } => 8,
        Body::Proposal(_) => 9,
        Body::Vote(_) => 10,
        Body::Decided(_) => 11,
        Body::Partial { .. } => 12,
        Body::RecordSignature(_) => 13,
        Body::GetCommitments(_) => 14,
        Body::RecordsRequest(_) => 15,
        Body::Records(_) => 16,
        Body::Ready => 17,
        Body::RecoveryRequest(_) => 18,
        Body::RecoveryResponse { .. } => 19,
        Body::Goodbye(_) => 20,
        Body::Ping => 21,
        Body::Rejection(_) => 22,
        Body::Accusations(_) => 23,
        Body::ResealedShare { .. } => 24,
    }
}

const fn place_of_note(note: &Note) -> u8 {
    match note {
        Note::Committed(_) => 0,
        Note::Reported(_) => 1,
        Note::Attested { .. } => 2,
        Note::Voting { .. } => 3,
        Note::Decided(_) => 4,
        Note::Released { .. } => 5,
        Note::Signed(_) => 6,
        Note::Ready => 7,
        Note::Present(_) => 8,
        Note::Kept { .. } => 9,
        Note::Opened { .. } => 10,
        Note::Reached => 11,
        Note::Rejected(_) => 12,
        Note::Incarnation(_) => 13,
        Note::ShareOpened(_) => 14,
        Note::Excluded(_) => 15,
    }
}

const fn place_of_value(value: &Value) -> u8 {
    match value {
        Value::Aggregate { .. } => 0,
        Value::Skip => 1,
        Value::Opened { .. } => 2,
        Value::Void => 3,
    }
}

const fn place_of_outcome(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Applied { measured: None, stops: false, .. } => 0,
        Outcome::Rejected { .. } => 1,
        Outcome::Void { .. } => 2,
        Outcome::Skipped => 3,
        Outcome::Applied { .. } => 4,
        Outcome::Measured { .. } => 5,
    }
}

/// There is a vector for each place up to the last one, and the encoding begins with the place.
fn check_places<T: serde::Serialize>(vectors: &[T], last: u8, place_of: impl Fn(&T) -> u8) {
    let places: Vec<u8> = vectors.iter().map(&place_of).collect();
    assert_eq!(places, (0..=last).collect::<Vec<_>>(), "one vector for each kind, in order");
    for vector in vectors {
        let bytes = postcard::to_allocvec(vector).unwrap();
        assert_eq!(bytes[0], place_of(vector));
    }
}

fn values() -> Vec<Value> {
    let set: UpdateSet =
        (0..3).map(|m| (MemberIndex(m), CommitmentDigest([m as u8; 32]))).collect();
    vec![
        Value::Aggregate { set, aggregate: object(5) },
        Value::Skip,
        Value::Opened { key: object(7), sum: SumDigest([8; 32]) },
        Value::Void,
    ]
}

#[test]
fn values_and_outcomes_are_pinned() {
    let values = values();
    check_places(&values, 3, place_of_value);
    let mut pinned = String::new();
    for value in &values {
        let bytes = HEXLOWER.encode(&postcard::to_allocvec(value).unwrap());
        pinned.push_str(&format!("value {bytes}\n   id {}\n", value.id()));
    }
    let set: UpdateSet =
        (0..2).map(|m| (MemberIndex(m), CommitmentDigest([m as u8; 32]))).collect();
    let (aggregate, sum) = (object(5), SumDigest([8; 32]));
    let measured = Some(Measured { count: 2, sum: 45_000 });
    let outcomes = [
        Outcome::Applied { set: set.clone(), aggregate, sum, measured: None, stops: false },
        Outcome::Rejected { set: set.clone(), aggregate, sum },
        Outcome::Void { set: set.clone(), aggregate },
        Outcome::Skipped,
        Outcome::Applied { set: set.clone(), aggregate, sum, measured, stops: true },
        Outcome::Measured { set, aggregate, sum, measured },
    ];
    check_places(&outcomes, 5, place_of_outcome);
    for outcome in &outcomes {
        let bytes = HEXLOWER.encode(&postcard::to_allocvec(outcome).unwrap());
        pinned.push_str(&format!("outcome {bytes}\n"));
    }
    insta::assert_snapshot!(pinned);
}

#[test]
fn messages_are_pinned() {
    let manifest = ValidManifest::founded(signed_manifest(4)).unwrap();
    let mut pinned = String::new();
    check_places(&bodies(), 24, place_of_body);
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
    let manifest = ValidManifest::founded(signed_manifest(4)).unwrap();
    let value = values().swap_remove(0);
    let signature = Signature::from_slice(&[6; 64]).unwrap();
    let notes = [
        Note::Committed(Box::new(fixture::bench::update(0))),
        Note::Reported([(MemberIndex(1), CommitmentDigest([1; 32]))].into_iter().collect()),
        Note::Attested { set: SetDigest([2; 32]), aggregate: object(3) },
        Note::Voting { decision: Decision::Set, state, values: vec![Value::Skip] },
        Note::Decided(Box::new(Decided {
            certificate: certificate(&manifest, Round(7), &value),
            value,
        })),
        Note::Released { set: SetDigest([4; 32]), object: object(5) },
        Note::Signed(Box::new(ledger().1.swap_remove(0).record)),
        Note::Ready,
        Note::Present(vec![(MemberIndex(2), signature)]),
        Note::Kept {
            contributor: MemberIndex(1),
            body: Box::new(fixture::bench::update(1)),
            signature,
        },
        Note::Opened { key: object(7), sum: SumDigest([8; 32]) },
        Note::Reached,
        Note::Rejected(CommitmentDigest([9; 32])),
        Note::Incarnation(300),
        Note::ShareOpened(MemberIndex(2)),
        Note::Excluded(vec![(
            MemberIndex(1),
            MissedAnswer { times: 2, until: Round(9), clean: 1 },
        )]),
    ];
    check_places(&notes, 15, place_of_note);
    let mut pinned = String::new();
    for note in notes {
        let entry = Entry::new(Round(7), note);
        let bytes = entry.encode().unwrap();
        assert_eq!(Entry::decode(&bytes).unwrap(), entry);
        let shown = match bytes.len() {
            0..=200 => HEXLOWER.encode(&bytes),
            length => format!("{length} bytes, blake3 {}", blake3::hash(&bytes)),
        };
        pinned.push_str(&format!("{shown}\n"));
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

/// What the fourth form adds is part of the digest that founders sign.
#[test]
fn a_manifest_with_the_options_of_the_fourth_form_is_pinned() {
    let mut manifest = fedshield_fixtures::manifest(4);
    manifest.template_date = Some("2026-11-27".to_owned());
    manifest.evaluation = Evaluation::Mean;
    manifest.stop = Some(Stop { after: 5, fall: 3 });
    manifest.adapter.rslora = true;
    let training = &mut manifest.training;
    training.algorithm = Algorithm::Halves;
    (training.rate_ratio, training.proximal) = (real(4.0), real(0.01));
    training.local_optimizer = LocalOptimizer::Kept;
    manifest.server_optimizer = ServerOptimizer::Nesterov { rate: real(0.7), momentum: real(0.9) };
    let bytes = manifest.canonical_bytes().unwrap();
    let digest = manifest.digest().unwrap();
    insta::assert_snapshot!(format!("{} bytes\nmanifest {digest}", bytes.len()));
}
