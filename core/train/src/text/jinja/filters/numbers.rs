//! The filters `int` and `float`, which read texts as Python does.

use minijinja::Error;
use minijinja::value::{Kwargs, Value, ValueKind};

use super::super::{bad, strip};

/// Python's `int(value)`, or the default where that is not possible.
pub(super) fn int(
    value: &Value,
    default: Option<Value>,
    arguments: Kwargs,
) -> Result<Value, Error> {
    let default = fallback(value, default, &arguments, Value::from(0))?;
    if value.is_integer() {
        return Ok(value.clone());
    }
    if let Some(text) = value.as_str() {
        let digits = number_text(text)?;
        if let Ok(number) = digits.parse::<i128>() {
            return Ok(Value::from(number));
        }
    }
    match real(value)? {
        Some(number) if number.is_nan() => Ok(default),
        Some(number) if number.abs() < 1e30 => Ok(Value::from(number as i128)),
        Some(_) => Err(bad("a number too large to be a whole one")),
        None => Ok(default),
    }
}

/// Python's `float(value)`, or the default where that is not possible.
pub(super) fn float(
    value: &Value,
    default: Option<Value>,
    arguments: Kwargs,
) -> Result<Value, Error> {
    let default = fallback(value, default, &arguments, Value::from(0.0))?;
    Ok(real(value)?.map_or(default, Value::from))
}

/// What the filter gives for a value that is no number: its argument `default`, in either form, or
/// zero.
///
/// # Errors
/// A value that is not defined; an argument that the filter does not have.
fn fallback(
    value: &Value,
    positional: Option<Value>,
    arguments: &Kwargs,
    zero: Value,
) -> Result<Value, Error> {
    let default = match positional {
        Some(default) => default,
        None => arguments.get::<Option<Value>>("default")?.unwrap_or(zero),
    };
    arguments.assert_all_used()?;
    match value.is_undefined() {
        true => Err(bad("a value that is not defined is no number")),
        false => Ok(default),
    }
}

fn real(value: &Value) -> Result<Option<f64>, Error> {
    Ok(match value.kind() {
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        ValueKind::Bool => Some(if value.is_true() { 1.0 } else { 0.0 }),
        ValueKind::String => number_text(value.as_str().unwrap_or_default())?.parse().ok(),
        _ => None,
    })
}

/// What a text of Python's numbers is in Rust's.
///
/// # Errors
/// Digits of other scripts, which Python reads, too.
fn number_text(text: &str) -> Result<String, Error> {
    let text = strip(text, None, true, true);
    if text.chars().any(|c| !c.is_ascii() && c.is_numeric()) {
        return Err(bad("digits that are not those of ASCII"));
    }
    let bytes = text.as_bytes();
    let between_digits = |at: usize| {
        let digit =
            |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
        digit(at.checked_sub(1)) && digit(at.checked_add(1))
    };
    let kept = text.char_indices().filter(|(at, c)| *c != '_' || !between_digits(*at));
    Ok(kept.map(|(_, c)| c).collect())
}
