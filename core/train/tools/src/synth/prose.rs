//! Short plain texts about everyday matters, from which the base model learns to write English.

use fedshield_train::text::TemplateDate;

use super::choice::Choice;
use super::words::{
    ANIMALS, CAPITALS, DAYS, DEEDS, DISHES, HOBBIES, JOBS, KINDS, PEOPLE, SURNAMES, THINGS, TOWNS,
    WEATHER,
};

/// One paragraph on a random topic.
pub(super) fn paragraph(choice: &mut Choice) -> String {
    match choice.below(10) {
        0 => animal(choice),
        1 => thing(choice),
        2 => job(choice),
        3 => weather(choice),
        4 => dish(choice),
        5 => journey(choice),
        6 => portrait(choice),
        7 => talk(choice),
        8 => kinds(choice),
        _ => story(choice),
    }
}

/// "a" or "an", by the first letter.
pub(super) fn article(word: &str) -> &'static str {
    match word.as_bytes().first() {
        Some(b'a' | b'e' | b'i' | b'o' | b'u') => "an",
        _ => "a",
    }
}

/// The same text with a capital first letter.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn animal(choice: &mut Choice) -> String {
    let (name, kind, look, home, food, habit) = *choice.pick(ANIMALS);
    let open = match choice.below(3) {
        0 => format!("The {name} is {} {look} {kind}.", article(look)),
        1 => format!("{} {name} is {} {look} {kind}.", capital(article(name)), article(look)),
        _ => format!("Many people know the {name}, {} {look} {kind}.", article(look)),
    };
    let live = match choice.below(2) {
        0 => format!("It lives {home} and eats {food}."),
        _ => format!("It finds {food} to eat {home}."),
    };
    match choice.below(3) {
        0 => format!("{open} {live} It often {habit}."),
        1 => {
            let month = choice.pick(&TemplateDate::MONTHS);
            format!("{open} {live} In {month} people can see how it {habit}.")
        }
        _ => format!("{open} {live}"),
    }
}

fn thing(choice: &mut Choice) -> String {
    let (name, kind, purpose, material) = *choice.pick(THINGS);
    let (person, subject, _, possessive) = *choice.pick(PEOPLE);
    let open =
        format!("{} {name} is {} {kind} for {purpose}.", capital(article(name)), article(kind));
    match choice.below(3) {
        0 => format!("{open} Most of them are made of {material}."),
        1 => format!(
            "{open} {person} keeps {possessive} {name} by the door, because {subject} needs it \
            often."
        ),
        _ => {
            let town = choice.pick(TOWNS);
            format!("{open} {person} bought one in {town}. It is made of {material}.")
        }
    }
}

fn job(choice: &mut Choice) -> String {
    let (name, does, place) = *choice.pick(JOBS);
    let (person, subject, _, possessive) = *choice.pick(PEOPLE);
    let surname = choice.pick(SURNAMES);
    let years = choice.between(2, 30);
    match choice.below(3) {
        0 => format!("{} {name} {does}. Most of the work is done {place}.", capital(article(name))),
        1 => format!(
            "{person} {surname} is {} {name}. {} {does} {place}. {} likes {possessive} work.",
            article(name),
            capital(subject),
            capital(subject)
        ),
        _ => format!(
            "{person} {surname} has been {} {name} for {years} years. Every day {subject} {does}.",
            article(name)
        ),
    }
}

fn weather(choice: &mut Choice) -> String {
    let day = choice.pick(DAYS);
    let town = choice.pick(TOWNS);
    let ((now, sign), (then, later)) = choice.pick_two(WEATHER);
    let degrees = choice.between(2, 29);
    match choice.below(3) {
        0 => format!(
            "On {day} it will be {now} in {town}, with {degrees} degrees. {}.",
            capital(sign)
        ),
        1 => format!("It is {now} in {town} and {sign}. On {day} it will be {then}."),
        _ => format!("{day} was {now} in {town}: {sign}. Then it turned {then} and {later}."),
    }
}

