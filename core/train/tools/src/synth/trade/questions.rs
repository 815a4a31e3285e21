//! The ten fixed questions that the demo asks at its end.

use std::collections::HashSet;

use super::example::Patient;
use super::guidelines::{GUIDELINES, Guideline};
use super::house::Hospital;
use crate::synth::choice::Choice;
use crate::synth::example::Example;

/// Their seed: no shipped note has the same patient.
const SEED: u64 = 2027;
const QUESTIONS: usize = 10;
/// The organisations of the demo.
const MEMBERS: usize = 4;
/// Of every so many questions one is about a case that the hospital's own notes to train on lack.
const STRANGE: usize = 3;

impl Hospital {
    /// Questions to the demo's hospitals in turn, with their answers, about as many conditions.
    /// Some a hospital has never trained on, but at least two notes of the others are about them.
    pub fn questions() -> Vec<Example> {
        let members: Vec<Hospital> = Hospital::all().take(MEMBERS).collect();
        let known: Vec<Vec<usize>> = members.iter().map(|hospital| hospital.trained()).collect();
        let mut choice = Choice::labelled(SEED, "questions");
        let mut taken = HashSet::new();
        (0..QUESTIONS)
            .map(|index| {
                let asked = index % MEMBERS;
                let hospital = members[asked];
                let frequencies = hospital.frequencies();
                let guideline = choice.until(|choice| {
                    let place = hospital.condition(&frequencies, choice);
                    let others: usize = known.iter().map(|notes| notes[place]).sum();
                    let strange = index % STRANGE == 1;
                    let fits = match strange {
                        true => known[asked][place] == 0 && others >= 2,
                        false => known[asked][place] > 0,
                    };
                    (fits && taken.insert(place)).then(|| &GUIDELINES[place])
                });
                hospital.example(&Patient::new(guideline, &mut choice), &mut choice)
            })
            .collect()
    }

    /// How many of the notes that this hospital trains on are about each condition.
    fn trained(self) -> Vec<usize> {
        let notes = self.shipped().train;
        let mentions = |note: &Example, guideline: &Guideline| note.output.contains(guideline.code);
        GUIDELINES
            .iter()
            .map(|guideline| notes.iter().filter(|note| mentions(note, guideline)).count())
            .collect()
    }
}
