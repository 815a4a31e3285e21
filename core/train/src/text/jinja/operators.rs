//! Operators of Python that minijinja defines in another way.

use std::cmp::Ordering;
use std::sync::LazyLock;

use minijinja::value::{Tuple, Value, ValueKind};
use minijinja::{Environment, Error};

use super::bad;
use super::objects::{Generator, Range, View};
use super::python::{self, Shape};

/// Names of the functions that expressions are translated to.
pub(super) const EQUAL: &str = "fedshield_equal";
pub(super) const COMPARE: &str = "fedshield_compare";
pub(super) const CONTAINED: &str = "fedshield_contained";
pub(super) const SUM: &str = "fedshield_sum";
pub(super) const CONCAT: &str = "fedshield_concat";
pub(super) const SLICE: &str = "fedshield_slice";
pub(super) const ITERABLE: &str = "fedshield_iterable";
pub(super) const REAL: &str = "fedshield_real";
pub(super) const PLUS: &str = "fedshield_plus";
pub(super) const PLAIN: &str = "fedshield_plain";

/// Adds them to an environment.
pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_function(COMPARE, |sign: &str, left: &Value, right: &Value| {
        compare(left, right).map(|order| holds(sign, order))
    });
    environment.add_function(EQUAL, equal);
    environment.add_function(CONTAINED, contained);
    environment.add_function(CONCAT, |left: &Value, right: &Value| -> Result<String, Error> {
        Ok(python::str(left)? + &python::str(right)?)
    });
    environment.add_function(SUM, sum);
    environment.add_function(SLICE, slice);
    environment.add_function(ITERABLE, iterable);
    environment.add_function(REAL, |value: Value| {
        let is_real = value.is_integer() || f64::try_from(value.clone()).is_ok_and(|v| !v.is_nan());
        if is_real { Ok(value) } else { Err(bad("a power that is no real number")) }
    });
    environment.add_function(PLAIN, |value: Value| super::plain(&value).map(|()| value.clone()));
    environment.add_function(PLUS, |value: Value| match value.kind() {
        ValueKind::Number => Ok(value),
        ValueKind::Bool => Ok(Value::from(i64::from(value.is_true()))),
        _ => Err(bad("only a number can have the sign +")),
    });
    for (names, sign) in [
        (["lt", "lessthan", "<"], "<"),
        (["le", "<=", "fedshield_le"], "<="),
        (["gt", "greaterthan", ">"], ">"),
        (["ge", ">=", "fedshield_ge"], ">="),
    ] {
        for name in names {
            environment.add_test(name, move |left: &Value, right: &Value| {
                compare(left, right).map(|order| holds(sign, order))
            });
        }
    }
    environment.add_test("in", contained);
    for name in ["eq", "equalto", "=="] {
        environment.add_test(name, equal);
    }
    for name in ["ne", "!="] {
        environment.add_test(name, |left: &Value, right: &Value| equal(left, right).map(|is| !is));
    }
}

/// Python's `+`. What is added to a text marked as safe is escaped and the sum is marked, as in
/// MarkupSafe's `Markup`, whatever the environment does with a text that is printed.
fn sum(left: &Value, right: &Value) -> Result<Value, Error> {
    /// minijinja offers its own addition to templates alone.
    static NATIVE: LazyLock<Environment<'static>> = LazyLock::new(Environment::new);
    match (left.as_str(), right.as_str()) {
        (Some(left_text), Some(right_text)) => {
            let safe = left.is_safe() || right.is_safe();
            let mut out = String::with_capacity(left_text.len() + right_text.len());
            for (part, value) in [(left_text, left), (right_text, right)] {
                match safe && !value.is_safe() {
                    true => escape(part, &mut out),
                    false => out.push_str(part),
                }
            }
            Ok(if safe { Value::from_safe_string(out) } else { Value::from(out) })
        }
        _ => {
            let values = [("left", left.clone()), ("right", right.clone())];
            NATIVE.compile_expression("left + right")?.eval(Value::from_pairs(values))
        }
    }
}

/// MarkupSafe's `escape`.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            c => out.push(c),
        }
    }
}

/// Python's equality: minijinja compares everything that can be iterated over by its items.
fn equal(left: &Value, right: &Value) -> Result<bool, Error> {
    let lazy = |value: &Value| {
        let shape = python::shape(value);
        let is_lazy = matches!(shape, Shape::View | Shape::Range)
            || (shape == Shape::Unknown && value.kind() == ValueKind::Iterable);
        is_lazy.then_some(shape)
    };
    match (lazy(left), lazy(right)) {
        (None, None) => Ok(left == right),
        (one, other) if one != other => Ok(false),
        _ => Err(bad("two ranges, views or generators are not compared")),
    }
}

/// Whether a comparison holds; `None` is the order of what is not a number.
fn holds(sign: &str, order: Option<Ordering>) -> bool {
    match sign {
        "<" => order == Some(Ordering::Less),
        "<=" => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        ">" => order == Some(Ordering::Greater),
        _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    }
}

