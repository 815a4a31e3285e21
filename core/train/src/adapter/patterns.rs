//! PEFT's rules for matching modules by name (`check_target_module_exists` and `get_pattern_key` of
//! PEFT 0.21).
//!
//! Names are those inside the base model, for example `model.layers.0.self_attn.q_proj`. Patterns
//! are Python's regular expressions; a file's patterns are bounded in length, in number and in the
//! steps of one match.

use fancy_regex::{Regex, RegexBuilder};

use super::config::OneOrMany;

/// Maximum length of a pattern in bytes.
const MAX_LENGTH: usize = 8192;
/// Maximum number of patterns that need a regular expression.
const MAX_EXPRESSIONS: usize = 256;
/// Maximum number of entries of a list or pattern map.
const MAX_ENTRIES: usize = 65_536;
/// Maximum number of steps of one match.
const MAX_STEPS: usize = 100_000;

/// Which modules get an adapter.
pub(super) struct Targets {
    names: Names,
    excluded: Option<Names>,
    /// Restricts the match to these layers; only for lists.
    layers: Option<Vec<usize>>,
    /// Finds a layer's number in a module name.
    layer_patterns: Vec<Regex>,
}

enum Names {
    AllLinear,
    List(Vec<String>),
    Expression(Box<Regex>),
}

impl Targets {
    /// From the fields `target_modules`, `exclude_modules`, `layers_to_transform` and
    /// `layers_pattern`.
    ///
    /// # Errors
    /// Values that PEFT refuses too, and patterns that are malformed or too long.
    pub(super) fn new(
        targets: Option<OneOrMany<String>>,
        excluded: Option<OneOrMany<String>>,
        layers: Option<OneOrMany<usize>>,
        layers_pattern: Option<OneOrMany<String>>,
    ) -> Result<Self, String> {
        let Some(targets) = targets else {
            return Err("target_modules is missing: list the adapted projections".to_owned());
        };
        let listed = matches!(targets, OneOrMany::Many(_));
        let names = match targets {
            OneOrMany::One(name) if name.eq_ignore_ascii_case("all-linear") => Names::AllLinear,
            other => Names::new("target_modules", other)?,
        };
        let layers = layers.map(many);
        let patterns: Vec<String> = layers_pattern.map(many).unwrap_or_default();
        if !listed && (layers.is_some() || !patterns.is_empty()) {
            let reason = "layers_to_transform and layers_pattern need target_modules as a list";
            return Err(reason.to_owned());
        }
        if layers.is_none() && !patterns.is_empty() {
            return Err("layers_pattern needs layers_to_transform".to_owned());
        }
        let numbered = |pattern: &String| {
            expression("layers_pattern", &format!(r"^(?:.*?\.)?(?:{pattern})\.(?P<idx>\d+)\."))
        };
        let layer_patterns = match patterns.is_empty() {
            true => vec![expression("layers_pattern", r"^.*?\.[^.]*\.(?P<idx>\d+)\.")?],
            false => patterns.iter().map(numbered).collect::<Result<_, _>>()?,
        };
        let excluded = match excluded {
            Some(OneOrMany::One(text)) if text.is_empty() => None,
            Some(OneOrMany::Many(list)) if list.is_empty() => None,
            given => given.map(|names| Names::new("exclude_modules", names)).transpose()?,
        };
        let layers = layers.filter(|layers| !layers.is_empty());
        Ok(Self { names, excluded, layers, layer_patterns })
    }

    /// Whether the module with this name gets an adapter.
    ///
    /// # Errors
    /// A pattern that takes too many steps.
    pub(super) fn contain(&self, module: &str) -> Result<bool, String> {
        if let Some(excluded) = &self.excluded
            && excluded.contain(module)?
        {
            return Ok(false);
        }
        if !self.names.contain(module)? {
            return Ok(false);
        }
        let (Some(layers), Names::List(names)) = (&self.layers, &self.names) else {
            return Ok(true);
        };
        // A module that is named in full is adapted whatever its layer is.
        Ok(names.iter().any(|name| name == module)
            || self.layer_of(module)?.is_some_and(|layer| layers.contains(&layer)))
    }

    /// Whether the same projections are meant in every layer, however many there are.
    pub(super) fn are_alike_in_every_layer(&self) -> bool {
        let named = match &self.names {
            Names::AllLinear => true,
            Names::List(names) => names.iter().all(|name| !name.contains('.')),
            Names::Expression(_) => false,
        };
        named && self.excluded.is_none() && self.layers.is_none()
    }

