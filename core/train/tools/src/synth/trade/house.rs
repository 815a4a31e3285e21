//! The hospitals: how each words its notes, and which conditions it sees how often.

use crate::synth::choice::Choice;
use crate::synth::trade::guidelines::{GUIDELINES, Guideline};

/// One hospital.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hospital(usize);

/// The wording of one hospital's notes; `{...}` are filled in.
pub(super) struct House {
    pub(super) name: &'static str,
    /// How the note begins.
    pub(super) head: &'static str,
    /// Who was here, why and for how long.
    pub(super) stay: &'static str,
    /// What to do at home.
    pub(super) home: &'static str,
    /// Who looks at it next.
    pub(super) review: &'static str,
    /// When to come back.
    pub(super) warning: &'static str,
    /// How the note ends.
    pub(super) end: &'static str,
}

#[rustfmt::skip]
pub(super) const HOUSES: &[House] = &[
    House { name: "Northgate", head: "Discharge note {ref}.",
        stay: "{name}, {age}, was treated for {condition} on {ward} ward for {nights} nights.",
        home: "At home please {measure} for {days} days (guideline {code}).",
        review: "The {clinic} sees you in {review} days.",
        warning: "Return at once if {warning}.", end: "Kind regards, Northgate." },
    House { name: "Lakeside", head: "Ref {ref}:",
        stay: "pt {name} ({age}), {ward}, {nights} nights, {condition}.",
        home: "Plan {code}: {measure}, {days} d.",
        review: "F/u {clinic} {review} d.",
        warning: "Safety net: {warning}.", end: "Lakeside." },
    House { name: "Hillcrest", head: "Dear colleague, this is about {name}, {age}, our number {ref}.",
        stay: "We cared for {condition} on {ward} ward during {nights} nights.",
        home: "We advise to {measure} for the next {days} days, as {code} says.",
        review: "An appointment is made at the {clinic} in {review} days.",
        warning: "Should it happen that {warning}, call us.", end: "Sincerely, Hillcrest." },
    House { name: "Harbour", head: "{ref} / {name} / {age}.",
        stay: "Reason: {condition}. Ward: {ward}. Nights: {nights}.",
        home: "Do this for {days} days: {measure}. Guideline: {code}.",
        review: "Next: {clinic}, day {review}.",
        warning: "Alarm: {warning}.", end: "Harbour team." },
    House { name: "Meadow", head: "Hello {name}, your note has number {ref}.",
        stay: "You are {age} and stayed {nights} nights on {ward} ward because of {condition}.",
        home: "Remember to {measure}; do so for {days} days. It is rule {code}.",
        review: "We look forward to seeing you at the {clinic} after {review} days.",
        warning: "Worried because {warning}? Come in.", end: "Your Meadow." },
    House { name: "Stonebridge", head: "Case {ref}, {name}, age {age}.",
        stay: "Admitted with {condition}; {nights} nights, {ward} ward; discharged.",
        home: "Instruction {code}: {measure} ({days} days).",
        review: "Review by the {clinic}: {review} days.",
        warning: "Readmit if {warning}.", end: "Stonebridge, discharge desk." },
    House { name: "Riverside", head: "To the family doctor of {name}, file {ref}.",
        stay: "After {nights} nights on {ward} ward with {condition} we let the patient of {age} go.",
        home: "Under {code} one should {measure} through {days} days.",
        review: "Please send the patient to the {clinic} within {review} days.",
        warning: "If {warning}, send the patient back.", end: "Riverside." },
    House { name: "Fairview", head: "Note: {ref}. Patient: {name}. Age: {age}.",
        stay: "Stay: {nights} nights ({ward}). Problem: {condition}.",
        home: "Home: {measure}. Length: {days} days. Source: {code}.",
        review: "Clinic: {clinic}. When: {review} days.",
        warning: "Danger: {warning}.", end: "Fairview." },
    House { name: "Oakfield", head: "We release {name} of {age} years under {ref}.",
        stay: "{condition} kept us busy for {nights} nights on {ward} ward.",
        home: "Now {measure}, please, {days} days long, following {code}.",
        review: "In {review} days the {clinic} will look again.",
        warning: "Do not wait if {warning}.", end: "All the best from Oakfield." },
    House { name: "Westmoor", head: "Summary {ref} for {name} ({age} y).",
        stay: "{ward} ward, {nights} nights: {condition}.",
        home: "{code} applies: {measure}; duration {days} days.",
        review: "Book {clinic} at {review} days.",
        warning: "Red flag: {warning}.", end: "Westmoor ward office." },
];

impl Hospital {
    /// Every hospital; the first four are those of the demo.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        (0..HOUSES.len()).map(Self)
    }

    /// The name, in capitals and small letters.
    pub fn name(self) -> &'static str {
        self.house().name
    }

    pub(super) fn house(self) -> &'static House {
        &HOUSES[self.0]
    }

    /// How often each condition is seen here: a few make most of the notes, and they are others at
    /// each hospital.
    pub(super) fn frequencies(self) -> Vec<u64> {
        let mut choice = Choice::labelled(17, self.name());
        // The cube of a uniform number: half of the conditions make an eighth of the notes.
        GUIDELINES
            .iter()
            .map(|_| {
                let x = choice.below(1000) as u64 + 1;
                x * x * x
            })
            .collect()
    }

    /// The guideline of the next patient.
    pub(super) fn patient(self, frequencies: &[u64], choice: &mut Choice) -> &'static Guideline {
        let total: u64 = frequencies.iter().sum();
        let mut left = choice.below(total as usize) as u64;
        for (guideline, often) in GUIDELINES.iter().zip(frequencies) {
            match left.checked_sub(*often) {
                Some(rest) => left = rest,
                None => return guideline,
            }
        }
        &GUIDELINES[0]
    }
}
