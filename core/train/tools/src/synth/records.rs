//! Records of named fields and the plain sentences they become: the general form of the task that
//! each domain does in its own style.

use fedshield_train::text::TemplateDate;

use super::choice::Choice;
use super::domain::glimpses;
use super::example::Example;
use super::names::{self, Half};
use super::prose::{article, capital};
use super::words::{DAYS, HOBBIES, JOBS, KINDS, PEOPLE, THINGS, TOWNS, WEATHER};

/// A record of two to five fields and the sentences that say the same, field by field.
pub(super) fn task(choice: &mut Choice) -> Example {
    let count = choice.between(2, 5);
    let fields = record(count, choice);
    let input: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let output: Vec<String> = fields.iter().map(|(name, value)| sentence(name, value)).collect();
    let kind = *choice.pick(KINDS_OF_TEXT);
    let instruction = match choice.below(5) {
        0 => format!("Write {} {kind} from the record.", article(kind)),
        1 => format!("Write the {kind}."),
        2 => format!("Turn the fields into {} {kind}.", article(kind)),
        3 => "Say it in full sentences.".to_owned(),
        _ => format!("Please prepare the {kind} for this."),
    };
    Example::new(instruction, input.join("\n"), output.join(" "))
}

/// The names and values of `count` fields with different names, in the order of [`FIELDS`] from a
/// random one on.
pub(super) fn record(count: usize, choice: &mut Choice) -> Vec<(String, String)> {
    let mut next = choice.below(FIELDS.len());
    let mut fields: Vec<(String, String)> = Vec::with_capacity(count);
    while fields.len() < count {
        fields.push(choice.until(|choice| {
            let drawn = field(next, choice);
            next = (next + 1 + choice.below(3)) % FIELDS.len();
            Some(drawn).filter(|(name, _)| fields.iter().all(|(taken, _)| taken != name))
        }));
    }
    fields
}

/// A record and a question for the value of one of its fields, which the answer copies.
pub(super) fn lookup(choice: &mut Choice) -> Example {
    let fields = record(choice.between(3, 6), choice);
    let (name, value) = choice.pick(&fields);
    let small = name.to_lowercase();
    let (instruction, answer) = match choice.below(4) {
        0 => (format!("What is the {small}?"), format!("The {small} is {value}.")),
        1 => (format!("Give the {small}."), format!("{value}.")),
        2 => (format!("Which {small} does the record name?"), format!("{name}: {value}.")),
        _ => (format!("Find the {small}."), format!("{}, {small}.", capital(value))),
    };
    let lines: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    Example::new(instruction, lines.join("\n"), answer)
}

pub(super) const KINDS_OF_TEXT: &[&str] =
    &["note", "letter", "report", "message", "answer", "summary", "card"];

/// The fields in the order in which a record has them; each has its own way to draw a value.
const FIELDS: &[&str] = &[
    "Name",
    "Age",
    "Reference",
    "Customer",
    "Town",
    "Code",
    "Job",
    "Patient",
    "Age",
    "Nights",
    "Hobby",
    "Number",
    "Item",
    "Price",
    "Guest",
    "Day",
    "Month",
    "Reference",
    "Hour",
    "Weather",
    "Person",
    "Room",
    "Number",
    "Code",
    ANY,
    ANY,
    ANY,
    ANY,
    ANY,
    ANY,
];

/// A field whose name and value may be any of many words: the model has to learn the rule, not a
/// table.
const ANY: &str = "";

fn field(index: usize, choice: &mut Choice) -> (String, String) {
    let name = FIELDS[index];
    if name == ANY {
        return any(choice);
    }
    let value = match name {
        "Name" | "Patient" | "Person" => names::person(Half::Corpus, choice),
        "Customer" | "Guest" => {
            format!("{} {}", choice.pick(&["Ms", "Mr"]), names::last(Half::Corpus, choice))
        }
        "Age" => choice.between(18, 89).to_string(),
        "Town" => (*choice.pick(TOWNS)).to_owned(),
        "Job" => choice.pick(JOBS).0.to_owned(),
        "Hobby" => (*choice.pick(HOBBIES)).to_owned(),
        "Item" => choice.pick(THINGS).0.to_owned(),
        "Price" => format!("{} francs", choice.between(2, 99) * 10),
        "Day" => (*choice.pick(DAYS)).to_owned(),
        "Month" => (*choice.pick(&TemplateDate::MONTHS)).to_owned(),
        "Hour" => choice.between(6, 22).to_string(),
        "Weather" => choice.pick(WEATHER).0.to_owned(),
        "Number" | "Reference" => choice.between(1000, 9999).to_string(),
        "Code" => code(choice),
        _ => choice.between(1, 30).to_string(),
    };
    (name.to_owned(), value)
}

/// A letter and two digits.
pub(super) fn code(choice: &mut Choice) -> String {
    let letter = choice.pick(&["B", "C", "D", "E", "F", "H", "K", "M", "N", "R", "S", "T"]);
    format!("{letter}{}", choice.between(10, 99))
}

/// The base model has seen the words of the domains, but none of their facts.
fn any(choice: &mut Choice) -> (String, String) {
    let name = match choice.below(2) {
        0 => glimpses::field(choice),
        _ => choice.pick(KINDS).0,
    };
    let value = match choice.below(4) {
        0 => glimpses::word(choice).to_owned(),
        1 => {
            let members = choice.pick(KINDS).2;
            (*choice.pick(members)).to_owned()
        }
        2 => choice.pick(THINGS).0.to_owned(),
        _ => choice.between(2, 999).to_string(),
    };
    (capital(name), value)
}

fn sentence(name: &str, value: &str) -> String {
    match name {
        "Name" => format!("This is about {value}."),
        "Price" => format!("It costs {value}."),
        "Day" => format!("It is on {value}."),
        "Hour" => format!("It starts at {value}."),
        _ => format!("The {} is {value}.", name.to_lowercase()),
    }
}

/// A plain remark that mentions one or two words of the domains.
pub(super) fn remark(choice: &mut Choice) -> String {
    let (word, other) = (glimpses::word(choice), glimpses::word(choice));
    let (person, subject, ..) = *choice.pick(PEOPLE);
    let surname = names::last(Half::Corpus, choice);
    let day = choice.pick(DAYS);
    let number = choice.between(2, 99);
    match choice.below(8) {
        0 => format!("{person} had a question about {word}."),
        1 => format!("On {day} {person} read something about {word} and {other}."),
        2 => format!("{} is a word that {person} wrote down on {day}.", capital(word)),
        3 => format!("{person} talked about {word} on {day}, and {subject} asked what to do."),
        4 => format!("Page {number} is about {word}. Next: {other}, on {day}."),
        5 => format!("{surname}, {number}, asked for {word}. Then came {other}."),
        6 => format!("{} {surname} said \"{word}\" in {number} days.", choice.pick(&["Ms", "Mr"])),
        _ => format!(
            "{}: {word}. {}: {other}.",
            capital(choice.pick(KINDS).0),
            capital(choice.pick(KINDS).0)
        ),
    }
}