    fn layer_of(&self, module: &str) -> Result<Option<usize>, String> {
        for pattern in &self.layer_patterns {
            let found = pattern.captures(module).map_err(|e| too_long("layers_pattern", &e))?;
            if let Some(found) = found {
                let number = found.name("idx").and_then(|number| number.as_str().parse().ok());
                return Ok(number);
            }
        }
        Ok(None)
    }
}

impl Names {
    fn new(field: &str, names: OneOrMany<String>) -> Result<Self, String> {
        Ok(match names {
            OneOrMany::One(pattern) => {
                Self::Expression(Box::new(expression(field, &format!(r"\A(?:{pattern})\z"))?))
            }
            OneOrMany::Many(names) if names.len() > MAX_ENTRIES => {
                return Err(format!("{field} has more than {MAX_ENTRIES} entries"));
            }
            OneOrMany::Many(names) => Self::List(names),
        })
    }

    fn contain(&self, module: &str) -> Result<bool, String> {
        match self {
            Self::AllLinear => Ok(module.ends_with("_proj")),
            Self::List(names) => Ok(names.iter().any(|name| is_end(module, name))),
            Self::Expression(pattern) => {
                pattern.is_match(module).map_err(|error| too_long("a pattern", &error))
            }
        }
    }
}

/// Whether the suffix is the whole name, or what follows one of its dots.
fn is_end(module: &str, name: &str) -> bool {
    module.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Values for modules whose names match a pattern; the first matching pattern counts.
pub(super) struct Patterns<T> {
    field: &'static str,
    entries: Vec<(Pattern, T)>,
}

/// A pattern of `rank_pattern` or `alpha_pattern`: it must match the whole name or everything after
/// some dot.
enum Pattern {
    /// Letters, digits, `_`, and dots that match any character.
    Plain(Vec<u8>),
    Expression(Box<Regex>),
}

impl<T: Copy> Patterns<T> {
    /// # Errors
    /// A pattern that is malformed or too long, or one pattern too many.
    pub(super) fn new(field: &'static str, entries: Vec<(String, T)>) -> Result<Self, String> {
        if entries.len() > MAX_ENTRIES {
            return Err(format!("{field} has more than {MAX_ENTRIES} entries"));
        }
        let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.');
        let mut expressions = 0;
        let mut read = Vec::with_capacity(entries.len());
        for (text, value) in entries {
            let pattern = match text.bytes().all(plain) {
                true => Pattern::Plain(text.into_bytes()),
                false => {
                    expressions += 1;
                    let whole = format!(r"^(?:.*\.)?(?:{text})$");
                    Pattern::Expression(Box::new(expression(field, &whole)?))
                }
            };
            if expressions > MAX_EXPRESSIONS {
                return Err(format!("{field} has more than {MAX_EXPRESSIONS} expressions"));
            }
            read.push((pattern, value));
        }
        Ok(Self { field, entries: read })
    }

    /// The value of the first pattern that matches.
    ///
    /// # Errors
    /// A pattern that takes too many steps.
    pub(super) fn of(&self, module: &str) -> Result<Option<T>, String> {
        for (pattern, value) in &self.entries {
            let matches = match pattern {
                Pattern::Plain(text) => plain_match(module.as_bytes(), text),
                Pattern::Expression(pattern) => {
                    pattern.is_match(module).map_err(|error| too_long(self.field, &error))?
                }
            };
            if matches {
                return Ok(Some(*value));
            }
        }
        Ok(None)
    }
}

fn plain_match(module: &[u8], pattern: &[u8]) -> bool {
    let Some(before) = module.len().checked_sub(pattern.len()) else { return false };
    let (rest, end) = module.split_at(before);
    end.iter().zip(pattern).all(|(c, p)| *p == b'.' || c == p)
        && rest.last().is_none_or(|last| *last == b'.')
}

fn expression(field: &str, pattern: &str) -> Result<Regex, String> {
    if pattern.len() > MAX_LENGTH {
        return Err(format!("a pattern of {field} is longer than {MAX_LENGTH} bytes"));
    }
    let built = RegexBuilder::new(pattern)
        .backtrack_limit(MAX_STEPS)
        .delegate_size_limit(1 << 20)
        .delegate_dfa_size_limit(1 << 20)
        .build();
    built.map_err(|error| format!("a pattern of {field} cannot be read: {error}"))
}

fn too_long(field: &str, error: &fancy_regex::Error) -> String {
    format!("{field} cannot be matched: {error}")
}

fn many<T>(values: OneOrMany<T>) -> Vec<T> {
    match values {
        OneOrMany::One(value) => vec![value],
        OneOrMany::Many(values) => values,
    }
}

#[cfg(test)]
mod tests;
