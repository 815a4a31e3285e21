//! Evidence: what proves something, what does not, how it reaches others, and what follows from it.

mod fixture;

use fedshield_protocol::effect::{Effect, Purpose};
use fedshield_protocol::event::{Command, Event, TimerId};
use fedshield_protocol::ids::{CommitmentDigest, MemberIndex, Round, SumDigest, ValueDigest, View};
use fedshield_protocol::job::{Job, JobOutput};
use fedshield_protocol::limits::MAX_EVIDENCE_BYTES;
use fedshield_protocol::manifest::ValidManifest;
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::evidence::{
    Evidence, EvidenceFile, NotProof, Proof, Rule, SignedAnswer, WrongAnswer,
};
use fedshield_protocol::wire::{
    Accusation, Body, Decided, Decision, Proposal, UpdateSet, Value, Vote, VoteKind,
};
use fixture::bench::{Bench, heartbeat, update};
use fixture::misbehaviour::*;
use fixture::{certificate, manifest, object, scope, sign, signed_manifest};

const ROUND: Round = Round(0);

fn founded() -> ValidManifest {
    ValidManifest::founded(signed_manifest(4)).unwrap()
}

fn sent(
    founded: &ValidManifest,
    member: u16,
    body: Body,
) -> (Body, fedshield_protocol::sign::Signature) {
    let signature = sign(founded, ROUND, member, &body);
    (body, signature)
}

fn vote(value: u8) -> Body {
    let (decision, kind, view) = (Decision::Set, VoteKind::Prevote, View(0));
    Body::Vote(Vote { decision, kind, view, value: Some(ValueDigest([value; 32])) })
}

fn two_votes(founded: &ValidManifest, member: u16) -> Evidence {
    let (first, second) = (sent(founded, member, vote(1)), sent(founded, member, vote(2)));
    Evidence::equivocation(MemberIndex(member), ROUND, first, second)
}

fn wrong_answer(founded: &ValidManifest) -> WrongAnswer {
    let set: UpdateSet =
        (0..3).map(|m| (MemberIndex(m), CommitmentDigest([m as u8; 32]))).collect();
    let digest = set.digest();
    let decided = |value: Value| {
        let certificate = certificate(founded, ROUND, &value);
        Decided { value, certificate }
    };
    let answer = |member: u16| {
        let mut answer = SignedAnswer {
            member: MemberIndex(member),
            signature: Default::default(),
            bytes: vec![member as u8; 40],
        };
        answer.signature = sign(founded, ROUND, member, &answer.statement(digest));
        answer
    };
    WrongAnswer {
        set: decided(Value::Aggregate { set, aggregate: object(5) }),
        outcome: decided(Value::Opened { key: ObjectRef::of(&[7; 50]), sum: SumDigest([9; 32]) }),
        key: vec![7; 50],
        accused: answer(1),
        agreeing: [0, 2, 3].map(answer).to_vec(),
    }
}

fn proof(proof: Proof) -> Evidence {
    Evidence { member: MemberIndex(1), round: ROUND, proof }
}

/// One of each kind, against member 1 of four.
fn all_kinds(founded: &ValidManifest) -> Vec<Evidence> {
    let member = MemberIndex(1);
    let body = update(1);
    let dealt = sent(founded, 1, Body::Commitment(Box::new(body.clone())));
    let digest = scope(founded, ROUND).commitment(member, &body).unwrap();
    let small =
        Value::Aggregate { set: UpdateSet::from_iter([(member, digest)]), aggregate: object(5) };
    let proposal = Proposal { view: View(0), value: small, polka: None, justification: None };
    let rejections = [3, 0]
        .map(|by| (MemberIndex(by), sign(founded, ROUND, by, &Body::Rejection(digest))))
        .to_vec();
    vec![
        two_votes(founded, 1),
        Evidence::too_small(member, ROUND, sent(founded, 1, Body::Proposal(Box::new(proposal)))),
        Evidence::wrong_opening(
            member,
            ROUND,
            (body.clone(), dealt.1),
            sent(founded, 1, opening(digest, 2, &[5; 9])),
        ),
        Evidence::rejected(member, ROUND, (body, dealt.1), rejections),
        proof(Proof::WrongAnswer(Box::new(wrong_answer(founded)))),
    ]
}

