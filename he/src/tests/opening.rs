//! Many members, many of them faulty: wrong answers are told apart from right ones, however the
//! faulty members collude.

use rand_core::Rng;

use super::federation::{Federation, index, rng};
use crate::params::SHARE_MODULUS;
use crate::*;

const PRESET: &str = "INSECURE-rlwe-sum/b16/n128";
const SIZES: [u16; 4] = [18, 31, 64, 100];
const DEGREE: usize = 512;

/// A round of `members`, three of which contribute, and everybody's honest answer.
fn round(members: u16) -> (Federation, Vec<PartialDecryption>) {
    let mut f = Federation::new(PRESET, members, u64::from(members));
    for index in 1..=3 {
        f.contribute(index, vec![f32::from(index) - 2.0; 300], 1);
    }
    let answers = (1..=members).map(|m| f.answer(m)).collect();
    (f, answers)
}

fn bump(answer: &mut PartialDecryption, at: usize, by: u32) {
    answer.values[at] = ((u32::from(answer.values[at]) + by) % SHARE_MODULUS) as u16;
}

/// Ways in which faulty members answer wrong, alone and together.
#[derive(Debug, Clone, Copy)]
enum Corruption {
    /// Each in the same one coefficient.
    OneCoefficient,
    /// Each in another one coefficient.
    OneCoefficientEach,
    /// In all coefficients, each on its own.
    Everywhere,
    /// All on one other polynomial, the same in all coefficients.
    OnePolynomial,
    /// All on one other polynomial, another one in each coefficient.
    Polynomials,
    /// The same shift at every faulty member.
    OneShift,
}

const CORRUPTIONS: [Corruption; 6] = [
    Corruption::OneCoefficient,
    Corruption::OneCoefficientEach,
    Corruption::Everywhere,
    Corruption::OnePolynomial,
    Corruption::Polynomials,
    Corruption::OneShift,
];

/// Every third member is faulty, from the first on, and then the rest in turn.
fn faulty_members(members: u16, count: usize) -> Vec<u16> {
    let mut order: Vec<u16> = (0..3).flat_map(|k| (1 + k..=members).step_by(3)).collect();
    order.truncate(count);
    order.sort_unstable();
    order
}

fn corrupt(answers: &mut [PartialDecryption], faulty: &[u16], threshold: u16, kind: Corruption) {
    let mut rng = rng(faulty.len() as u64);
    let mut element = || rng.next_u32() % (SHARE_MODULUS - 1) + 1;
    let polynomials: Vec<Vec<u32>> =
        (0..DEGREE).map(|_| (0..threshold).map(|_| element()).collect()).collect();
    let at =
        |polynomial: &[u32], x: u16| {
            polynomial.iter().rev().fold(0u64, |sum, &c| {
                (sum * u64::from(x) + u64::from(c)) % u64::from(SHARE_MODULUS)
            }) as u32
        };
    let shifts: Vec<u32> = (0..DEGREE).map(|_| element()).collect();
    for (k, &member) in faulty.iter().enumerate() {
        let answer = answers.iter_mut().find(|a| a.member == index(member)).unwrap();
        match kind {
            Corruption::OneCoefficient => bump(answer, DEGREE - 1, element()),
            Corruption::OneCoefficientEach => bump(answer, 11 * k % DEGREE, element()),
            Corruption::Everywhere => (0..DEGREE).for_each(|c| bump(answer, c, element())),
            Corruption::OnePolynomial => {
                (0..DEGREE).for_each(|c| bump(answer, c, at(&polynomials[0], member)))
            }
            Corruption::Polynomials => {
                (0..DEGREE).for_each(|c| bump(answer, c, at(&polynomials[c], member)))
            }
            Corruption::OneShift => (0..DEGREE).for_each(|c| bump(answer, c, shifts[c])),
        }
    }
}

