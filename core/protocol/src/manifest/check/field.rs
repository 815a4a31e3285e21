//! Checks of one field, whatever it means. Errors name the field, its value and the values allowed.

use super::{Checked, ManifestError};
use crate::hidden::first_hidden;
use crate::manifest::Real;

pub(super) fn wrong(
    field: impl Into<String>,
    value: impl ToString,
    remedy: impl Into<String>,
) -> Checked {
    let value: String = value.to_string().chars().take(80).collect();
    Err(ManifestError { field: field.into(), value, remedy: remedy.into() })
}

pub(super) fn text(field: &str, value: &str, limit: usize) -> Checked {
    if value.is_empty() || value.len() > limit {
        return wrong(field, format!("{} bytes long", value.len()), format!("1 to {limit} bytes"));
    }
    if value.trim() != value {
        return wrong(field, format!("{value:?}"), "no space at the ends");
    }
    if let Some(hidden) = first_hidden(value) {
        let remedy = format!("write it without {hidden}, a character that nobody sees");
        return wrong(field, format!("{value:?}"), remedy);
    }
    Ok(())
}

pub(super) fn between(field: &str, value: u64, least: u64, most: u64) -> Checked {
    if value < least || value > most {
        return wrong(field, value, format!("take {least} to {most}"));
    }
    Ok(())
}

pub(super) fn above_zero(field: &str, value: Real) -> Checked {
    if value.get() <= 0.0 {
        return wrong(field, value.get(), "take a number above 0");
    }
    Ok(())
}

pub(super) fn fraction(field: &str, value: Real) -> Checked {
    if !(0.0..=1.0).contains(&value.get()) {
        return wrong(field, value.get(), "take a number from 0 to 1");
    }
    Ok(())
}
