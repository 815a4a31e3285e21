//! The hospitals: how each words its notes, and which conditions it sees how often.

use crate::synth::choice::Choice;
use crate::synth::trade::guidelines::GUIDELINES;

/// One hospital.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hospital(usize);

/// What every hospital's notes say about the time at home: the trade has one text for it. `{...}`
/// are filled in.
pub(super) const GUIDANCE: &str = "At home please {measure} for {days} days (guideline {code}). \
    The {clinic} sees you in {review} days. Return at once if {warning}.";

/// The wording of the rest, each hospital's own; `{...}` are filled in.
pub(super) struct House {
    pub(super) name: &'static str,
    /// How the note begins.
    pub(super) head: &'static str,
    /// Who was here, why and for how long.
    pub(super) stay: &'static str,
    /// How the note ends.
    pub(super) end: &'static str,
}

#[rustfmt::skip]
pub(super) const HOUSES: &[House] = &[
    House { name: "Fairview", head: "Note: {ref}. Patient: {name}. Age: {age}.",
        stay: "Stay: {nights} nights ({ward}). Problem: {condition}.",
        end: "Fairview." },
    House { name: "Harbour", head: "{ref} / {name} / {age}.",
        stay: "Reason: {condition}. Ward: {ward}. Nights: {nights}.",
        end: "Harbour team." },
    House { name: "Hillcrest", head: "Dear colleague, this is about {name}, {age}, our number {ref}.",
        stay: "We cared for {condition} on {ward} ward during {nights} nights.",
        end: "Sincerely, Hillcrest." },
    House { name: "Lakeside", head: "Ref {ref}:",
        stay: "pt {name} ({age}), {ward}, {nights} nights, {condition}.",
        end: "Lakeside." },
    House { name: "Meadow", head: "Hello {name}, your note has number {ref}.",
        stay: "You are {age} and stayed {nights} nights on {ward} ward because of {condition}.",
        end: "Your Meadow." },
    House { name: "Northgate", head: "Discharge note {ref}.",
        stay: "{name}, {age}, was treated for {condition} on {ward} ward for {nights} nights.",
        end: "Kind regards, Northgate." },
    House { name: "Oakfield", head: "We release {name} of {age} years under {ref}.",
        stay: "For {nights} nights {condition} kept {ward} ward busy.",
        end: "All the best from Oakfield." },
    House { name: "Riverside", head: "To the family doctor of {name}, file {ref}.",
        stay: "After {nights} nights on {ward} ward with {condition} we let the patient of {age} go.",
        end: "Riverside." },
    House { name: "Stonebridge", head: "Case {ref}, {name}, age {age}.",
        stay: "Admitted with {condition}; {nights} nights, {ward} ward; discharged.",
        end: "Stonebridge, discharge desk." },
    House { name: "Westmoor", head: "Summary {ref} for {name} ({age} y).",
        stay: "{ward} ward, {nights} nights: {condition}.",
        end: "Westmoor ward office." },
];

impl Hospital {
    /// Every hospital, by name; the first four are those of the demo.
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

    /// The place in the guidelines of the next patient's condition.
    pub(super) fn condition(self, frequencies: &[u64], choice: &mut Choice) -> usize {
        let total: u64 = frequencies.iter().sum();
        let mut left = choice.below(total as usize) as u64;
        for (place, often) in frequencies.iter().enumerate() {
            match left.checked_sub(*often) {
                Some(rest) => left = rest,
                None => return place,
            }
        }
        0
    }
}
