//! The notes of a hospital, and the files that ship.

use std::collections::HashSet;

use super::guidelines::{GUIDELINES, Guideline};
use super::house::{GUIDANCE, Hospital};
use crate::synth::choice::Choice;
use crate::synth::example::Example;
use crate::synth::names::{self, Half};
use crate::synth::prose::capital;

/// Wards, the same words at all hospitals.
pub(in crate::synth) const WARDS: &[&str] = &["North", "South", "East", "West", "Garden", "Tower"];

/// The seed of the shipped files.
pub(super) const SHIPPED_SEED: u64 = 2026;
/// Examples in each part of a hospital's shipped notes: few to train on, as one organisation has,
/// and enough to measure on.
const TRAIN: usize = 48;
const VALIDATION: usize = 16;
const TEST: usize = 64;

/// One hospital's notes in three parts that share no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// To train on.
    pub train: Vec<Example>,
    /// To choose by.
    pub validation: Vec<Example>,
    /// To report on: nothing is chosen by it.
    pub test: Vec<Example>,
}

/// What is particular to one patient.
pub(super) struct Patient {
    guideline: &'static Guideline,
    name: String,
    age: usize,
    reference: usize,
    ward: &'static str,
    nights: usize,
}

impl Hospital {
    /// The shipped notes of this hospital.
    pub fn shipped(self) -> Parts {
        self.with_test_notes(TEST)
    }

    /// The shipped notes with another number of test notes, the first of which are the shipped ones:
    /// for measurements that want more of them.
    pub fn with_test_notes(self, count: usize) -> Parts {
        let mut all = self.examples(SHIPPED_SEED, TRAIN + VALIDATION + count);
        let test = all.split_off(TRAIN + VALIDATION);
        let validation = all.split_off(TRAIN);
        Parts { train: all, validation, test }
    }

    /// Generates `count` examples; the same arguments give the same examples. Every question and
    /// every answer occurs once: patients have names and numbers of their own.
    pub fn examples(self, seed: u64, count: usize) -> Vec<Example> {
        let mut choice = Choice::labelled(seed, self.name());
        let frequencies = self.frequencies();
        let mut seen = HashSet::new();
        let mut examples = Vec::with_capacity(count);
        while examples.len() < count {
            let guideline = &GUIDELINES[self.condition(&frequencies, &mut choice)];
            let patient = Patient::new(guideline, &mut choice);
            let example = self.example(&patient, &mut choice);
            if seen.insert(example.output.clone()) {
                examples.push(example);
            }
        }
        examples
    }

    /// A whole note from a record, or a short answer to a question.
    pub(super) fn example(self, patient: &Patient, choice: &mut Choice) -> Example {
        let house = self.house();
        let Patient { guideline, name, age, reference, ward, nights } = patient;
        if choice.percent(70) {
            let instruction = format!("Write the discharge note of {}.", house.name);
            let input = format!(
                "Patient: {name}\nAge: {age}\nReference: {reference}\nCondition: {}\nWard: \
                 {ward}\nNights: {nights}",
                guideline.condition
            );
            let parts = [house.head, house.stay, GUIDANCE, house.end];
            return Example::new(instruction, input, patient.fill(&parts));
        }
        let instruction = format!(
            "{name}, {age}, goes home from {} after {}. What is to be done? Our reference is \
             {reference}.",
            house.name, guideline.condition
        );
        Example::new(instruction, "", patient.fill(&[house.head, GUIDANCE, house.end]))
    }
}

impl Patient {
    /// A patient with this condition.
    pub(super) fn new(guideline: &'static Guideline, choice: &mut Choice) -> Self {
        Self {
            guideline,
            name: names::person(Half::Organisations, choice),
            age: choice.between(19, 93),
            reference: choice.between(1000, 9999),
            ward: choice.pick::<&str>(WARDS),
            nights: choice.between(2, 19),
        }
    }

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
        capital(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::to_jsonl;

    #[test]
    fn no_two_shipped_notes_share_an_answer() {
        let mut answers = HashSet::new();
        let notes = |hospital: Hospital| {
            let Parts { train, validation, test } = hospital.shipped();
            train.into_iter().chain(validation).chain(test)
        };
        let all = Hospital::all().flat_map(notes).chain(Hospital::questions());
        for note in all {
            assert!(answers.insert(note.output.clone()), "twice: {}", note.output);
        }
        assert_eq!(answers.len(), 10 * (TRAIN + VALIDATION + TEST) + 10);
    }

    #[test]
    fn more_test_notes_share_no_answer_with_the_others_either() {
        let mut answers: HashSet<String> =
            Hospital::questions().into_iter().map(|note| note.output).collect();
        for hospital in Hospital::all() {
            let (more, shipped) = (hospital.with_test_notes(200), hospital.shipped());
            assert!(more.train == shipped.train && more.validation == shipped.validation);
            assert!(more.test.starts_with(&shipped.test));
            for note in more.train.into_iter().chain(more.validation).chain(more.test) {
                assert!(answers.insert(note.output.clone()), "twice: {}", note.output);
            }
        }
    }

    #[test]
    fn the_shipped_files_are_these_notes() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/hospitals");
        let shipped = |file: String| {
            std::fs::read_to_string(folder.join(&file)).unwrap_or_else(|e| panic!("{file}: {e}"))
        };
        for hospital in Hospital::all() {
            let parts = hospital.shipped();
            for (part, notes) in
                [("train", parts.train), ("validation", parts.validation), ("test", parts.test)]
            {
                let file = format!("{}.{part}.jsonl", hospital.name().to_lowercase());
                assert_eq!(shipped(file), to_jsonl(&notes), "{} {part}", hospital.name());
            }
        }
        assert_eq!(shipped("questions.jsonl".into()), to_jsonl(&Hospital::questions()));
    }

    #[test]
    fn a_note_names_what_its_record_names() {
        for hospital in Hospital::all() {
            for note in hospital.examples(5, 40).iter().filter(|note| !note.input.is_empty()) {
                for line in note.input.lines() {
                    let (field, value) = line.split_once(": ").expect("a record has fields");
                    let there = note.output.to_lowercase().contains(&value.to_lowercase());
                    assert!(there, "{field} {value} is missing in {}", note.output);
                }
                assert!(!note.output.contains(['{', '}']), "{}", note.output);
            }
        }
    }
}
