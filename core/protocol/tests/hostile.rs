//! No input makes the machine panic, and no input that costs its sender nothing makes its memory
//! grow.

mod fixture;

use fedshield_protocol::event::{Command, Event, TimerId};
use fedshield_protocol::ids::{
    CommitmentDigest, LayoutDigest, MemberIndex, NonceDigest, RecordDigest, Round, SetDigest,
    SumDigest, Time, ValueDigest, View,
};
use fedshield_protocol::job::{Applied, Combined, JobId, JobOutput};
use fedshield_protocol::manifest::ValidManifest;
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::codec::CodecError;
use fedshield_protocol::wire::version::MESSAGES;
use fedshield_protocol::wire::{
    Body, CommitmentBody, Complaint, Decision, Measured, Remedy, Signed, Statement, UpdateSet,
    Value, Vote, VoteKind,
};
use fixture::bench::{NONCE, memory};
use fixture::{machine, message, object, sign, signed_manifest};
use proptest::prelude::*;

fn complaint(commitment: CommitmentDigest, remedy: Remedy) -> Body {
    Body::Complaint(Box::new(Complaint { commitment, sealing_key: vec![7; 32], remedy }))
}

/// A digest of any type: one of a few that recur.
fn digest<D: std::fmt::Debug>(of: fn([u8; 32]) -> D) -> impl Strategy<Value = D> {
    let known = prop_oneof![Just([0; 32]), Just([1; 32]), Just([2; 32]), Just([3; 32])];
    prop_oneof![4 => known, 1 => Just(Value::Skip.id().0), 1 => Just(Value::Void.id().0)]
        .prop_map(of)
}

fn any_object() -> impl Strategy<Value = ObjectRef> {
    (0_u8..6).prop_map(object)
}

fn commitment() -> impl Strategy<Value = CommitmentBody> {
    (any_object(), prop::collection::vec(prop::option::of(any_object()), 3..6)).prop_map(
        |(ciphertext, sealed_shares)| CommitmentBody {
            ciphertext,
            sealed_shares,
            shares: vec![1],
            layout: LayoutDigest([1; 32]),
        },
    )
}

fn body() -> impl Strategy<Value = Body> {
    let set = prop::collection::vec((0_u16..6, digest(CommitmentDigest)), 0..5)
        .prop_map(|set| set.into_iter().map(|(m, d)| (MemberIndex(m), d)).collect::<UpdateSet>());
    let vote = (any::<bool>(), any::<bool>(), 0_u32..6, prop::option::of(digest(ValueDigest)));
    prop_oneof![
        commitment().prop_map(|body| Body::Commitment(Box::new(body))),
        prop::collection::vec(digest(CommitmentDigest), 0..4).prop_map(Body::HaveUpdates),
        digest(CommitmentDigest).prop_map(|of| complaint(of, Remedy::Open)),
        (digest(CommitmentDigest), 0_u16..5).prop_map(|(commitment, member)| Body::ShareOpening {
            commitment,
            member: MemberIndex(member),
            opening: vec![1]
        }),
        set.prop_map(Body::Report),
        (digest(SetDigest), any_object())
            .prop_map(|(set, aggregate)| Body::Attestation { set, aggregate }),
        vote.prop_map(|(set, pre, view, value)| Body::Vote(Vote {
            decision: if set { Decision::Set } else { Decision::Outcome },
            kind: if pre { VoteKind::Prevote } else { VoteKind::Precommit },
            view: View(view),
            value
        })),
        (digest(SetDigest), any_object()).prop_map(|(set, object)| Body::Partial { set, object }),
        digest(RecordDigest).prop_map(Body::RecordSignature),
        prop::collection::vec(digest(CommitmentDigest), 0..9).prop_map(Body::GetCommitments),
        any::<u64>().prop_map(|r| Body::RecordsRequest(Round(r))),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Body::SealingKey),
        Just(Body::Ready),
        any::<[u8; 32]>().prop_map(Body::RecoveryRequest),
        prop::collection::vec((statement(), any::<bool>()), 0..70).prop_map(memory_of),
    ]
}

fn statement() -> impl Strategy<Value = Statement> {
    prop_oneof![
        Just(Statement::Ready),
        commitment().prop_map(|body| Statement::Commitment(Box::new(body))),
        Just(Statement::Report(UpdateSet::from_iter([(
            MemberIndex(9),
            CommitmentDigest([1; 32])
        )]))),
        (digest(SetDigest), any_object())
            .prop_map(|(set, aggregate)| Statement::Attestation { set, aggregate }),
        (digest(SetDigest), any_object())
            .prop_map(|(set, object)| Statement::Partial { set, object }),
        digest(RecordDigest).prop_map(Statement::RecordSignature),
    ]
}

/// An answer to member 0, with its own signature under some statements.
fn memory_of(sent: Vec<(Statement, bool)>) -> Body {
    let manifest = ValidManifest::founded(signed_manifest(4)).unwrap();
    let signed = sent.into_iter().map(|(it, own)| {
        let signature = sign(&manifest, Round(0), u16::from(!own), &it.body());
        (it, signature)
    });
    memory(&signed.collect::<Vec<_>>())
}