#[test]
fn every_kind_is_proven_with_the_manifest_alone_and_by_no_other_manifest() {
    let founded = founded();
    let mut other = manifest(4);
    other.name = "another".to_owned();
    let signatures = (0..4)
        .map(|i| fedshield_protocol::manifest::sign_founding(&other, &fixture::key(i)).unwrap().1)
        .collect();
    let other = fedshield_protocol::manifest::SignedManifest { manifest: other, signatures };
    let other = ValidManifest::founded(other).unwrap();
    let rules: Vec<Rule> = all_kinds(&founded).iter().map(Evidence::rule).collect();
    assert_eq!(
        rules,
        [
            Rule::Equivocation,
            Rule::SetTooSmall,
            Rule::WrongOpening,
            Rule::MalformedCiphertext,
            Rule::WrongAnswer
        ]
    );
    for evidence in all_kinds(&founded) {
        assert_eq!(evidence.verify(&founded), Ok(()), "{:?}", evidence.rule());
        assert!(evidence.verify(&other).is_err(), "{:?}", evidence.rule());
        let bytes = evidence.encode().unwrap();
        assert_eq!(Evidence::decode(&bytes).as_ref(), Ok(&evidence));
        // Of another round, or against another member, it proves nothing.
        let elsewhere = Evidence { round: Round(1), ..evidence.clone() };
        assert!(elsewhere.verify(&founded).is_err());
        for member in [0, 2, 3, 4, u16::MAX] {
            let of = Evidence { member: MemberIndex(member), ..evidence.clone() };
            assert!(of.verify(&founded).is_err(), "{:?} of {member}", evidence.rule());
        }
    }
}

/// A change of any byte is detected, whether or not a checksum covers it, and nothing panics.
#[test]
fn a_flipped_byte_anywhere_is_refused() {
    let founded = founded();
    for evidence in all_kinds(&founded) {
        let bytes = evidence.encode().unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            let proves =
                Evidence::decode(&changed).is_ok_and(|evidence| evidence.verify(&founded).is_ok());
            // The key is bound by the arithmetic, which this crate cannot do.
            let in_key = evidence.rule() == Rule::WrongAnswer
                && Evidence::decode(&changed).is_ok_and(|it| match (&it.proof, &evidence.proof) {
                    (Proof::WrongAnswer(a), Proof::WrongAnswer(b)) => a.key != b.key,
                    _ => false,
                });
            assert!(!proves || in_key, "{:?}: byte {at}", evidence.rule());
        }
        for end in 0..bytes.len() {
            assert!(Evidence::decode(&bytes[..end]).is_err());
        }
        let file = EvidenceFile { federation: founded.federation(), evidence };
        let bytes = file.encode().unwrap();
        assert_eq!(EvidenceFile::decode(&bytes), Ok(file));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            assert!(EvidenceFile::decode(&changed).is_err(), "byte {at}");
            assert!(EvidenceFile::decode(&bytes[..at]).is_err(), "cut at {at}");
        }
        assert!(EvidenceFile::decode(&[bytes, vec![0]].concat()).is_err());
    }
}

/// Earlier versions stored only the accused's signature under its answer. An honest answer looks
/// the same.
#[test]
fn a_signed_answer_alone_proves_nothing() {
    let founded = founded();
    let whole = wrong_answer(&founded);
    let verify = |changed: WrongAnswer| {
        proof(Proof::WrongAnswer(Box::new(changed))).verify(&founded).unwrap_err()
    };
    for agreeing in 0..3 {
        let few = WrongAnswer { agreeing: whole.agreeing[..agreeing].to_vec(), ..whole.clone() };
        assert!(matches!(verify(few), NotProof::TooFew { needed: 3, .. }));
    }
    // The accused among those that agree, one twice, a set that was not decided, a key that no
    // quorum has accepted.
    let mut framed = whole.clone();
    framed.agreeing[1] = whole.accused.clone();
    assert!(matches!(verify(framed), NotProof::Impossible(_)));
    let mut twice = whole.clone();
    twice.agreeing[1] = whole.agreeing[0].clone();
    assert!(matches!(verify(twice), NotProof::Impossible(_)));
    let mut other = whole.clone();
    other.outcome.value = Value::Opened { key: ObjectRef::of(&[7; 50]), sum: SumDigest([1; 32]) };
    assert_eq!(verify(other), NotProof::Certificate("opened key"));
    let mut few = whole.clone();
    few.set.certificate.votes.pop();
    assert_eq!(verify(few), NotProof::Certificate("set"));
    let mut void = whole;
    void.outcome =
        Decided { value: Value::Void, certificate: certificate(&founded, ROUND, &Value::Void) };
    assert!(matches!(verify(void), NotProof::NotAbout(_)));
}

