//! Values inside an expression: names, literals, attributes, calls, filters and tests.

use super::operators as op;
use super::parser::{Parser, Written};
use super::tokens::Token;

/// Attributes that are methods of Python's dictionaries: without a call, Jinja finds the method and
/// not the entry of that name.
const METHODS: [&str; 11] = [
    "clear",
    "copy",
    "fromkeys",
    "get",
    "items",
    "keys",
    "pop",
    "popitem",
    "setdefault",
    "update",
    "values",
];
/// Methods of Python's texts that hardly are entries of a dictionary.
const TEXT_METHODS: [&str; 10] = [
    "upper",
    "lower",
    "strip",
    "lstrip",
    "rstrip",
    "split",
    "rsplit",
    "splitlines",
    "startswith",
    "endswith",
];
/// Attributes of Python's numbers.
const PARTS: [&str; 4] = ["real", "imag", "numerator", "denominator"];
/// Names that Jinja gives a meaning, and minijinja none.
const UNSUPPORTED: [&str; 7] = ["self", "super", "cycler", "joiner", "lipsum", "varargs", "kwargs"];
const KEYWORDS: [&str; 9] = ["and", "or", "not", "if", "else", "elif", "is", "in", "recursive"];

impl Parser {
    pub(super) fn primary(&mut self) -> Written {
        let token = self.peek().cloned();
        self.at += usize::from(token.is_some());
        match token {
            Some(Token::Name(name)) => match name.as_str() {
                "true" | "True" => Ok("true".to_owned()),
                "false" | "False" => Ok("false".to_owned()),
                "none" | "None" => Ok("none".to_owned()),
                name if UNSUPPORTED.contains(&name) => {
                    Err(format!("{name}, which is not supported"))
                }
                name if KEYWORDS.contains(&name) => {
                    Err(format!("{name} where a value is expected"))
                }
                name => Ok(name.to_owned()),
            },
            Some(Token::Text(mut text)) => {
                while let Some(Token::Text(more)) = self.peek() {
                    text.push_str(more);
                    self.at += 1;
                }
                Ok(quoted(&text))
            }
            Some(Token::Number(number)) => Ok(number),
            Some(Token::Sign("(")) => {
                if self.sign(")") {
                    return Ok("()".to_owned());
                }
                self.depth += 1;
                let value = self.tuple(true)?;
                self.depth -= 1;
                self.expect(")")?;
                Ok(if value.starts_with('(') { value } else { format!("({value})") })
            }
            Some(Token::Sign("[")) => Ok(format!("[{}]", self.items("]", Self::expression)?)),
            Some(Token::Sign("{")) => Ok(format!("{{{}}}", self.items("}", Self::entry)?)),
            _ => {
                self.at -= usize::from(token.is_some());
                Err(format!("{} where a value is expected", self.next_shown()))
            }
        }
    }

    fn entry(&mut self) -> Written {
        let key = self.expression()?;
        self.expect(":")?;
        Ok(format!("{key}: {}", self.expression()?))
    }

    /// Items with commas between them, up to a closing bracket.
    fn items(&mut self, close: &str, item: fn(&mut Self) -> Written) -> Written {
        let mut all = Vec::new();
        while !self.sign(close) {
            if !all.is_empty() {
                self.expect(",")?;
                if self.sign(close) {
                    break;
                }
            }
            all.push(item(self)?);
        }
        Ok(all.join(", "))
    }

    pub(super) fn postfix(&mut self, mut value: String) -> Written {
        loop {
            if self.sign(".") {
                value = self.attribute(&value)?;
            } else if self.sign("[") {
                value = self.subscript(&value)?;
            } else if self.is_sign("(") {
                value = format!("{value}({})", self.arguments(value == "loop")?);
            } else {
                return Ok(value);
            }
        }
    }

