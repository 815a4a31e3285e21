//! General instructions with answers, from which the base model learns what an instruction is.

use super::choice::Choice;
use super::domain::glimpses;
use super::example::Example;
use super::names::{self, Half};
use super::prose::{article, capital};
use super::records;
use super::styles;
use super::words::{
    ANIMALS, CAPITALS, DAYS, DEEDS, DISHES, JOBS, KINDS, OPPOSITES, PEOPLE, THINGS, TOWNS,
};

/// One instruction with its answer, on a random subject. Half of them turn a record into text,
/// because that is what organisations ask for, most of these in a random style; a third copies
/// values that occur nowhere else.
pub(super) fn task(choice: &mut Choice) -> Example {
    match choice.below(8) {
        0 => return records::task(choice),
        1..4 => return styles::task(choice),
        4 => return records::lookup(choice),
        5 | 6 => return repeat(choice),
        _ => {}
    }
    match choice.below(9) {
        0 => define(choice),
        1 => opposite(choice),
        2 => past(choice),
        3 => list(choice),
        4 => classify(choice),
        5 => capital_city(choice),
        6 => find(choice),
        7 => polite(choice),
        _ => how(choice),
    }
}

fn define(choice: &mut Choice) -> Example {
    let (name, answer) = match choice.below(3) {
        0 => {
            let (name, kind, look, home, food, _) = *choice.pick(ANIMALS);
            let a = article(look);
            (
                name,
                format!(
                    "{} {name} is {a} {look} {kind} that lives {home} and eats {food}.",
                    capital(article(name))
                ),
            )
        }
        1 => {
            let (name, kind, purpose, material) = *choice.pick(THINGS);
            let start = capital(article(name));
            (
                name,
                format!(
                    "{start} {name} is {} {kind} for {purpose}. It is often made of {material}.",
                    article(kind)
                ),
            )
        }
        _ => {
            let (name, does, place) = *choice.pick(JOBS);
            (name, format!("{} {name} {does}. The work is done {place}.", capital(article(name))))
        }
    };
    let question = match choice.below(3) {
        0 => format!("What is {} {name}?", article(name)),
        1 => format!("Explain what {} {name} is.", article(name)),
        _ => format!("Tell me about the {name}."),
    };
    Example::new(question, "", answer)
}

fn opposite(choice: &mut Choice) -> Example {
    let (one, other) = *choice.pick(OPPOSITES);
    let (word, answer) = if choice.percent(50) { (one, other) } else { (other, one) };
    match choice.below(2) {
        0 => Example::new("Give the opposite of the word.", word, capital(answer) + "."),
        _ => Example::new(
            format!("What is the opposite of {word}?"),
            "",
            format!("The opposite of {word} is {answer}."),
        ),
    }
}

fn past(choice: &mut Choice) -> Example {
    let (_, now, then) = *choice.pick(DEEDS);
    let person = choice.pick(PEOPLE).0;
    let day = choice.pick(DAYS);
    match choice.below(2) {
        0 => Example::new(
            "Rewrite the sentence in the past tense.",
            format!("{person} {now}."),
            format!("{person} {then}."),
        ),
        _ => Example::new(
            "Rewrite the sentence in the past tense.",
            format!("On {day} {person} {now}."),
            format!("On {day} {person} {then}."),
        ),
    }
}

fn list(choice: &mut Choice) -> Example {
    let (_, kinds, members) = *choice.pick(KINDS);
    let start = choice.below(members.len());
    let at = |i: usize| members[(start + i) % members.len()];
    Example::new(
        format!("List three {kinds}."),
        "",
        format!("{}, {} and {}.", capital(at(0)), at(1), at(2)),
    )
}

fn classify(choice: &mut Choice) -> Example {
    let (kind, _, members) = *choice.pick(KINDS);
    let word = *choice.pick(members);
    let instruction = match choice.below(2) {
        0 => "Which kind of thing is this?",
        _ => "Sort the word into a kind.",
    };
    Example::new(instruction, word, format!("{} is {} {kind}.", capital(word), article(kind)))
}

fn capital_city(choice: &mut Choice) -> Example {
    let (country, city) = *choice.pick(CAPITALS);
    match choice.below(2) {
        0 => Example::new(
            format!("What is the capital of {country}?"),
            "",
            format!("The capital of {country} is {city}."),
        ),
        _ => Example::new(
            format!("Of which country is {city} the capital?"),
            "",
            format!("{city} is the capital of {country}."),
        ),
    }
}

fn find(choice: &mut Choice) -> Example {
    let (person, ..) = *choice.pick(PEOPLE);
    let (_, _, deed) = *choice.pick(DEEDS);
    let town = *choice.pick(TOWNS);
    let day = *choice.pick(DAYS);
    let text = match choice.below(2) {
        0 => format!("On {day} {person} {deed} in {town}."),
        _ => format!("{person} was in {town} on {day} and {deed}."),
    };
    let (question, answer) = match choice.below(4) {
        0 => ("Who is the text about?", format!("The text is about {person}.")),
        1 => ("Where did it happen?", format!("It happened in {town}.")),
        2 => ("When did it happen?", format!("It happened on {day}.")),
        _ => ("What happened?", format!("{person} {deed}.")),
    };
    Example::new(question, text, answer)
}

fn polite(choice: &mut Choice) -> Example {
    let (deed, ..) = *choice.pick(DEEDS);
    let person = choice.pick(PEOPLE).0;
    match choice.below(2) {
        0 => Example::new(
            "Make the request polite.",
            format!("{}!", capital(deed)),
            format!("Could you please {deed}?"),
        ),
        _ => Example::new(
            "Make the request polite.",
            format!("{person}, {deed}!"),
            format!("{person}, could you please {deed}?"),
        ),
    }
}

fn how(choice: &mut Choice) -> Example {
    let (name, first, second, heat, minutes) = *choice.pick(DISHES);
    let question = match choice.below(2) {
        0 => format!("How do you make {name}?"),
        _ => format!("Give me a recipe for {name}."),
    };
    Example::new(
        question,
        "",
        format!("Take {first} and {second}, mix them and {heat} everything for {minutes} minutes."),
    )
}

/// Copying any words in any order, the domains' words included: a later adapter builds on this when
/// it writes a record in the style of its organisation.
fn repeat(choice: &mut Choice) -> Example {
    let count = choice.between(3, 9);
    let words: Vec<String> = (0..count).map(|_| any_word(choice)).collect();
    match choice.below(4) {
        0 => Example::new("Repeat the words.", words.join(" "), words.join(" ") + "."),
        1 => Example::new("Join the lines with commas.", words.join("\n"), words.join(", ") + "."),
        2 => {
            let last = &words[count - 1];
            Example::new("Which word comes last?", words.join(", "), format!("{}.", capital(last)))
        }
        _ => Example::new(
            format!("Which words follow \"{}\"?", words[0]),
            words.join("; "),
            words[1..].join("; ") + ".",
        ),
    }
}

fn any_word(choice: &mut Choice) -> String {
    match choice.below(8) {
        0 => {
            let members = choice.pick(KINDS).2;
            (*choice.pick(members)).to_owned()
        }
        1 | 2 => choice.between(1, 9999).to_string(),
        3 | 4 => names::person(Half::Corpus, choice),
        5 => records::code(choice),
        _ => glimpses::word(choice).to_owned(),
    }
}
