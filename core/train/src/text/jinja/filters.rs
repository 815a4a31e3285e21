//! Filters and tests of Jinja that minijinja lacks or defines in another way. What it has and Jinja
//! has not is removed; so is what could differ without a word.

mod lazy;
mod numbers;
mod ordered;
mod texts;

use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{Environment, Error, filters, tests};

use super::python::{self, Shape};
use super::{bad, plain, strip};
use numbers::{float, int};
use texts::{format, indent, join, replace, text_of, titled, tojson};

/// Filters of minijinja that Jinja does not have, or that escape, print or group in another way.
const REMOVED: [&str; 11] = [
    "escape",
    "e",
    "split",
    "lines",
    "bool",
    "chain",
    "zip",
    "pprint",
    "urlencode",
    "attr",
    "groupby",
];
const REMOVED_TESTS: [&str; 5] = ["startingwith", "endingwith", "int", "safe", "escaped"];

/// Changes the environment's filters and tests to Jinja's.
pub(super) fn add(environment: &mut Environment<'_>) {
    REMOVED.into_iter().for_each(|name| environment.remove_filter(name));
    REMOVED_TESTS.into_iter().for_each(|name| environment.remove_test(name));
    lazy::add(environment);
    ordered::add(environment);
    environment.add_filter("tojson", tojson);
    environment.add_filter("safe", |value: &Value| {
        Ok::<_, Error>(Value::from_safe_string(python::str(value)?))
    });
    environment.add_filter("format", format);
    environment.add_filter("string", text_of);
    environment.add_filter("trim", |text: &Value, chars: Option<&str>| -> Result<String, Error> {
        plain(text)?;
        Ok(strip(&python::str(text)?, chars, true, true).to_owned())
    });
    environment.add_filter("join", join);
    environment.add_filter("default", default);
    environment.add_filter("replace", replace);
    environment
        .add_filter("capitalize", |value: &Value| super::methods::capitalized(&text_of(value)?));
    environment.add_filter("d", default);
    environment.add_filter("title", |value: &Value| Ok::<_, Error>(titled(&text_of(value)?)));
    environment.add_filter("indent", indent);
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment.add_filter("list", |value: Value| match value.kind() {
        ValueKind::None => Err(bad("none is no list")),
        _ => Ok(value.try_iter()?.checked().collect::<Result<Vec<Value>, Error>>()?),
    });
    environment.add_filter("lower", |value: &Value| Ok::<_, Error>(text_of(value)?.to_lowercase()));
    environment.add_filter("upper", |value: &Value| Ok::<_, Error>(text_of(value)?.to_uppercase()));
    environment.add_filter("last", |value: Value| match python::shape(&value) {
        Shape::Unknown => Err(bad("a generator has no last value")),
        _ => filters::last(value),
    });
    add_tests(environment);
}

/// Tests of values.
fn add_tests(environment: &mut Environment<'_>) {
    // Python's strings and dictionaries have a length and access by key, which is all that Jinja
    // needs.
    environment.add_test("sequence", |value: &Value| {
        use Shape::{List, Map, Range, Text, Tuple, Undefined};
        matches!(python::shape(value), Undefined | Text | List | Tuple | Map | Range)
    });
    environment.add_test("iterable", |value: &Value| {
        let is_text = value.is_undefined() || value.kind() == ValueKind::String;
        is_text || (!value.is_none() && value.try_iter().is_ok())
    });
    environment.add_test("callable", |value: &Value| {
        value.is_undefined() || value.kind() == ValueKind::Plain
    });
    environment.add_test("odd", |value: Value| numeric(&value).map(|()| tests::is_odd(value)));
    environment.add_test("even", |value: Value| numeric(&value).map(|()| tests::is_even(value)));
    environment.add_test("lower", |value: &Value| -> Result<bool, Error> {
        let text = python::str(value)?;
        Ok(text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase))
    });
    environment.add_test("upper", |value: &Value| -> Result<bool, Error> {
        let text = python::str(value)?;
        Ok(text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase))
    });
}

fn numeric(value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Number | ValueKind::Bool => Ok(()),
        kind => Err(bad(format!("a value of kind {kind} is neither odd nor even"))),
    }
}

fn default(value: Value, given: Rest<Value>, arguments: Kwargs) -> Result<Value, Error> {
    if given.len() > 2 {
        return Err(bad("default takes a value and whether it replaces what is false, too"));
    }
    let boolean = match given.get(1) {
        Some(boolean) => boolean.is_true(),
        None => arguments.get::<Option<Value>>("boolean")?.is_some_and(|value| value.is_true()),
    };
    let given = match given.first() {
        Some(given) => given.clone(),
        None if arguments.has("default_value") => arguments.get("default_value")?,
        None => Value::from(""),
    };
    arguments.assert_all_used()?;
    Ok(if value.is_undefined() || (boolean && !value.is_true()) { given } else { value })
}
