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
enum Lie {
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

const LIES: [Lie; 6] = [
    Lie::OneCoefficient,
    Lie::OneCoefficientEach,
    Lie::Everywhere,
    Lie::OnePolynomial,
    Lie::Polynomials,
    Lie::OneShift,
];

/// Every third member is faulty, from the first on, and then the rest in turn.
fn liars(members: u16, count: usize) -> Vec<u16> {
    let mut order: Vec<u16> = (0..3).flat_map(|k| (1 + k..=members).step_by(3)).collect();
    order.truncate(count);
    order.sort_unstable();
    order
}

fn lie(answers: &mut [PartialDecryption], liars: &[u16], threshold: u16, lie: Lie) {
    let mut rng = rng(liars.len() as u64);
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
    for (k, &liar) in liars.iter().enumerate() {
        let answer = answers.iter_mut().find(|a| a.member == index(liar)).unwrap();
        match lie {
            Lie::OneCoefficient => bump(answer, DEGREE - 1, element()),
            Lie::OneCoefficientEach => bump(answer, 11 * k % DEGREE, element()),
            Lie::Everywhere => (0..DEGREE).for_each(|c| bump(answer, c, element())),
            Lie::OnePolynomial => {
                (0..DEGREE).for_each(|c| bump(answer, c, at(&polynomials[0], liar)))
            }
            Lie::Polynomials => {
                (0..DEGREE).for_each(|c| bump(answer, c, at(&polynomials[c], liar)))
            }
            Lie::OneShift => (0..DEGREE).for_each(|c| bump(answer, c, shifts[c])),
        }
    }
}

#[test]
fn one_wrong_answer_is_corrected_and_named_among_any_number() {
    for members in SIZES {
        let (f, honest) = round(members);
        for liar in [1, 2, members] {
            let mut answers = honest.clone();
            bump(&mut answers[usize::from(liar) - 1], 7, 1);
            let combined = f.combine(&answers).unwrap();
            assert_eq!(combined.answers, Answers::Culprits(vec![index(liar)]), "{members}");
            assert_eq!(f.decrypt(&combined.key).0, f.expected());
        }
    }
}

/// Half of the redundant answers may be wrong in any way, also by collusion.
#[test]
fn as_many_liars_as_the_radius_are_corrected_whatever_they_agree_on() {
    for members in SIZES {
        let (f, honest) = round(members);
        for present in [members, members - 1, members - 2] {
            let radius = usize::from(present - f.threshold) / 2;
            for kind in LIES {
                let mut answers = honest[..usize::from(present)].to_vec();
                let liars = liars(present, radius);
                lie(&mut answers, &liars, f.threshold, kind);
                let combined = f.combine(&answers).unwrap();
                assert_eq!(f.decrypt(&combined.key).0, f.expected());
                let agreeing = usize::from(present) - radius;
                let named = agreeing + 1 >= usize::from(f.threshold + f.max_faulty);
                let liars = liars.into_iter().map(index).collect();
                let expected =
                    if named { Answers::Culprits(liars) } else { Answers::Disputed(liars) };
                assert_eq!(combined.answers, expected, "{members} {present} {kind:?}");
            }
        }
    }
}

/// Faulty members whose errors are independent are corrected up to one less than the number of
/// redundant answers.
#[test]
fn liars_that_do_not_collude_are_corrected_up_to_one_less_than_the_answers_to_spare() {
    for members in SIZES {
        let (f, honest) = round(members);
        let spare = usize::from(members - f.threshold);
        for kind in [Lie::Everywhere, Lie::OneCoefficientEach, Lie::Polynomials] {
            let mut answers = honest.clone();
            let liars = liars(members, spare - 1);
            lie(&mut answers, &liars, f.threshold, kind);
            let combined = f.combine(&answers).unwrap();
            assert_eq!(f.decrypt(&combined.key).0, f.expected(), "{members} {kind:?}");
        }
    }
}

/// With more faulty members than that the answers may not open, but they never open a wrong sum.
#[test]
fn beyond_the_radius_nothing_wrong_opens_and_nobody_honest_is_named() {
    for members in SIZES {
        let (f, honest) = round(members);
        let spare = usize::from(members - f.threshold);
        for kind in LIES {
            for count in [spare / 2 + 1, spare, spare + 1, usize::from(members)] {
                let mut answers = honest.clone();
                let liars = liars(members, count);
                lie(&mut answers, &liars, f.threshold, kind);
                match f.combine(&answers) {
                    Ok(combined) => assert_eq!(f.decrypt(&combined.key).0, f.expected()),
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
fn sets_of_answers_are_drawn_beyond_the_radius() {
    let (f, honest) = round(18);
    let mut answers = honest.clone();
    let liars = liars(18, 4);
    lie(&mut answers, &liars, f.threshold, Lie::OneShift);
    let combined = f.combine(&answers).unwrap();
    assert_eq!(f.decrypt(&combined.key).0, f.expected());
    assert_eq!(combined.answers, Answers::Disputed(liars.into_iter().map(index).collect()));
}