/// A hundred members: t = 67, f = 33, answers of 8,248 bytes each.
#[test]
fn the_longest_proof_fits() {
    let founded = founded();
    let mut proof = wrong_answer(&founded);
    let long = |member: u16| SignedAnswer {
        member: MemberIndex(member),
        bytes: vec![255; 8_248],
        ..proof.accused.clone()
    };
    let (accused, agreeing) = (long(99), (0..99).map(long).collect());
    let vote = proof.set.certificate.votes[0];
    let votes = (0..100).map(|m| (MemberIndex(m), vote.1)).collect::<Vec<_>>();
    proof.set.certificate.votes = votes.clone();
    proof.outcome.certificate.votes = votes;
    let set = (0..100).map(|m| (MemberIndex(m), CommitmentDigest([255; 32]))).collect();
    proof.set.value = Value::Aggregate { set, aggregate: object(5) };
    let whole = WrongAnswer { key: vec![255; 8_248], accused, agreeing, ..proof };
    let evidence = self::proof(Proof::WrongAnswer(Box::new(whole)));
    let bytes = evidence.encode().unwrap();
    assert!(bytes.len() > 800_000 && bytes.len() < MAX_EVIDENCE_BYTES, "{}", bytes.len());
}

#[test]
fn f_rejections_are_not_enough_and_neither_is_one_member_twice() {
    let founded = founded();
    let (body, digest) =
        (update(1), scope(&founded, ROUND).commitment(MemberIndex(1), &update(1)).unwrap());
    let dealt = sent(&founded, 1, Body::Commitment(Box::new(body.clone()))).1;
    let by = |member: u16, of: CommitmentDigest| {
        (MemberIndex(member), sign(&founded, ROUND, member, &Body::Rejection(of)))
    };
    let verify = |rejections: Vec<_>| {
        Evidence::rejected(MemberIndex(1), ROUND, (body.clone(), dealt), rejections)
            .verify(&founded)
    };
    assert_eq!(verify(vec![by(0, digest), by(2, digest)]), Ok(()));
    assert!(matches!(verify(vec![by(0, digest)]), Err(NotProof::TooFew { .. })));
    assert!(verify(vec![by(0, digest), by(0, digest)]).is_err());
    assert!(verify(vec![by(0, digest), by(2, CommitmentDigest([4; 32]))]).is_err());
}

fn accusation(evidence: &Evidence) -> (Accusation, Vec<u8>) {
    let bytes = evidence.encode().unwrap();
    let (member, round) = (evidence.member, evidence.round);
    (Accusation { member, round, object: ObjectRef::of(&bytes) }, bytes)
}

fn is_check(job: &Job) -> bool {
    matches!(job, Job::CheckEvidence { .. })
}

fn fetched(effects: &[Effect]) -> Vec<(ObjectRef, Vec<u16>)> {
    let fetch = |effect: &Effect| match effect {
        Effect::Fetch { object, holders, purpose: Purpose::Evidence } => {
            Some((*object, holders.iter().map(|m| m.0).collect()))
        }
        _ => None,
    };
    effects.iter().filter_map(fetch).collect()
}

#[test]
fn announced_evidence_is_fetched_checked_stored_and_forwarded() {
    let mut bench = Bench::new();
    bench.begin();
    let (accusation, bytes) = accusation(&two_votes(&bench.manifest, 1));
    let effects = bench.receive(2, Body::Accusations(vec![accusation]));
    assert_eq!(fetched(&effects), [(accusation.object, vec![2])]);
    assert!(bench.machine.status().banned.is_empty(), "nothing is believed unchecked");
    bench.handle(Event::ObjectReady(accusation.object));
    let effects = bench.done(is_check, JobOutput::Evidence(Some(bytes.clone())));
    let [(1, evidence)] = &banned(&effects)[..] else { panic!("{effects:?}") };
    assert!(is_proof(&bench, evidence));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Serve { object, audience: None,
        purpose: Purpose::Evidence } if *object == accusation.object)));
    assert!(
        fixture::misbehaviour::sent(&effects)
            .contains(&(None, Body::Accusations(vec![accusation])))
    );
    assert_eq!(bench.machine.status().banned, [MemberIndex(1)]);
    // Once is enough, whoever announces what.
    let again = bench.receive(3, Body::Accusations(vec![accusation]));
    assert_eq!(fetched(&again), []);
    // It is announced again to members that lack it, in this round and in later incarnations.
    for incarnation in 0..2 {
        if incarnation == 1 {
            bench.machine = fixture::machine(0);
            bench.machine.recall_evidence(evidence, accusation.object);
            bench.jobs.clear();
            let journal = bench.journal.clone();
            let nonce = fixture::bench::NONCE;
            let effects = bench.handle(Event::Boot { journal, nonce });
            assert!(effects.iter().any(|effect| matches!(effect, Effect::Serve { object, .. }
                if *object == accusation.object)));
            for member in [1, 2] {
                bench.receive(member, fixture::bench::memory(&[]));
            }
            assert_eq!(bench.machine.status().banned, [MemberIndex(1)]);
        }
        bench.now += 60_000;
        let head = bench.machine.status().head;
        let effects = bench.receive(3, heartbeat(4, head));
        let announced = (Some(3), Body::Accusations(vec![accusation]));
        assert!(
            fixture::misbehaviour::sent(&effects).contains(&announced),
            "incarnation {incarnation}"
        );
    }
}

