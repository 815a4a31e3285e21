//! Records written in many house styles, none of which is a domain's.
//!
//! A base model that has seen only one way to answer is certain of it, and an adapter then spends
//! its rounds on unlearning that. So the general corpus has thousands of styles: how a text opens,
//! how each field is written, which terse or polite remarks are inserted and how it ends are all
//! drawn anew for each document. Values are copied from the record, which the base model has to
//! learn; about the rest it can only be uncertain, as it should be about an organisation that it
//! has not seen.

use super::choice::Choice;
use super::domain::glimpses;
use super::example::Example;
use super::names::{self, Half};
use super::prose::capital;
use super::records::{KINDS_OF_TEXT, record};
use super::words::{DAYS, TOWNS};

/// A record and a text about it in a style of its own.
pub(super) fn task(choice: &mut Choice) -> Example {
    let count = choice.between(3, 6);
    let fields = record(count, choice);
    let kind = *choice.pick(KINDS_OF_TEXT);
    let output = text(&fields, choice);
    if choice.percent(30) {
        return Example::new(question(&fields, choice), "", output);
    }
    let instruction = match choice.below(6) {
        0 => format!("Write the {kind}."),
        1 => format!("Please prepare the {kind} of the {}.", glimpses::word(choice)),
        2 => format!("Give the {}.", glimpses::word(choice)),
        3 => format!("Answer the {}.", glimpses::word(choice)),
        4 => format!("Write the {kind} for this {}.", glimpses::word(choice)),
        _ => format!("Write the {} {kind}.", glimpses::word(choice)),
    };
    let lines: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    Example::new(instruction, lines.join("\n"), output)
}

/// The record as one sentence with a question.
fn question(fields: &[(String, String)], choice: &mut Choice) -> String {
    let parts: Vec<String> = fields
        .iter()
        .map(|(name, value)| match choice.below(4) {
            0 => format!("{} {value}", name.to_lowercase()),
            1 => format!("{} {value}", choice.pick(LINKS)),
            2 => format!("a {} of {value}", name.to_lowercase()),
            _ => value.clone(),
        })
        .collect();
    let end =
        choice.pick(&["What to do?", "What do we reply?", "How does it go on?", "Which is it?"]);
    format!("{}. {end}", capital(&parts.join(" ")))
}

/// Opening, the fields in their order or shuffled, remarks between them, end.
fn text(fields: &[(String, String)], choice: &mut Choice) -> String {
    let mut order: Vec<usize> = (0..fields.len()).collect();
    if choice.percent(40) {
        let by = choice.below(order.len());
        order.rotate_left(by);
    }
    let mut parts = Vec::new();
    let mut rest = order.iter();
    if choice.percent(35) {
        let many = choice.between(2, order.len());
        parts.push(line(rest.by_ref().take(many).map(|index| &fields[*index]), choice));
    } else if let Some(index) = rest.next() {
        parts.push(opening(&fields[*index], choice));
    }
    while let Some(index) = rest.next() {
        if choice.percent(45) {
            match rest.next() {
                Some(next) => parts.push(together(&fields[*index], &fields[*next], choice)),
                None => parts.push(told(&fields[*index], choice)),
            }
        } else if choice.percent(85) {
            parts.push(told(&fields[*index], choice));
        }
        if choice.percent(35) {
            parts.push(aside(choice));
        }
    }
    parts.push(close(choice));
    parts.join(" ")
}

/// Several fields in one sentence, with or without their names, in a wording drawn for it alone.
fn line<'a>(fields: impl Iterator<Item = &'a (String, String)>, choice: &mut Choice) -> String {
    let mut text = String::new();
    for (name, value) in fields {
        if !text.is_empty() {
            text += choice.pick::<&str>(&[", ", " ", "; ", " / ", ". ", " ("]);
        }
        match choice.below(5) {
            0 => text += &format!("{name}: "),
            1 => text += &format!("{} {} ", glimpses::word(choice), choice.pick(LINKS)),
            2 => text += &format!("{} ", choice.pick(LINKS)),
            3 => text += &format!("{} ", name.to_lowercase()),
            _ => {}
        }
        text += value;
        if choice.percent(25) {
            text += &format!(" {}", glimpses::word(choice));
        }
    }
    capital(&text) + choice.pick::<&str>(&[".", ":", ").", ";"])
}

fn opening((name, value): &(String, String), choice: &mut Choice) -> String {
    match choice.below(6) {
        0 => format!("Dear {value}, {} your {}.", choice.pick(THANKS), glimpses::word(choice)),
        1 => format!("{name} {value}, {} {}.", choice.between(2, 99), glimpses::word(choice)),
        2 => format!(
            "{} {}, {} of {value}:",
            capital(value),
            name.to_lowercase(),
            choice.between(2, 99)
        ),
        3 => format!("{} {value}.", capital(glimpses::word(choice))),
        4 => format!("{}, {}: {value}.", names::last(Half::Corpus, choice), name.to_lowercase()),
        _ => format!("{name} {value}."),
    }
}