    fn attribute(&mut self, value: &str) -> Written {
        if let Some(Token::Number(index)) = self.peek().cloned() {
            self.at += 1;
            return Ok(format!("{value}[{index}]"));
        }
        let name = self.name()?;
        if name.starts_with("__") {
            return Err(format!("the attribute {name}, which is not supported"));
        }
        let is_method = |all: &[&str]| all.contains(&name.as_str());
        if (is_method(&METHODS) || is_method(&TEXT_METHODS)) && !self.is_sign("(") {
            return Err(format!(
                "the method {name} without a call; an entry of that name is ['{name}']"
            ));
        }
        if PARTS.contains(&name.as_str()) {
            return Err(format!("the attribute {name}, which numbers have; write ['{name}']"));
        }
        Ok(format!("{value}.{name}"))
    }

    fn subscript(&mut self, value: &str) -> Written {
        let mut parts = vec![None];
        while !self.sign("]") {
            if self.sign(":") {
                parts.push(None);
                continue;
            }
            match parts.last_mut() {
                Some(part @ None) => *part = Some(self.expression()?),
                _ => return Err(format!("{} where ']' is expected", self.next_shown())),
            }
        }
        let none = || "none".to_owned();
        match <[Option<String>; 1]>::try_from(parts) {
            Ok([Some(index)]) if index.parse::<f64>().is_ok() && index.contains(['.', 'e']) => {
                Err(format!("the index {index}"))
            }
            Ok([Some(index)]) => Ok(format!("{value}[{index}]")),
            Ok([None]) => Err("an empty index".to_owned()),
            Err(parts) if parts.len() <= 3 => {
                let mut parts = parts.into_iter().map(|part| part.unwrap_or_else(none));
                let mut next = || parts.next().unwrap_or_else(none);
                let (start, end, step) = (next(), next(), next());
                Ok(format!("{}({value}, {start}, {end}, {step})", op::SLICE))
            }
            Err(_) => Err("a slice of more than three parts".to_owned()),
        }
    }

    /// The arguments of a call, without the parentheses. Those of a recursive loop are iterated.
    pub(super) fn arguments(&mut self, iterated: bool) -> Written {
        self.expect("(")?;
        let item: fn(&mut Self) -> Written = match iterated {
            false => Self::argument,
            true => |parser| Ok(format!("{}({})", op::ITERABLE, parser.expression()?)),
        };
        self.items(")", item)
    }

    fn argument(&mut self) -> Written {
        if let Some(sign) = ["**", "*"].into_iter().find(|sign| self.is_sign(sign)) {
            self.at += 1;
            return Ok(format!("{sign}{}", self.expression()?));
        }
        let named = matches!(self.peek(), Some(Token::Name(_)))
            && matches!(self.tokens.get(self.at + 1), Some(Token::Sign("=")));
        if !named {
            return self.expression();
        }
        let name = self.name()?;
        self.expect("=")?;
        Ok(format!("{name}={}", self.expression()?))
    }

    pub(super) fn filters(&mut self, mut value: String) -> Written {
        loop {
            if self.sign("|") {
                value = format!("{value}|{}", self.filter()?);
            } else if self.word("is") {
                value = self.test(&value)?;
            } else if self.is_sign("(") {
                value = format!("{value}({})", self.arguments(false)?);
            } else {
                return Ok(value);
            }
        }
    }

    /// A filter's name and arguments.
    pub(super) fn filter(&mut self) -> Written {
        let name = self.name()?;
        match self.is_sign("(") {
            true => Ok(format!("{name}({})", self.arguments(false)?)),
            false => Ok(name),
        }
    }

    fn test(&mut self, value: &str) -> Written {
        let negated = self.word("not");
        let name = self.name()?;
        let is_operator = |name: &str| ["else", "or", "and"].contains(&name);
        let argument = match self.peek() {
            Some(Token::Sign("(")) => self.arguments(false)?,
            Some(Token::Name(next)) if next == "is" => {
                return Err("a test of a test".to_owned());
            }
            Some(Token::Name(next)) if is_operator(next) => String::new(),
            Some(Token::Name(_) | Token::Text(_) | Token::Number(_) | Token::Sign("[" | "{")) => {
                let argument = self.primary()?;
                self.postfix(argument)?
            }
            _ => String::new(),
        };
        let tested = match argument.is_empty() {
            true => format!("({value} is {name})"),
            false => format!("({value} is {name}({argument}))"),
        };
        Ok(if negated { format!("(not {tested})") } else { tested })
    }
}

/// A text as a literal that minijinja reads.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