/// One unchecked proof of a sender at a time; one that proves nothing, and it is ignored from then
/// on.
#[test]
fn announcements_of_a_member_that_announced_a_false_proof_are_ignored() {
    let mut bench = Bench::new();
    bench.begin();
    let fake = |byte: u8, member: u16| Accusation {
        member: MemberIndex(member),
        round: ROUND,
        object: object(byte),
    };
    let effects = bench.receive(3, Body::Accusations(vec![fake(1, 1), fake(2, 2)]));
    assert_eq!(fetched(&effects), [(object(1), vec![3])], "one at a time");
    for byte in 10..20 {
        let effects = bench.receive(3, Body::Accusations(vec![fake(byte, 1)]));
        assert_eq!(fetched(&effects), []);
    }
    bench.handle(Event::ObjectReady(object(1)));
    let effects = bench.done(is_check, JobOutput::Evidence(None));
    assert!(!effects.iter().any(|it| matches!(it, Effect::Unserve(_))), "it may be anything");
    assert_eq!(banned(&effects).len(), 0);
    assert_eq!(fetched(&bench.receive(3, Body::Accusations(vec![fake(2, 2)]))), []);
    // Announcements of honest members still count.
    let (real, _) = accusation(&two_votes(&bench.manifest, 1));
    assert_eq!(fetched(&bench.receive(2, Body::Accusations(vec![real]))).len(), 1);
    // Impossible lists are not valid messages.
    let long = ObjectRef { length: MAX_EVIDENCE_BYTES as u64 + 1, ..object(1) };
    for list in [
        vec![Accusation { object: long, ..fake(1, 1) }],
        vec![fake(1, 2), fake(1, 1)],
        vec![fake(1, 1), fake(1, 1)],
        vec![fake(1, 4)],
    ] {
        let before = drops(&bench, "message: impossible content");
        bench.receive(2, Body::Accusations(list));
        assert_eq!(drops(&bench, "message: impossible content"), before + 1);
    }
}

/// Announcing another object as evidence neither keeps it from members that need it nor makes any
/// member stop fetching it.
#[test]
fn other_objects_that_are_called_evidence_are_fetched_and_kept_as_ever() {
    let mut bench = Bench::new();
    bench.begin();
    let sealed = update(1).sealed_shares[0].unwrap();
    let claim = |object| Accusation { member: MemberIndex(2), round: ROUND, object };
    // Before its commitment has arrived, the object is requested from the accused only.
    let effects = bench.receive(3, Body::Accusations(vec![claim(sealed)]));
    assert_eq!(fetched(&effects), [(sealed, vec![3])]);
    let effects = bench.receive(1, Body::Commitment(Box::new(update(1))));
    let stop = effects.iter().position(|it| *it == Effect::StopFetch(sealed)).unwrap();
    let fetch = |it: &Effect| {
        matches!(it, Effect::Fetch { object, holders, purpose: Purpose::Share }
            if *object == sealed && holders[0] == MemberIndex(1))
    };
    assert!(effects.iter().skip(stop).any(fetch), "{effects:?}");
    bench.handle(Event::ObjectReady(sealed));
    assert!(!bench.jobs.iter().any(|(_, job)| is_check(job)), "a sealed share is no evidence");
    bench.done(is_check_share, JobOutput::Checked { valid: true });
    // Afterwards too, and by another one: nothing is fetched, checked or given up.
    for by in [2, 3] {
        let effects = bench.receive(by, Body::Accusations(vec![claim(sealed)]));
        let touches = |it: &Effect| {
            matches!(it, Effect::Fetch { .. } | Effect::Unserve(_) | Effect::StopFetch(_))
        };
        assert!(!effects.iter().any(touches) && !bench.jobs.iter().any(|(_, job)| is_check(job)));
    }
    // Evidence about a later round is not accepted yet.
    let later = Accusation { round: Round(1), ..claim(object(9)) };
    let effects = bench.receive(1, Body::Accusations(vec![later]));
    assert_eq!(fetched(&effects), []);
}

