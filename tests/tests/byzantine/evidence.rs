//! Evidence with the real arithmetic: what one pipeline proves, and how the others' pipelines
//! judge it.

use fedshield_fixtures::history::{certificate, sign};
use fedshield_protocol::ids::{MemberIndex, Round};
use fedshield_protocol::job::{Combined, Included, Job, JobOutput};
use fedshield_protocol::manifest::ValidManifest;
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::evidence::{Evidence, EvidenceFile};
use fedshield_protocol::wire::{Body, Decided, UpdateSet, Value};
use fedshield_tests::{Party, parties, run};
use fedshieldd::evidence;

use super::steps::*;

const ROUND: Round = Round(0);

fn manifest(parties: &[Party]) -> ValidManifest {
    let terms = parties[0].pipeline.terms();
    ValidManifest::check(terms.manifest.clone()).expect("the manifest is valid")
}

/// Whether the pipeline of `party` takes these bytes for proof against `member`.
fn convinces(party: &Party, member: MemberIndex, bytes: &[u8]) -> bool {
    let object = party.objects.put(bytes).expect("it can be kept");
    let job = Job::CheckEvidence { member, round: ROUND, object };
    let JobOutput::Evidence(found) = run(party, job) else { panic!("not checked") };
    found.is_some_and(|found| found == bytes)
}

/// What `party` can prove of `culprits`, given these answers and what a quorum has decided.
fn prove(
    party: &Party,
    manifest: &ValidManifest,
    decided: (&Value, &Value),
    answers: &[(MemberIndex, ObjectRef)],
    culprits: &[MemberIndex],
) -> Vec<Vec<u8>> {
    let Value::Aggregate { set, .. } = decided.0 else { panic!("no set") };
    let set = set.digest();
    let signed = answers
        .iter()
        .map(|(member, object)| {
            let body = Body::Partial { set, object: *object };
            (*member, *object, sign(manifest, ROUND, member.0, &body))
        })
        .collect();
    let decide = |value: &Value| {
        let certificate = certificate(manifest, ROUND, value);
        Box::new(Decided { value: value.clone(), certificate })
    };
    let (set, end) = (decide(decided.0), decide(decided.1));
    let culprits = culprits.to_vec();
    let job = Job::ProveAnswers { round: ROUND, set, outcome: end, answers: signed, culprits };
    let JobOutput::Proven(proofs) = run(party, job) else { panic!("nothing proven") };
    proofs
}

#[test]
fn a_wrong_answer_is_proven_to_others_and_a_right_one_never() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let parties = parties(folder.path(), 4);
    let all = contributions(&parties, &sealing_keys(&parties));
    all.iter().for_each(|dealer| carry_sealed_shares(&parties, dealer));
    for party in &parties {
        assert!(all.iter().all(|dealer| share_is_valid(party, dealer)));
    }
    let included: Vec<Included> = all.clone();
    let sum = aggregate(&parties, &included);
    let honest = answers(&parties, &included);
    let mut answers = honest.clone();
    corrupt_answer(&parties, &mut answers[2], true);
    let Combined::Opened { key, sum: opened, culprits, .. } =
        combine(&parties[0], &included, sum, &answers)
    else {
        panic!("three true answers open")
    };
    assert_eq!(culprits, [MemberIndex(2)]);
    let manifest = manifest(&parties);
    let set: UpdateSet = included.iter().map(|it| (it.member, it.commitment)).collect();
    let decided = (&Value::Aggregate { set, aggregate: sum }, &Value::Opened { key, sum: opened });
    let proofs = prove(&parties[0], &manifest, decided, &answers, &culprits);
    let [bytes] = proofs.as_slice() else { panic!("{} proofs", proofs.len()) };
    assert!(parties.iter().all(|party| convinces(party, MemberIndex(2), bytes)));
    assert!(!convinces(&parties[1], MemberIndex(1), bytes), "somebody else");
    // Handed over as a file.
    let evidence = Evidence::decode(bytes).expect("it decodes");
    let file = EvidenceFile { federation: manifest.federation(), evidence };
    let read = EvidenceFile::decode(&file.encode().expect("it encodes")).expect("it is read");
    assert!(evidence::check(&read.evidence, &manifest).is_ok());
    // Flipped bytes: each of a sample, over all of it.
    for at in (0..bytes.len()).step_by(397) {
        let mut changed = bytes.clone();
        changed[at] ^= 4;
        let proves = Evidence::decode(&changed)
            .is_ok_and(|changed| evidence::check(&changed, &manifest).is_ok());
        assert!(!proves, "byte {at} of {}", bytes.len());
    }
    // With true answers nobody can be framed: not the one who answered right, and not with too few.
    let frame = |answers: &[(MemberIndex, ObjectRef)], victim: u16| {
        prove(&parties[0], &manifest, decided, answers, &[MemberIndex(victim)]).len()
    };
    assert_eq!([0, 1, 3].map(|victim| frame(&honest, victim)), [0; 3]);
    assert_eq!(frame(&answers[..3], 2), 0, "two others are too few");
}

#[test]
fn a_wrong_answer_to_a_complaint_is_proven_and_a_true_one_is_not() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let parties = parties(folder.path(), 4);
    let all = contributions(&parties, &sealing_keys(&parties));
    let manifest = manifest(&parties);
    let dealer = &all[1];
    let truth = reveal(&parties, dealer, 3);
    let mut wrong = truth.clone();
    let last = wrong.len() - 40;
    wrong[last] ^= 1;
    let scope = fedshield_protocol::wire::Scope {
        federation: manifest.federation(),
        epoch: manifest.epoch(),
        round: ROUND,
    };
    let commitment = scope.commitment(MemberIndex(1), &dealer.body).expect("it can be encoded");
    let signed = |body: Body| {
        let signature = sign(&manifest, ROUND, 1, &body);
        (body, signature)
    };
    let dealt = signed(Body::Commitment(Box::new(dealer.body.clone()))).1;
    let evidence = |opening: &[u8]| {
        let opening = opening.to_vec();
        let answer = signed(Body::ShareOpening { commitment, member: MemberIndex(3), opening });
        let found =
            Evidence::wrong_opening(MemberIndex(1), ROUND, (dealer.body.clone(), dealt), answer);
        found.encode().expect("it encodes")
    };
    for party in &parties {
        assert!(convinces(party, MemberIndex(1), &evidence(&wrong)));
        assert!(!convinces(party, MemberIndex(1), &evidence(&truth)));
    }
}