fn output() -> impl Strategy<Value = JobOutput> {
    prop_oneof![
        commitment().prop_map(JobOutput::Contribution),
        any::<bool>().prop_map(|valid| JobOutput::Checked { valid }),
        any_object().prop_map(JobOutput::Aggregated),
        any_object().prop_map(JobOutput::Partial),
        Just(JobOutput::Combined(Combined::NotYet)),
        digest(SumDigest).prop_map(|sum| JobOutput::KeyChecked { sum: Some(sum) }),
        (any_object(), digest(SumDigest)).prop_map(|(key, sum)| JobOutput::Combined(
            Combined::Opened { key, sum, culprits: vec![MemberIndex(9), MemberIndex(1)] }
        )),
        any_object().prop_map(|adapter| JobOutput::Applied(Applied {
            adapter,
            accepted: true,
            nonce: NonceDigest([1; 32]),
            measured: Some(Measured { count: 9, sum: u32::MAX })
        })),
        Just(JobOutput::Adopted),
        Just(JobOutput::Settled),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let timer = prop::sample::select(vec![
        TimerId::Commit,
        TimerId::Transfer,
        TimerId::View,
        TimerId::Decrypt,
        TimerId::Round,
        TimerId::Heartbeat,
    ]);
    let manifest = ValidManifest::founded(signed_manifest(4)).unwrap();
    let signed = (0_u16..4, 0_u64..3, body()).prop_map(move |(from, round, body)| {
        let bytes = message(&manifest, Round(round), from, body);
        Event::Message { from: MemberIndex(from), bytes }
    });
    prop_oneof![
        6 => signed,
        2 => timer.prop_map(Event::Tick),
        2 => (0_u64..12, output()).prop_map(|(id, output)| Event::JobDone(JobId(id), output)),
        1 => (0_u64..12).prop_map(|id| Event::JobFailed(JobId(id), "no".into())),
        1 => any_object().prop_map(Event::ObjectReady),
        1 => any_object().prop_map(Event::ObjectFailed),
        1 => any::<u16>().prop_map(|m| Event::PeerUp(MemberIndex(m))),
        1 => any::<u16>().prop_map(|m| Event::PeerDown(MemberIndex(m))),
        1 => prop_oneof![Just(Command::Pause), Just(Command::Resume)].prop_map(Event::Operator),
        1 => prop::collection::vec(any::<u8>(), 0..300)
            .prop_map(|bytes| Event::Message { from: MemberIndex(0), bytes }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_events(
        responds in any::<bool>(),
        events in prop::collection::vec((0_u64..500, event()), 0..80),
    ) {
        let mut machine = machine(0);
        machine.handle(Time(0), Event::Boot { journal: vec![], nonce: NONCE });
        let manifest = ValidManifest::founded(signed_manifest(4)).unwrap();
        for member in [1, 2].into_iter().filter(|_| responds) {
            let bytes = message(&manifest, Round(0), member, memory(&[]));
            machine.handle(Time(0), Event::Message { from: MemberIndex(member), bytes });
        }
        let mut now = 0;
        for (ms, event) in events {
            now += ms;
            machine.handle(Time(now), event);
        }
    }

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut versioned = vec![MESSAGES.newest];
        versioned.extend_from_slice(&bytes);
        for bytes in [bytes, versioned] {
            if let Ok(signed) = Signed::decode(&bytes) {
                prop_assert_eq!(signed.encode().unwrap(), bytes.clone());
            }
            let mut machine = machine(0);
            let journal = vec![bytes.clone()];
            machine.handle(Time(0), Event::Boot { journal, nonce: NONCE });
            machine.handle(Time(0), Event::Message { from: MemberIndex(1), bytes });
        }
    }
}

#[test]
fn what_is_dropped_is_counted() {
    let manifest = ValidManifest::founded(signed_manifest(4)).unwrap();
    let mut machine = machine(0);
    machine.handle(Time(0), Event::Boot { journal: vec![], nonce: NONCE });
    let good = message(&manifest, Round(0), 1, complaint(CommitmentDigest([1; 32]), Remedy::Open));
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    let mut trailing = good.clone();
    trailing.push(0);
    let mut old = good.clone();
    old[0] = 0;
    let later = message(&manifest, Round(9), 1, complaint(CommitmentDigest([1; 32]), Remedy::Open));
    let cases = [
        (forged, "message: signature"),
        (trailing, "message: not canonical"),
        (old, "message: of an earlier version"),
        (later, "message: other round"),
        (vec![MESSAGES.newest; 300_000], "message: too long"),
    ];
    for (bytes, reason) in cases {
        machine.handle(Time(1), Event::Message { from: MemberIndex(1), bytes });
        assert_eq!(machine.status().dropped.get(reason), Some(&1), "{reason}");
    }
}

/// A set whose updates are out of order, or that lists a contributor twice, is not decoded.
#[test]
fn a_report_that_is_no_set_is_malformed() {
    let manifest = ValidManifest::founded(signed_manifest(4)).unwrap();
    let update = |member: u16| (MemberIndex(member), CommitmentDigest([member as u8 + 1; 32]));
    let report = Body::Report([0, 1].map(update).into_iter().collect());
    let good = message(&manifest, Round(0), 1, report);
    let encoded =
        |members: [u8; 2]| members.map(|m| [[m].as_slice(), &[m + 1; 32]].concat()).concat();
    let at = good.windows(66).position(|bytes| bytes == encoded([0, 1])).unwrap();
    assert!(Signed::decode(&good).is_ok());
    for members in [[1, 0], [0, 0]] {
        let mut bad = good.clone();
        bad[at..at + 66].copy_from_slice(&encoded(members));
        assert!(matches!(Signed::decode(&bad), Err(CodecError::Malformed { .. })), "{members:?}");
    }
}