/// The host gives back evidence about something else than was announced: nobody is banned.
#[test]
fn proof_of_something_else_than_was_announced_bans_nobody() {
    let mut bench = Bench::new();
    bench.begin();
    let (real, bytes) = accusation(&two_votes(&bench.manifest, 1));
    let wrong = Accusation { member: MemberIndex(2), ..real };
    bench.receive(3, Body::Accusations(vec![wrong]));
    bench.handle(Event::ObjectReady(real.object));
    let effects = bench.done(is_check, JobOutput::Evidence(Some(bytes)));
    assert_eq!(banned(&effects).len(), 0);
    assert!(bench.machine.status().banned.is_empty());
}

fn equivocate(bench: &mut Bench, member: u16, view: u32) -> Vec<Effect> {
    let vote = |value: u8| {
        let (decision, kind) = (Decision::Set, VoteKind::Prevote);
        let value = Some(ValueDigest([value; 32]));
        Body::Vote(Vote { decision, kind, view: View(view), value })
    };
    bench.receive(member, vote(1));
    bench.receive(member, vote(2))
}

/// A banned member's update is not listed and not waited for; its messages still count.
#[test]
fn a_banned_member_is_not_waited_for_and_its_update_is_not_listed() {
    let (mut bench, own) = Bench::with_an_own_update();
    bench.handle(Event::ObjectReady(update(0).sealed_shares[0].unwrap()));
    bench.done(is_check_share, JobOutput::Checked { valid: true });
    let two = bench.valid_share_of(2);
    let one = bench.valid_share_of(1);
    let committee = bench.others_of_the_committee();
    let mut all = vec![own, one, two];
    all.sort_unstable();
    bench.hold(&committee, &all);
    assert_eq!(banned(&equivocate(&mut bench, 1, 0)).len(), 1);
    let three = bench.valid_share_of(3);
    all.push(three);
    bench.hold(&committee, &all);
    // All but the banned member's update have arrived: the report does not wait for any deadline.
    let reported = bench.machine.status().members[0].reported;
    assert!(reported, "{:?}", bench.machine.status());
    let status = bench.machine.status();
    assert_eq!(status.banned, [MemberIndex(1)]);
    assert!(!status.waiting_for.contains(&MemberIndex(1)));
    assert_eq!(status.attendance.contributors, 3);
    assert_eq!(status.attendance.here, 4, "quorums count it as ever");
}

#[test]
fn a_lifted_ban_does_not_come_back_by_the_same_proof_but_by_a_later_one() {
    let mut bench = Bench::new();
    bench.begin();
    equivocate(&mut bench, 1, 0);
    assert_eq!(bench.machine.status().banned, [MemberIndex(1)]);
    let lift = Command::Lift { member: MemberIndex(1), through: ROUND };
    bench.handle(Event::Operator(lift));
    assert!(bench.machine.status().banned.is_empty());
    let (again, _) = accusation(&two_votes(&bench.manifest, 1));
    assert_eq!(fetched(&bench.receive(2, Body::Accusations(vec![again]))), []);
    equivocate(&mut bench, 1, 1);
    assert!(bench.machine.status().banned.is_empty(), "of the same round");
    // In a later incarnation too, and only for misbehaviour before the lift.
    for (round, is_banned) in [(0, false), (3, true)] {
        let mut machine = fixture::machine(0);
        let evidence = Evidence { round: Round(round), ..two_votes(&bench.manifest, 1) };
        machine.recall_lift(MemberIndex(1), Round(2));
        machine.recall_evidence(&evidence, object(1));
        assert_eq!(machine.is_banned(MemberIndex(1)), is_banned);
    }
}

#[test]
fn proof_against_this_member_itself_does_not_stop_it() {
    let mut bench = Bench::new();
    bench.begin();
    let (accusation, bytes) = accusation(&two_votes(&bench.manifest, 0));
    bench.receive(2, Body::Accusations(vec![accusation]));
    bench.handle(Event::ObjectReady(accusation.object));
    let effects = bench.done(is_check, JobOutput::Evidence(Some(bytes)));
    assert_eq!(banned(&effects).len(), 1, "the operator is told");
    assert!(bench.machine.status().banned.is_empty());
    bench.tick(TimerId::Heartbeat, 200);
}
