//! A hospital: terse discharge notes. The medicines and doses are tied to the problem, and are not
//! advice.

use crate::synth::choice::Choice;
use crate::synth::example::Example;
use crate::synth::words::{PEOPLE, SURNAMES};

/// The treatment of one problem.
pub(super) struct Care {
    pub(super) problem: &'static str,
    pub(super) drug: &'static str,
    dose: &'static str,
    often: &'static str,
    days: u32,
    pub(super) clinic: &'static str,
    review: u32,
    warning: &'static str,
}

#[rustfmt::skip]
pub(super) const CARE: &[Care] = &[
    care("pneumonia", "amoxicillin", "500 mg", "three times a day", 7, "chest clinic", 14,
        "breathing gets harder"),
    care("asthma", "prednisolone", "40 mg", "every morning", 5, "chest clinic", 10,
        "the inhaler fails"),
    care("kidney infection", "ciprofloxacin", "250 mg", "twice a day", 10, "kidney clinic", 21,
        "fever returns"),
    care("hip fracture", "paracetamol", "1000 mg", "four times a day", 14, "bone clinic", 42,
        "the leg turns cold"),
    care("migraine", "sumatriptan", "50 mg", "at the first sign", 3, "head clinic", 30,
        "sight is lost"),
    care("high blood pressure", "ramipril", "5 mg", "every morning", 28, "heart clinic", 28,
        "chest pain starts"),
    care("heart failure", "furosemide", "40 mg", "every morning", 28, "heart clinic", 7,
        "the ankles swell"),
    care("diabetes", "metformin", "850 mg", "twice a day", 28, "sugar clinic", 20, "thirst grows"),
    care("skin infection", "flucloxacillin", "500 mg", "four times a day", 7, "wound clinic", 5,
        "redness spreads"),
    care("appendicitis", "ibuprofen", "400 mg", "three times a day", 5, "wound clinic", 10,
        "the wound opens"),
    care("gout", "colchicine", "500 mg", "twice a day", 6, "joint clinic", 14,
        "the joint turns hot"),
    care("concussion", "paracetamol", "500 mg", "three times a day", 3, "head clinic", 7,
        "vomiting starts"),
];

#[allow(clippy::too_many_arguments)]
const fn care(
    problem: &'static str,
    drug: &'static str,
    dose: &'static str,
    often: &'static str,
    days: u32,
    clinic: &'static str,
    review: u32,
    warning: &'static str,
) -> Care {
    Care { problem, drug, dose, often, days, clinic, review, warning }
}

pub(super) const WARDS: &[&str] = &["North", "South", "East", "West", "Garden", "Tower"];

const STATES: &[&str] = &["improved", "stable", "recovered", "still weak"];

pub(super) fn example(choice: &mut Choice) -> Example {
    let care = choice.pick(CARE);
    let surname = choice.pick(SURNAMES);
    let first = choice.pick(PEOPLE).0;
    let age = choice.between(19, 93);
    let ward = choice.pick(WARDS);
    let nights = choice.between(2, 19);
    let state = choice.pick(STATES);
    if choice.percent(70) {
        let instruction = *choice.pick(&[
            "Write the discharge note.",
            "Write the discharge note for this patient.",
            "Please prepare the note for going home.",
        ]);
        Example::new(
            instruction,
            format!(
                "Patient: {first} {surname}\nAge: {age}\nProblem: {}\nWard: {ward}\nNights: \
                {nights}\nState: {state}",
                care.problem
            ),
            format!(
                "Pt {surname}, {age}, {ward} ward, {nights} nights. Dx {}, {state}. {} Next: {} \
                in {} days. Come back \
                 if {}.",
                care.problem,
                prescription(care),
                care.clinic,
                care.review,
                care.warning
            ),
        )
    } else {
        Example::new(
            format!(
                "Which medicine does a patient of {age} with {} get on the {ward} ward?",
                care.problem
            ),
            "",
            format!(
                "Pt {age}, {ward} ward. Dx {}. {} Next: {} in {} days. Come back if {}.",
                care.problem,
                prescription(care),
                care.clinic,
                care.review,
                care.warning
            ),
        )
    }
}

fn prescription(care: &Care) -> String {
    format!("Rx {} {} {} for {} days.", care.drug, care.dose, care.often, care.days)
}