/// Python's order of two numbers, texts, lists or tuples.
///
/// # Errors
/// Values that Python does not order.
pub(super) fn compare(left: &Value, right: &Value) -> Result<Option<Ordering>, Error> {
    let is_number = |value: &Value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool);
    if is_number(left) && is_number(right) {
        let is_nan = |value: &Value| f64::try_from(value.clone()).is_ok_and(f64::is_nan);
        return Ok((!is_nan(left) && !is_nan(right)).then(|| number(left).cmp(&number(right))));
    }
    if let (Some(left), Some(right)) = (left.as_str(), right.as_str()) {
        return Ok(Some(left.cmp(right)));
    }
    match (python::shape(left), python::shape(right)) {
        (Shape::List, Shape::List) | (Shape::Tuple, Shape::Tuple) => {
            let (mut lefts, mut rights) = (left.try_iter()?.checked(), right.try_iter()?.checked());
            loop {
                match (lefts.next().transpose()?, rights.next().transpose()?) {
                    (Some(a), Some(b)) if a == b => {}
                    (Some(a), Some(b)) => return compare(&a, &b),
                    (a, b) => return Ok(Some(a.is_some().cmp(&b.is_some()))),
                }
            }
        }
        _ => Err(bad(format!("{} and {} have no order", left.kind(), right.kind()))),
    }
}

/// Python's booleans are numbers.
fn number(value: &Value) -> Value {
    match value.kind() {
        ValueKind::Bool => Value::from(i64::from(value.is_true())),
        _ => value.clone(),
    }
}

fn contained(item: &Value, container: &Value) -> Result<bool, Error> {
    if let Some(text) = container.as_str() {
        let item = item.as_str().ok_or_else(|| bad("only a text can be in a text"))?;
        return Ok(text.contains(item));
    }
    match container.kind() {
        ValueKind::Undefined => Ok(false),
        ValueKind::Map => match python::shape(item) {
            Shape::List | Shape::Map | Shape::Unknown => Err(bad("this cannot be a key")),
            _ => Ok(container.try_iter()?.any(|key| key == *item)),
        },
        ValueKind::Seq | ValueKind::Iterable => {
            for found in container.try_iter()?.checked() {
                if found? == *item {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        other => Err(bad(format!("nothing is in a value of kind {other}"))),
    }
}

/// What a loop iterates over.
fn iterable(value: Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Undefined | ValueKind::Map | ValueKind::Seq => Ok(value),
        // A loop in Jinja knows its length, whatever it iterates over.
        ValueKind::String | ValueKind::Iterable => {
            let items: Result<Vec<Value>, Error> = value.try_iter()?.checked().collect();
            Ok(Value::from(items?))
        }
        other => Err(bad(format!("a value of kind {other} cannot be iterated over"))),
    }
}

/// Makes a value of a slice's items.
type Build = fn(Vec<Value>) -> Value;

fn slice(value: &Value, start: Value, end: Value, step: Value) -> Result<Value, Error> {
    super::plain(value)?;
    let is_index =
        |part: &Value| part.is_none() || part.is_integer() || part.kind() == ValueKind::Bool;
    let as_list = |items: Vec<Value>| Value::from(items);
    let as_tuple = |items: Vec<Value>| Value::from(Tuple::from(items));
    let (items, build): (Vec<Value>, Build) = match python::shape(value) {
        Shape::Undefined => return Err(bad("a value that is not defined has no slice")),
        Shape::Text => {
            (value.as_str().unwrap_or_default().chars().map(Value::from).collect(), |c| {
                c.iter().filter_map(Value::as_str).collect::<String>().into()
            })
        }
        Shape::List => (value.try_iter()?.checked().collect::<Result<_, _>>()?, as_list),
        Shape::Tuple => (value.try_iter()?.checked().collect::<Result<_, _>>()?, as_tuple),
        Shape::Range => return Err(bad("a slice of a range is not supported")),
        _ => return Err(bad(format!("a value of kind {} has no slice", value.kind()))),
    };
    if ![&start, &end, &step].into_iter().all(is_index) {
        return Err(bad("the ends of a slice are whole numbers"));
    }
    let number = |part: &Value| number(part).as_i64();
    let step = if step.is_none() { 1 } else { number(&step).unwrap_or(0) };
    if step == 0 {
        return Err(bad("the step of a slice is zero"));
    }
    let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let (least, most) = if step > 0 { (0, count) } else { (-1, count - 1) };
    let place = |part: &Value, missing: i64| match number(part) {
        None => missing,
        Some(index) if index < 0 => (index.saturating_add(count)).clamp(least, most),
        Some(index) => index.clamp(least, most),
    };
    let (first, last) = if step > 0 { (least, most) } else { (most, least) };
    let (mut at, end) = (place(&start, first), place(&end, last));
    let mut chosen = Vec::new();
    while if step > 0 { at < end } else { at > end } {
        let item = usize::try_from(at).ok().and_then(|at| items.get(at));
        chosen.extend(item.cloned());
        at = at.saturating_add(step);
    }
    Ok(build(chosen))
}

/// The function `range`.
pub(super) fn range(arguments: minijinja::value::Rest<Value>) -> Result<Value, Error> {
    let numbers: Option<Vec<i64>> = arguments
        .iter()
        .map(|value| {
            (value.is_integer() || value.kind() == ValueKind::Bool)
                .then(|| number(value).as_i64())?
        })
        .collect();
    let range = numbers.and_then(|numbers| Range::of(&numbers));
    range
        .map(Value::from_object)
        .ok_or_else(|| bad("range needs one to three whole numbers, and at most 100,000 values"))
}

/// Whether this is one of the objects that Python would not print as a list.
pub(super) fn shape_of_object(value: &Value) -> Option<Shape> {
    if value.downcast_object_ref::<Generator>().is_some() {
        return Some(Shape::Unknown);
    }
    if value.downcast_object_ref::<View>().is_some() {
        return Some(Shape::View);
    }
    value.downcast_object_ref::<Range>().map(|_| Shape::Range)
}
