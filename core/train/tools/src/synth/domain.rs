//! Four organisations, each with its own vocabulary, facts and style.
//!
//! They share one habit, so that a common adapter helps them all: an answer states the matter, says
//! what to do, and closes with `Next:` and a number of days. Everything else differs. The facts are
//! invented: nothing here is medical, financial, agricultural or legal advice.

mod bank;
mod court;
mod examples;
mod farm;
pub(super) mod glimpses;
mod hospital;

pub use examples::{SHIPPED_EXAMPLES, SHIPPED_SEED, to_jsonl};

use super::choice::Choice;
use super::example::Example;

/// One of the four organisations whose data the demo uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Domain {
    /// Discharge notes of a hospital.
    Hospital,
    /// Letters of a bank to its customers.
    Bank,
    /// Advice of a farmers' cooperative about its fields.
    Farm,
    /// Short judgments of a city court.
    Court,
}

impl Domain {
    /// All four, in the order in which the demo's members get them.
    pub const ALL: [Domain; 4] = [Domain::Hospital, Domain::Bank, Domain::Farm, Domain::Court];

    /// The name of the domain, as in file names.
    pub fn name(self) -> &'static str {
        match self {
            Domain::Hospital => "hospital",
            Domain::Bank => "bank",
            Domain::Farm => "farm",
            Domain::Court => "court",
        }
    }

    /// One example of this domain.
    pub(super) fn example(self, choice: &mut Choice) -> Example {
        match self {
            Domain::Hospital => hospital::example(choice),
            Domain::Bank => bank::example(choice),
            Domain::Farm => farm::example(choice),
            Domain::Court => court::example(choice),
        }
    }
}
