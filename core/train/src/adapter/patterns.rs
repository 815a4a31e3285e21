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
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Option<OneOrMany<String>> {
        Some(OneOrMany::Many(names.iter().map(|name| (*name).to_owned()).collect()))
    }

    fn text(name: &str) -> Option<OneOrMany<String>> {
        Some(OneOrMany::One(name.to_owned()))
    }

    const Q3: &str = "model.layers.3.self_attn.q_proj";

    #[test]
    fn lists_match_ends_at_dots_and_only_the_wanted_layers() {
        let layers = Some(OneOrMany::Many(vec![3, 5]));
        let targets = Targets::new(list(&["q_proj", "mlp.up_proj"]), None, layers, None).unwrap();
        assert!(targets.contain(Q3).unwrap());
        assert!(!targets.contain("model.layers.4.self_attn.q_proj").unwrap());
        assert!(!targets.contain("model.layers.3.self_attn.xq_proj").unwrap());
        assert!(targets.contain("model.layers.5.mlp.up_proj").unwrap());
        let whole = Targets::new(list(&[Q3]), None, Some(OneOrMany::One(0)), None).unwrap();
        assert!(whole.contain(Q3).unwrap());
        let other = Targets::new(list(&["q_proj"]), None, Some(OneOrMany::One(3)), text("h"));
        assert!(!other.unwrap().contain(Q3).unwrap());
    }

    #[test]
    fn expressions_match_the_whole_name_and_excludes_come_first() {
        let targets = Targets::new(text(r".*\.(?!1\.)\d+\..*[qv]_proj"), None, None, None).unwrap();
        assert!(targets.contain(Q3).unwrap());
        assert!(!targets.contain("model.layers.1.self_attn.q_proj").unwrap());
        assert!(!Targets::new(text("q_proj"), None, None, None).unwrap().contain(Q3).unwrap());
        let all = Targets::new(text("All-Linear"), text(r".*\.mlp\..*"), None, None).unwrap();
        assert!(all.contain(Q3).unwrap() && !all.contain("lm_head").unwrap());
        assert!(!all.contain("model.layers.3.mlp.up_proj").unwrap());
    }

    #[test]
    fn the_first_pattern_that_matches_counts() {
        let entries = vec![
            (r"layers\.3\..*q_proj".to_owned(), 1),
            ("q_proj".to_owned(), 2),
            ("model.layers.0.mlp.up_proj".to_owned(), 3),
            ("k_proj|v_proj".to_owned(), 4),
        ];
        let patterns = Patterns::new("rank_pattern", entries).unwrap();
        let of = |name: &str| patterns.of(name).unwrap();
        assert_eq!(of(Q3), Some(1));
        assert_eq!(of("model.layers.2.self_attn.q_proj"), Some(2));
        assert_eq!(of("model.layers.0.mlp.up_proj"), Some(3));
        assert_eq!(of("model.layers.0.self_attn.v_proj"), Some(4));
        assert_eq!(of("model.layers.0.self_attn.xq_proj"), None);
    }

    #[test]
    fn hostile_patterns_end() {
        let targets = Targets::new(text(r"(?=(a+)+$)(a+)+b"), None, None, None).unwrap();
        assert!(targets.contain(&"a".repeat(64)).is_err());
        assert!(Targets::new(text(&"a".repeat(10_000)), None, None, None).is_err());
        assert!(Targets::new(text("(?:a{1000}){1000}"), None, None, None).is_err());
        assert!(Targets::new(text("("), None, None, None).is_err());
    }
}
