//! Methods of Python's values that pycompat lacks, or for which it uses Rust's definitions.

use minijinja::value::{Kwargs, Rest, Tuple, Value, from_args};
use minijinja::{Error, State};
use minijinja_contrib::pycompat;

use super::objects::View;
use super::python;
use super::{bad, strip};

pub(super) fn call(
    state: &mut State<'_, '_>,
    value: &Value,
    name: &str,
    arguments: &[Value],
) -> Result<Value, Error> {
    if arguments.is_empty()
        && let Some(view) = View::of(value, name)
    {
        return Ok(view);
    }
    super::plain(value)?;
    let Some(text) = value.as_str() else {
        return pycompat::unknown_method_callback(state, value, name, arguments);
    };
    Ok(match name {
        "strip" | "lstrip" | "rstrip" => {
            let (chars,): (Option<&str>,) = from_args(arguments)?;
            Value::from(strip(text, chars, name != "rstrip", name != "lstrip"))
        }
        "split" | "rsplit" => Value::from(pieces(text, arguments, name == "rsplit")?),
        "splitlines" => {
            let (keep, named): (Option<bool>, Kwargs) = from_args(arguments)?;
            let keep = match keep {
                Some(keep) => keep,
                None => named.get::<Option<bool>>("keepends")?.unwrap_or(false),
            };
            named.assert_all_used()?;
            Value::from(lines(text, keep))
        }
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(arguments)?;
            Value::from(text.strip_prefix(prefix).unwrap_or(text))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(arguments)?;
            Value::from(text.strip_suffix(suffix).unwrap_or(text))
        }
        "startswith" | "endswith" => Value::from(affixed(text, name, arguments)?),
        "partition" | "rpartition" => {
            let (between,): (&str,) = from_args(arguments)?;
            Value::from(Tuple::from(parted(text, between, name == "rpartition")?))
        }
        "title" => {
            from_args::<()>(arguments)?;
            Value::from(title(text)?)
        }
        "capitalize" => {
            from_args::<()>(arguments)?;
            Value::from(capitalized(text)?)
        }
        "join" => Value::from(joined(text, arguments)?),
        _ => return pycompat::unknown_method_callback(state, value, name, arguments),
    })
}

/// `str.startswith` and `str.endswith`, with a text or a tuple of texts.
fn affixed(text: &str, name: &str, arguments: &[Value]) -> Result<bool, Error> {
    let (wanted,): (&Value,) = from_args(arguments)?;
    let has = |part: &str| match name {
        "startswith" => text.starts_with(part),
        _ => text.ends_with(part),
    };
    let wrong = || bad("a text begins and ends with texts");
    match wanted.as_str() {
        Some(part) => Ok(has(part)),
        None if wanted.is_tuple() => {
            let mut any = false;
            for part in wanted.try_iter()? {
                any |= part.as_str().map(has).ok_or_else(wrong)?;
            }
            Ok(any)
        }
        None => Err(wrong()),
    }
}

fn joined(text: &str, arguments: &[Value]) -> Result<String, Error> {
    let (items,): (&Value,) = from_args(arguments)?;
    if items.is_none() {
        return Err(bad("none cannot be joined"));
    }
    let item = |item: Result<Value, Error>| match item?.as_str() {
        Some(item) => Ok(item.to_owned()),
        None => Err(bad("only texts can be joined")),
    };
    let items: Result<Vec<String>, Error> = items.try_iter()?.checked().map(item).collect();
    Ok(items?.join(text))
}

fn parted(text: &str, between: &str, last: bool) -> Result<Vec<Value>, Error> {
    if between.is_empty() {
        return Err(bad("empty separator"));
    }
    let found = if last { text.rsplit_once(between) } else { text.split_once(between) };
    let parts = match (found, last) {
        (Some((before, behind)), _) => [before, between, behind],
        (None, false) => [text, "", ""],
        (None, true) => ["", "", text],
    };
    Ok(parts.map(Value::from).to_vec())
}

/// `str.capitalize`.
///
/// # Errors
/// A first letter whose capital depends on whether it begins a word.
pub(super) fn capitalized(text: &str) -> Result<String, Error> {
    let mut rest = text.chars();
    let first = rest.next().map_or(Ok(String::new()), |c| title(&c.to_string()))?;
    Ok(first + &rest.as_str().to_lowercase())
}