fn dish(choice: &mut Choice) -> String {
    let (name, first, second, heat, minutes) = *choice.pick(DISHES);
    let open = match choice.below(2) {
        0 => format!("To make {name}, take {first} and {second}."),
        _ => format!("You need {first} and {second} for {name}."),
    };
    let close = match choice.below(3) {
        0 => "Serve it hot.".to_owned(),
        1 => format!("{} likes it with bread.", choice.pick(PEOPLE).0),
        _ => "Let it cool before you eat it.".to_owned(),
    };
    format!("{open} Mix them and {heat} everything for {minutes} minutes. {close}")
}

fn journey(choice: &mut Choice) -> String {
    let (from, to) = choice.pick_two(TOWNS);
    let hour = choice.between(5, 22);
    let hours = choice.between(2, 9);
    let person = choice.pick(PEOPLE).0;
    match choice.below(3) {
        0 => format!("The train from {from} to {to} leaves at {hour} and takes {hours} hours."),
        1 => {
            let day = choice.pick(DAYS);
            format!("On {day} {person} took the train from {from} to {to}. It took {hours} hours.")
        }
        _ => {
            let (country, city) = *choice.pick(CAPITALS);
            format!(
                "{person} lives in {city}, the capital of {country}, and often travels to {to}."
            )
        }
    }
}

fn portrait(choice: &mut Choice) -> String {
    let (person, subject, object, _) = *choice.pick(PEOPLE);
    let surname = choice.pick(SURNAMES);
    let town = choice.pick(TOWNS);
    let hobby = choice.pick(HOBBIES);
    let age = choice.between(18, 89);
    match choice.below(3) {
        0 => format!(
            "{person} {surname} is {age} years old and lives in {town}. {} likes {hobby}.",
            capital(subject)
        ),
        1 => format!(
            "{person} {surname} from {town} likes {hobby}. People in {town} know {object} well."
        ),
        _ => {
            let friend = choice.pick(PEOPLE).0;
            format!("{person} {surname} lives in {town} with {friend}. They both like {hobby}.")
        }
    }
}

fn talk(choice: &mut Choice) -> String {
    let ((first, ..), (second, subject, ..)) = choice.pick_two(PEOPLE);
    let (base, _, past) = *choice.pick(DEEDS);
    let day = choice.pick(DAYS);
    match choice.below(3) {
        0 => {
            format!("\"Will you {base} on {day}?\" asked {first}. \"Yes, I will,\" said {second}.")
        }
        1 => format!("{first} asked {second} to {base}. On {day} {subject} {past}."),
        _ => format!("\"I {past} on {day},\" said {first}. {second} was glad to hear it."),
    }
}

fn kinds(choice: &mut Choice) -> String {
    let (kind, kinds, members) = *choice.pick(KINDS);
    let (first, second) = choice.pick_two(members);
    let person = choice.pick(PEOPLE).0;
    match choice.below(3) {
        0 => format!("There are many {kinds}. Two of them are {first} and {second}."),
        1 => format!("{person} chose between {first} and {second}, and took {first}."),
        _ => format!(
            "When {person} thinks of {} {kind}, it is {first} and not {second}.",
            article(kind)
        ),
    }
}

fn story(choice: &mut Choice) -> String {
    let (person, subject, _, possessive) = *choice.pick(PEOPLE);
    let town = choice.pick(TOWNS);
    let (sky, sign) = *choice.pick(WEATHER);
    let ((_, _, first), (_, _, second)) = choice.pick_two(DEEDS);
    let friend = choice.pick(PEOPLE).0;
    let thing = choice.pick(THINGS).0;
    let open = match choice.below(3) {
        0 => format!(
            "One {sky} morning in {}, {person} {first}.",
            choice.pick(&TemplateDate::MONTHS)
        ),
        1 => format!("It was a {sky} {} in {town}. {person} {first}.", choice.pick(DAYS)),
        _ => format!("{person} saw that {sign}, so {subject} {first}."),
    };
    let middle = match choice.below(3) {
        0 => format!("On the way {subject} met {friend}, who carried {} {thing}.", article(thing)),
        1 => format!("Then {friend} came and brought {possessive} {thing}."),
        _ => format!("{} thought about {friend} and {possessive} old {thing}.", capital(subject)),
    };
    let close = match choice.below(3) {
        0 => format!("Later {subject} {second}."),
        1 => format!("In the evening they went home to {town}."),
        _ => "It was a good day.".to_owned(),
    };
    format!("{open} {middle} {close}")
}