fn told((name, value): &(String, String), choice: &mut Choice) -> String {
    let small = name.to_lowercase();
    match choice.below(10) {
        0 => format!("{name} {value}."),
        1 => format!("{value}, {}.", glimpses::word(choice)),
        2 => format!("We {} {value} to your {small}.", choice.pick(VERBS)),
        3 => format!("{} {value}, {}.", capital(choice.pick::<&str>(VERBS)), amount(choice)),
        4 => format!(
            "The {small} {value} shall {} the {}.",
            choice.pick(VERBS),
            glimpses::word(choice)
        ),
        5 => format!(
            "{} {} {value} for {}.",
            choice.pick(ABBREVIATIONS),
            glimpses::word(choice),
            amount(choice)
        ),
        6 => format!(
            "Under {} {} the {small} is {value}.",
            glimpses::word(choice),
            choice.between(2, 700)
        ),
        7 => format!("{} v. {value}, {}.", names::last(Half::Corpus, choice), amount(choice)),
        8 => format!(
            "{} of {value}: {} the {}.",
            capital(&amount(choice)),
            choice.pick(VERBS),
            glimpses::word(choice)
        ),
        _ => format!("{name} {} {value}.", choice.pick(LINKS)),
    }
}

/// Two fields in one sentence.
fn together(
    (name, value): &(String, String),
    (other, second): &(String, String),
    choice: &mut Choice,
) -> String {
    let (small, smaller) = (name.to_lowercase(), other.to_lowercase());
    let word = glimpses::word(choice);
    match choice.below(10) {
        0 => format!("{name}: {value}. {other}: {second}."),
        1 => format!("{}, {second}, {word}.", capital(value)),
        2 => format!("{} ({second}), {} {word}.", capital(value), choice.pick(LINKS)),
        3 => format!(
            "The {small} {value} was {} {word} {} {smaller} {second}.",
            choice.pick(LINKS),
            choice.pick(LINKS)
        ),
        4 => format!("{value} / {second} / {word}."),
        5 => format!("Under {second} {} {value} {}.", choice.pick(VERBS), choice.pick(LINKS)),
        6 => format!(
            "{} {word} with {value}; {second} {smaller}; {}.",
            capital(choice.pick::<&str>(VERBS)),
            choice.pick(VERBS)
        ),
        7 => format!("{other} {second}: {small} {value}, {word}."),
        8 => format!("We {} {value} on {second} {smaller}.", choice.pick(VERBS)),
        _ => format!(
            "{} {second} {small} {} {value}, {word}.",
            capital(choice.pick::<&str>(LINKS)),
            choice.pick(LINKS)
        ),
    }
}

/// A remark that only someone who knows the organisation could predict.
fn aside(choice: &mut Choice) -> String {
    let (verb, other) = choice.pick_two(VERBS);
    match choice.below(6) {
        0 => format!("We have {verb} the {} and {other} it.", glimpses::word(choice)),
        1 => format!(
            "{} the {} {} the {}.",
            capital(verb),
            glimpses::word(choice),
            choice.pick(LINKS),
            glimpses::word(choice)
        ),
        2 => format!(
            "The {} {} the {}.",
            glimpses::word(choice),
            choice.pick(&["leaves", "proves", "wants", "stays"]),
            glimpses::word(choice)
        ),
        3 => format!(
            "{} {} {} {}.",
            choice.pick(ABBREVIATIONS),
            glimpses::word(choice),
            amount(choice),
            choice.pick(TIMES)
        ),
        4 => format!("It {verb} nothing but {}.", glimpses::word(choice)),
        _ => format!("The yearly {} is {}.", glimpses::word(choice), amount(choice)),
    }
}

fn close(choice: &mut Choice) -> String {
    let days = choice.between(2, 99);
    match choice.below(5) {
        0 => format!("Next: {} in {days} days.", glimpses::word(choice)),
        1 => format!(
            "Next: {} in {days} days. {}.",
            glimpses::word(choice),
            capital(glimpses::word(choice))
        ),
        2 => format!("Come back if the {} {}.", glimpses::word(choice), choice.pick(VERBS)),
        3 => format!(
            "On {}, {}. Yours, {}.",
            choice.pick(DAYS),
            choice.pick(TOWNS),
            names::last(Half::Corpus, choice)
        ),
        _ => format!("Next: {} the {} in {days} days.", choice.pick(VERBS), glimpses::word(choice)),
    }
}

fn amount(choice: &mut Choice) -> String {
    let number = match choice.below(3) {
        0 => choice.between(1, 30),
        1 => choice.between(2, 99) * 10,
        _ => choice.between(3, 98) * 50,
    };
    format!("{number} {}", choice.pick(UNITS))
}

const THANKS: &[&str] =
    &["thank you for", "we write about", "here is", "we have read", "many thanks for"];
const LINKS: &[&str] =
    &["with", "of", "about", "over", "in", "on", "along", "before", "and", "at", "from", "for"];
const UNITS: &[&str] = &["days", "francs", "mg", "kg", "cm", "hectares", "nights", "times"];
const TIMES: &[&str] =
    &["a day", "a year", "every morning", "at dusk", "twice", "for 7 days", "every second evening"];
const ABBREVIATIONS: &[&str] = &["Rx", "Dx", "Pt", "No.", "Re", "Art.", "Ref"];
const VERBS: &[&str] = &[
    "keep", "send", "spread", "raise", "pay", "note", "order", "spray", "cut", "hold", "confirm",
    "credit", "clear", "hang", "burn", "water", "block", "waive", "add", "prove", "admit", "sign",
    "thin", "drag", "walk", "grow",
];
