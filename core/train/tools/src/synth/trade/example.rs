//! The notes of a hospital, and the files that ship.

use std::collections::HashSet;

use super::guidelines::Guideline;
use super::house::Hospital;
use crate::synth::choice::Choice;
use crate::synth::example::Example;
use crate::synth::names::{self, Half};

/// Wards, the same words at all hospitals.
pub(in crate::synth) const WARDS: &[&str] = &["North", "South", "East", "West", "Garden", "Tower"];

/// What is particular to one patient.
struct Patient {
    guideline: &'static Guideline,
    name: String,
    age: usize,
    reference: usize,
    ward: &'static str,
    nights: usize,
}

impl Hospital {
    /// Examples in each shipped file.
    pub const SHIPPED: usize = 160;

    /// Generates `count` examples; the same arguments give the same examples. Every question and
    /// every answer occurs once: patients have names and numbers of their own.
    pub fn examples(self, seed: u64, count: usize) -> Vec<Example> {
        let mut choice = Choice::labelled(seed, self.name());
        let frequencies = self.frequencies();
        let mut seen = HashSet::new();
        let mut examples = Vec::with_capacity(count);
        while examples.len() < count {
            let patient = Patient {
                guideline: self.patient(&frequencies, &mut choice),
                name: names::person(Half::Organisations, &mut choice),
                age: choice.between(19, 93),
                reference: choice.between(1000, 9999),
                ward: choice.pick::<&str>(WARDS),
                nights: choice.between(2, 19),
            };
            let example = self.example(&patient, &mut choice);
            if seen.insert(example.output.clone()) {
                examples.push(example);
            }
        }
        examples
    }

    /// A whole note from a record, or a short answer to a question.
    fn example(self, patient: &Patient, choice: &mut Choice) -> Example {
        let house = self.house();
        let Patient { guideline, name, age, reference, ward, nights } = patient;
        if choice.percent(70) {
            let instruction = format!("Write the discharge note of {}.", house.name);
            let input = format!(
                "Patient: {name}\nAge: {age}\nReference: {reference}\nCondition: {}\nWard: \
                 {ward}\nNights: {nights}",
                guideline.condition
            );
            let parts =
                [house.head, house.stay, house.home, house.review, house.warning, house.end];
            return Example::new(instruction, input, patient.fill(&parts));
        }
        let instruction = format!(
            "{name}, {age}, goes home from {} after {}. What is to be done? Our reference is \
             {reference}.",
            house.name, guideline.condition
        );
        let parts = [house.head, house.home, house.review, house.warning];
        Example::new(instruction, "", patient.fill(&parts))
    }
}

impl Patient {
    fn fill(&self, parts: &[&str]) -> String {
        let Self { guideline, name, age, reference, ward, nights } = self;
        let text = parts
            .join(" ")
            .replace("{name}", name)
            .replace("{age}", &age.to_string())
            .replace("{ref}", &reference.to_string())
            .replace("{ward}", ward)
            .replace("{nights}", &nights.to_string())
            .replace("{condition}", guideline.condition)
            .replace("{measure}", guideline.measure)
            .replace("{days}", &guideline.days.to_string())
            .replace("{code}", guideline.code)
            .replace("{clinic}", guideline.clinic)
            .replace("{review}", &guideline.review.to_string())
            .replace("{warning}", guideline.warning);
        super::super::prose::capital(&text)
    }
}
