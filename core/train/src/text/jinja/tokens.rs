//! The tokens of Jinja's expressions, as `jinja2.lexer` cuts them.

/// One token. Numbers keep their spelling, texts are decoded.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(String),
    Text(String),
    Number(String),
    Sign(&'static str),
}

/// Operators and brackets, longest first.
const SIGNS: [&str; 25] = [
    "//", "**", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">", "(", ")", "[", "]",
    "{", "}", ",", ".", ":", "|", "=",
];

/// # Errors
/// A character or an escape that is not part of an expression, or whose meaning is not supported.
pub(super) fn tokens(source: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = source.trim_start_matches(super::python::is_space);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' | '\'' => {
                let length = text_length(rest, first).ok_or("a text that is not closed")?;
                found.push(Token::Text(unescaped(&rest[1..length - 1])?));
                length
            }
            '0'..='9' => {
                let after_dot = found.last() == Some(&Token::Sign("."));
                let length = number_length(rest, after_dot);
                found.push(Token::Number(rest[..length].replace('_', "").to_lowercase()));
                length
            }
            c if c == '_' || c.is_alphabetic() => {
                let word = |c: char| c != '_' && !c.is_alphanumeric();
                let length = rest.find(word).unwrap_or(rest.len());
                found.push(Token::Name(rest[..length].to_owned()));
                length
            }
            c => {
                let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
                let sign = sign.ok_or_else(|| format!("the character {c:?}"))?;
                found.push(Token::Sign(sign));
                sign.len()
            }
        };
        rest = rest[length..].trim_start_matches(super::python::is_space);
    }
    Ok(found)
}

/// Bytes of a quoted text, quotes included.
fn text_length(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().skip(1).find_map(|(at, c)| {
        let ends = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(at + 1)
    })
}

/// Bytes of a number. After a dot, it is an index and has no fraction.
fn number_length(text: &str, after_dot: bool) -> usize {
    let digits = |text: &str, digit: fn(char) -> bool| {
        let end = text.find(|c: char| c != '_' && !digit(c)).unwrap_or(text.len());
        text[..end].trim_end_matches('_').len()
    };
    let decimal = |c: char| c.is_ascii_digit();
    let based = match text.get(..2).map(str::to_lowercase).as_deref() {
        Some("0x") => digits(&text[2..], |c| c.is_ascii_hexdigit()),
        Some("0o") => digits(&text[2..], |c| ('0'..='7').contains(&c)),
        Some("0b") => digits(&text[2..], |c| c == '0' || c == '1'),
        _ => 0,
    };
    if based > 0 {
        return 2 + based;
    }
    let mut length = digits(text, decimal);
    if after_dot {
        return length;
    }
    if let Some(fraction) = text[length..].strip_prefix('.') {
        length += match digits(fraction, decimal) {
            0 => return length,
            digits => digits + 1,
        };
    }
    let exponent = &text[length..];
    if let Some(power) = exponent.strip_prefix(['e', 'E']) {
        let unsigned = power.strip_prefix(['+', '-']).unwrap_or(power);
        if let count @ 1.. = digits(unsigned, decimal) {
            length += exponent.len() - unsigned.len() + count;
        }
    }
    length
}

/// The text that a literal of Python means.
fn unescaped(literal: &str) -> Result<String, String> {
    let mut out = String::with_capacity(literal.len());
    let mut rest = literal.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let escape = rest.next().ok_or("a text that ends in the middle of an escape")?;
        match escape {
            '\n' => {}
            '\\' | '\'' | '"' => out.push(escape),
            'a' => out.push('\u{7}'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'v' => out.push('\u{b}'),
            '0'..='7' => {
                let more = rest.as_str().chars().take(2).take_while(|c| ('0'..='7').contains(c));
                let digits: String = std::iter::once(escape).chain(more).collect();
                out.push(code_point(&digits, 8)?);
                rest.by_ref().take(digits.len() - 1).for_each(drop);
            }
            'x' | 'u' | 'U' => {
                let count = match escape {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                let digits: String = rest.by_ref().take(count).collect();
                if digits.len() != count || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
                    return Err(format!("the escape \\{escape}{digits}"));
                }
                out.push(code_point(&digits, 16)?);
            }
            'N' => return Err("a character by its name (\\N)".to_owned()),
            other => out.extend(['\\', other]),
        }
    }
    Ok(out)
}

/// Half of a surrogate pair is no character, and no tokenizer takes it.
fn code_point(digits: &str, base: u32) -> Result<char, String> {
    let number = u32::from_str_radix(digits, base).ok();
    number.and_then(char::from_u32).ok_or_else(|| format!("the code point {digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_names_and_texts_are_cut_as_jinja_cuts_them() {
        let spelled = |source: &str| -> Vec<String> {
            let spell = |token: Token| match token {
                Token::Name(text) | Token::Number(text) => text,
                Token::Text(text) => format!("{text:?}"),
                Token::Sign(sign) => sign.to_owned(),
            };
            tokens(source).unwrap().into_iter().map(spell).collect()
        };
        for (source, expected) in [
            ("1_000.5e-3", "1000.5e-3"),
            ("0x1F 0b1 0o7 1e x.0.1 1.", "0x1f 0b1 0o7 1 e x . 0 . 1 1 ."),
            ("a//b**-c|d", "a // b ** - c | d"),
            (r#"'a\'b' "\x41\u00e9\101\q""#, r#""a'b" "AéA\\q""#),
        ] {
            assert_eq!(spelled(source).join(" "), expected, "{source}");
        }
        for bad in ["'a", r"'\x4'", r"'\ud800'", r"'\N{BULLET}'", "a ? b", r"'\"] {
            assert!(tokens(bad).is_err(), "{bad}");
        }
    }
}