/// `str.title`: a letter behind anything but a letter is capital.
///
/// # Errors
/// A letter whose capital depends on whether it begins a word.
fn title(text: &str) -> Result<String, Error> {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        let is_cased = c.is_lowercase() || c.is_uppercase();
        if inside {
            out.extend(c.to_lowercase());
        } else {
            let special = ('\u{1c4}'..='\u{1cc}').contains(&c)
                || ('\u{1f1}'..='\u{1f3}').contains(&c)
                || c.to_uppercase().count() > 1;
            if special {
                return Err(bad(format!("the title of {c:?} is not supported")));
            }
            out.extend(c.to_uppercase());
        }
        inside = is_cased;
    }
    Ok(out)
}

fn pieces(text: &str, arguments: &[Value], from_right: bool) -> Result<Vec<String>, Error> {
    let (rest, named): (Rest<Value>, Kwargs) = from_args(arguments)?;
    if rest.len() > 2 {
        return Err(bad("a text is split at one text, at most so many times"));
    }
    let between = match rest.first() {
        Some(between) => Some(between.clone()),
        None => named.get("sep")?,
    };
    let most = match rest.get(1) {
        Some(most) => Some(most.clone()),
        None => named.get("maxsplit")?,
    };
    named.assert_all_used()?;
    let between = between.filter(|between| !between.is_none());
    let between = between
        .as_ref()
        .map(|between| between.as_str().ok_or_else(|| bad("what a text is split at is a text")));
    let most = match most {
        None => None,
        Some(most) => {
            let most = most.as_i64().filter(|_| most.is_integer());
            let most = most.ok_or_else(|| bad("how often a text is split is a whole number"))?;
            usize::try_from(most).ok()
        }
    };
    split(text, between.transpose()?, most, from_right)
}

/// `str.split` and `str.rsplit`; without a separator they split at runs of whitespace.
fn split(
    text: &str,
    between: Option<&str>,
    most: Option<usize>,
    from_right: bool,
) -> Result<Vec<String>, Error> {
    let most = most.unwrap_or(usize::MAX);
    let pieces = most.saturating_add(1);
    let mut parts: Vec<String> = match (between, from_right) {
        (Some(""), _) => return Err(bad("empty separator")),
        (Some(between), false) => text.splitn(pieces, between).map(str::to_owned).collect(),
        (Some(between), true) => text.rsplitn(pieces, between).map(str::to_owned).collect(),
        (None, false) => {
            let (mut parts, mut rest) = (Vec::new(), text.trim_start_matches(python::is_space));
            while !rest.is_empty() {
                let end = match parts.len() < most {
                    true => rest.find(python::is_space).unwrap_or(rest.len()),
                    false => rest.len(),
                };
                parts.push(rest[..end].to_owned());
                rest = rest[end..].trim_start_matches(python::is_space);
            }
            parts
        }
        (None, true) => {
            let (mut parts, mut rest) = (Vec::new(), text.trim_end_matches(python::is_space));
            while !rest.is_empty() {
                let start = match parts.len() < most {
                    true => rest.char_indices().rev().find(|(_, c)| python::is_space(*c)),
                    false => None,
                };
                let start = start.map_or(0, |(at, c)| at + c.len_utf8());
                parts.push(rest[start..].to_owned());
                rest = rest[..start].trim_end_matches(python::is_space);
            }
            parts
        }
    };
    if from_right {
        parts.reverse();
    }
    Ok(parts)
}

/// `str.splitlines`, which recognises more line terminators than `\n`.
pub(super) fn lines(text: &str, keep: bool) -> Vec<String> {
    const ENDS: [char; 10] = [
        '\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}',
        '\u{2029}',
    ];
    let (mut lines, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find(ENDS) {
        let behind = &rest[at..];
        let end = match behind.starts_with("\r\n") {
            true => at + 2,
            false => at + behind.chars().next().map_or(0, char::len_utf8),
        };
        lines.push(rest[..if keep { end } else { at }].to_owned());
        rest = &rest[end..];
    }
    if !rest.is_empty() {
        lines.push(rest.to_owned());
    }
    lines
}
