//! The words of the domains without their facts.
//!
//! A tokenizer token that the base never saw has an untrained embedding, and a LoRA adapter cannot repair that.
//! So the general corpus mentions these words now and then, in sentences that say nothing about them.

use super::{bank, court, farm, hospital};
use crate::synth::choice::Choice;

/// One word or phrase from one of the domains.
pub(in crate::synth) fn word(choice: &mut Choice) -> &'static str {
    match choice.below(14) {
        0 => choice.pick(hospital::CARE).problem,
        1 => choice.pick(hospital::CARE).drug,
        2 => choice.pick(hospital::CARE).clinic,
        3 => choice.pick(bank::PRODUCTS).0,
        4 => choice.pick(bank::PRODUCTS).3,
        5 => choice.pick(bank::REQUESTS).0,
        6 => choice.pick(farm::CROPS).0,
        7 => choice.pick(farm::CROPS).3,
        8 => choice.pick(farm::TROUBLES).0,
        9 => choice.pick(farm::SOILS).0,
        10 => choice.pick(court::CLAIMS).0,
        11 => choice.pick(court::CLAIMS).1,
        12 => choice.pick(court::GROUNDS).0,
        _ => *choice.pick(SPECIAL),
    }
}

/// The name of a field, as the records of the domains have them.
pub(in crate::synth) fn field(choice: &mut Choice) -> &'static str {
    *choice.pick(FIELDS)
}

/// Words that occur only in the set phrases of the domains.
#[rustfmt::skip]
const SPECIAL: &[&str] = &[
    "patient", "ward", "nights", "discharge", "medicine", "breathing", "inhaler", "fever", "ankles", "redness", "wound",
    "vomiting", "chest pain", "improved", "stable", "recovered", "branch", "product", "balance", "credit check", "limit",
    "records", "reminder charge", "holder", "rate", "fee", "form", "desk", "pleased", "sincerely", "wish", "apologise",
    "field", "hectares", "crop", "trouble", "soil", "advice", "farmer", "ladybirds", "hedge", "harrow", "plough", "rows",
    "tractor", "roller", "ditch", "straw", "remedy", "horsetail tea", "whey", "case", "claimant", "defendant", "claim",
    "evidence", "sum", "costs", "Article", "appeal", "chamber", "judgment", "decision", "court", "summons", "excuse",
    "damage", "hearing", "francs", "next", "dear", "problem", "state", "request", "three times a day", "every morning",
    "document", "occasion", "second holder", "fixed", "facts", "doubt", "cause", "employer", "tradesman", "keeper",
];

const FIELDS: &[&str] = &[
    "patient",
    "problem",
    "ward",
    "nights",
    "state",
    "product",
    "request",
    "branch",
    "field",
    "hectares",
    "crop",
    "trouble",
    "soil",
    "case",
    "claimant",
    "defendant",
    "claim",
    "sum",
    "evidence",
];
