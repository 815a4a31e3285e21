//! Reports of made-up members.

use fedshieldd::control::api::RoundOutcome;

use super::*;
use crate::command::compare::tests::evaluation;
use crate::demo::questions::Right;

pub(crate) fn outcome(name: &str, digests: &[u8]) -> MemberOutcome {
    let rounds: Vec<RoundReport> = digests
        .iter()
        .enumerate()
        .map(|(index, byte)| RoundReport {
            round: Round(index as u64),
            outcome: RoundOutcome::Applied,
            adapter_digest: Some(Digest([*byte; 32])),
            contributors: vec!["bank".into(), "farm".into()],
            committee: vec!["farm".into()],
            bytes: BTreeMap::from([("ciphertext".into(), 700)]),
            bytes_in: BTreeMap::from([("ciphertext".into(), 1400)]),
            seconds: BTreeMap::from([("train".into(), f64::from(name.len() as u32))]),
            train_loss: Some(1.5),
            held_out_loss: None,
            mean_loss: None,
            update_bytes_f32: 1000,
            sent_bytes: 700,
        })
        .collect();
    MemberOutcome {
        name: name.into(),
        exported: Digest([*digests.last().unwrap_or(&0); 32]),
        rounds,
        evaluation: evaluation(AdapterKind::Common, 1.8, 1.5),
        adapter: PathBuf::from("/nowhere"),
    }
}

#[test]
fn rounds_add_bytes_and_take_the_slowest() {
    let rounds = agreed_rounds(&[outcome("bank", &[1, 2]), outcome("hospital", &[1, 2])]).unwrap();
    assert_eq!(rounds.len(), 2);
    assert_eq!(rounds[1].bytes["ciphertext"], 1400);
    assert_eq!(rounds[1].bytes_in["ciphertext"], 2800);
    assert_eq!(rounds[1].seconds["train"], 8.0);
    assert_eq!((rounds[1].train_loss, rounds[1].held_out_loss), (Some(1.5), None));
}

#[test]
fn members_that_disagree_are_named_with_the_round() {
    let failure = agreed_rounds(&[outcome("bank", &[1, 2]), outcome("farm", &[1, 3])]).unwrap_err();
    assert!(failure.what.contains("bank and farm") && failure.what.contains("round 1"));
    assert!(agreed_rounds(&[outcome("bank", &[1, 2]), outcome("farm", &[1])]).is_err());
    let mut other = outcome("farm", &[1, 2]);
    other.exported = Digest([9; 32]);
    assert!(agreed_rounds(&[outcome("bank", &[1, 2]), other]).is_err());
}

#[test]
fn the_ratio_is_over_all_members_and_rounds() {
    let mut other = outcome("farm", &[1, 2]);
    other.rounds[1].sent_bytes = 1500;
    let members: Vec<DemoMember> = vec![outcome("bank", &[1, 2]).into(), other.into()];
    assert_eq!(update_ratio(&members), Some(0.9));
    assert_eq!(update_ratio(&[]), None);
}

#[test]
fn the_json_has_the_documented_fields() {
    let outcomes = [outcome("bank", &[1]), outcome("farm", &[1])];
    let rounds = agreed_rounds(&outcomes).unwrap();
    let members: Vec<DemoMember> = outcomes.into_iter().map(Into::into).collect();
    let report = DemoReport {
        rounds,
        members,
        ledger: "l".into(),
        adapter: "a".into(),
        verified: true,
        update_ratio: Some(0.7),
        questions: Some(Answers {
            asked: 10,
            base: Right::default(),
            common: Right { particulars: 7, letter: 3 },
            samples: Vec::new(),
        }),
        federation_seconds: 1.0,
        total_seconds: 2.0,
    };
    let json = serde_json::to_value(&report).unwrap();
    for pointer in [
        "/rounds/0/round",
        "/rounds/0/adapter_digest",
        "/rounds/0/contributors/0",
        "/rounds/0/committee/0",
        "/rounds/0/bytes/ciphertext",
        "/rounds/0/seconds/train",
        "/members/0/name",
        "/members/0/adapter_digest",
        "/members/0/held_out_loss/base",
        "/members/0/held_out_loss/alone",
        "/members/0/held_out_loss/common",
        "/members/0/held_out_loss/best",
        "/members/0/headline",
        "/questions/base/letter",
        "/questions/common/particulars",
        "/ledger",
        "/adapter",
        "/verified",
    ] {
        assert!(json.pointer(pointer).is_some(), "{pointer}");
    }
}
