//! The proof that one answer is wrong, for whoever has only the key and the answers.

use super::federation::{Federation, index};
use crate::*;

const PRESET: &str = "INSECURE-rlwe-sum/b16/n16";

/// A federation, the opened key and all members' true answers, as bytes.
fn round(members: u16) -> (Federation, Vec<u8>, Vec<Vec<u8>>) {
    let mut f = Federation::new(PRESET, members, 9);
    for index in 1..=members {
        f.contribute(index, vec![f32::from(index) - 2.0; 900], 1);
    }
    let answers: Vec<PartialDecryption> = (1..=members).map(|m| f.answer(m)).collect();
    let combined = f.combine(&answers).unwrap();
    let key = combined.key.to_bytes(&f.context, &f.set());
    let bytes = answers.iter().map(|answer| answer.to_bytes(&f.context)).collect();
    (f, key, bytes)
}

/// `count` answers of members other than the accused.
fn others(answers: &[Vec<u8>], accused: u16, count: usize) -> Vec<ReleasedAnswer<'_>> {
    (1..)
        .zip(answers)
        .filter(|(m, _)| *m != accused)
        .map(|(m, bytes)| ReleasedAnswer { member: index(m), bytes })
        .take(count)
        .collect()
}

#[test]
fn a_wrong_answer_is_proven_and_a_right_one_is_not() {
    for members in [4, 7, 16] {
        let (f, key, answers) = round(members);
        let needed = usize::from(f.threshold + f.max_faulty) - 1;
        for accused in 1..=members {
            let agreeing = others(&answers, accused, needed);
            let own = &answers[usize::from(accused) - 1];
            let prove = |bytes: &[u8]| {
                let accused = ReleasedAnswer { member: index(accused), bytes };
                is_wrong_answer(&f.context, &key, f.robust(), &agreeing, accused)
            };
            assert!(matches!(prove(own), Ok(false)), "{members}: {accused}");
            for at in [0, 30, 56, own.len() - 2] {
                let mut wrong = own.clone();
                wrong[at] ^= 1;
                assert!(matches!(prove(&wrong), Ok(true)), "{members}: {accused}, byte {at}");
            }
            assert!(matches!(prove(&[]), Ok(true)), "no answer at all");
        }
    }
}

#[test]
fn too_few_that_agree_or_one_that_does_not_prove_nothing() {
    let (f, key, answers) = round(7);
    let mut wrong = answers[0].clone();
    wrong[60] ^= 1;
    let agreeing = others(&answers, 1, 6);
    let prove = |key: &[u8], agreeing: &[ReleasedAnswer<'_>]| {
        let accused = ReleasedAnswer { member: index(1), bytes: &wrong };
        is_wrong_answer(&f.context, key, f.robust(), agreeing, accused)
    };
    assert!(prove(&key, &agreeing).unwrap());
    assert!(prove(&key, &agreeing[..5]).is_err(), "five may include two faulty ones");
    // Another key, a changed answer, one member twice, the accused itself, a member that does not
    // exist.
    for at in 0..key.len() {
        let mut other = key.clone();
        other[at] ^= 1;
        // The number of contributors is covered by the key's digest, which the certificate names.
        assert!(matches!(at, 6 | 7) || prove(&other, &agreeing).is_err(), "byte {at} of the key");
    }
    let mut changed = agreeing.clone();
    changed[3].bytes = &wrong;
    assert!(prove(&key, &changed).is_err());
    for member in [1, 3, 17, u16::MAX] {
        let mut listed = agreeing.clone();
        listed[0].member = index(member);
        assert!(prove(&key, &listed).is_err(), "{member}");
    }
}