#[test]
fn one_wrong_answer_is_corrected_and_named_among_any_number() {
    for members in SIZES {
        let (f, honest) = round(members);
        for member in [1, 2, members] {
            let mut answers = honest.clone();
            bump(&mut answers[usize::from(member) - 1], 7, 1);
            let combined = f.combine(&answers).unwrap();
            assert_eq!(combined.answers, Answers::Culprits(vec![index(member)]), "{members}");
            assert_eq!(f.decrypt(&combined.key).0, f.expected());
        }
    }
}

/// Half of the redundant answers may be wrong in any way, also by collusion.
#[test]
fn wrong_answers_within_the_radius_are_corrected_however_they_collude() {
    for members in SIZES {
        let (f, honest) = round(members);
        for present in [members, members - 1, members - 2] {
            let radius = usize::from(present - f.threshold) / 2;
            for kind in CORRUPTIONS {
                let mut answers = honest[..usize::from(present)].to_vec();
                let faulty = faulty_members(present, radius);
                corrupt(&mut answers, &faulty, f.threshold, kind);
                let combined = f.combine(&answers).unwrap();
                assert_eq!(f.decrypt(&combined.key).0, f.expected());
                let agreeing = usize::from(present) - radius;
                let named = agreeing + 1 >= usize::from(f.threshold + f.max_faulty);
                let faulty = faulty.into_iter().map(index).collect();
                let expected =
                    if named { Answers::Culprits(faulty) } else { Answers::Disputed(faulty) };
                assert_eq!(combined.answers, expected, "{members} {present} {kind:?}");
            }
        }
    }
}

/// Faulty members whose errors are independent are corrected up to one less than the number of
/// redundant answers.
#[test]
fn independent_errors_are_corrected_up_to_one_less_than_the_redundancy() {
    for members in SIZES {
        let (f, honest) = round(members);
        let spare = usize::from(members - f.threshold);
        for kind in
            [Corruption::Everywhere, Corruption::OneCoefficientEach, Corruption::Polynomials]
        {
            let mut answers = honest.clone();
            let faulty = faulty_members(members, spare - 1);
            corrupt(&mut answers, &faulty, f.threshold, kind);
            let combined = f.combine(&answers).unwrap();
            assert_eq!(f.decrypt(&combined.key).0, f.expected(), "{members} {kind:?}");
        }
    }
}

/// With more faulty members than that the answers may not open, but they never open a wrong sum.
/// Up to f faulty members never get an honest one named.
#[test]
fn beyond_the_radius_no_wrong_sum_opens_and_no_honest_member_is_named() {
    for members in SIZES {
        let (f, honest) = round(members);
        let spare = usize::from(members - f.threshold);
        for kind in CORRUPTIONS {
            for count in [spare / 2 + 1, spare, spare + 1, usize::from(members)] {
                let mut answers = honest.clone();
                let faulty = faulty_members(members, count);
                corrupt(&mut answers, &faulty, f.threshold, kind);
                match f.combine(&answers) {
                    Ok(combined) => {
                        assert_eq!(f.decrypt(&combined.key).0, f.expected());
                        if let Answers::Culprits(named) = combined.answers
                            && count <= usize::from(f.max_faulty)
                        {
                            let is_faulty =
                                |it: &ShareIndex| faulty.iter().any(|m| index(*m) == *it);
                            assert!(named.iter().all(is_faulty), "{members} {kind:?}: {named:?}");
                        }
                    }
                    Err(error) => {
                        assert!(matches!(error, Error::NotOpened { tried: 1.., .. }), "{error}");
                    }
                }
            }
        }
    }
}

/// One faulty member too many for decoding, with redundant answers left: the sets of answers that
/// are drawn open the sum.
#[test]
fn beyond_the_radius_subsets_of_answers_are_drawn() {
    let (f, honest) = round(18);
    let mut answers = honest.clone();
    let faulty = faulty_members(18, 4);
    corrupt(&mut answers, &faulty, f.threshold, Corruption::OneShift);
    let combined = f.combine(&answers).unwrap();
    assert_eq!(f.decrypt(&combined.key).0, f.expected());
    assert_eq!(combined.answers, Answers::Disputed(faulty.into_iter().map(index).collect()));
}
