//! Jinja's tags, translated into those of minijinja: see [`super::expressions`].

use super::operators as op;
use super::parser::Parser;
use super::tokens::tokens;

/// Tags without content.
const PLAIN: [&str; 11] = [
    "else",
    "endif",
    "endfor",
    "endset",
    "endmacro",
    "endcall",
    "endfilter",
    "endwith",
    "break",
    "continue",
    "endraw",
];

/// A printed expression, without its braces.
///
/// # Errors
/// What is not supported.
pub(in crate::text) fn printed(inner: &str) -> Result<String, String> {
    let mut parser = Parser::new(tokens(inner)?);
    let value = parser.tuple(true)?;
    parser.end()?;
    Ok(value)
}

/// A tag's content.
///
/// # Errors
/// What is not supported.
pub(in crate::text) fn tag(inner: &str) -> Result<String, String> {
    let mut parser = Parser::new(tokens(inner)?);
    let name = parser.name()?;
    let written = match name.as_str() {
        "if" | "elif" => format!("{name} {}", parser.tuple(false)?),
        "for" => repetition(&mut parser)?,
        "set" => assignment(&mut parser)?,
        "macro" => {
            let name = parser.name()?;
            format!("macro {name}({})", parameters(&mut parser)?)
        }
        "call" => {
            let parameters = match parser.is_sign("(") {
                true => format!("({})", parameters(&mut parser)?),
                false => String::new(),
            };
            format!("call{parameters} {}", parser.unary(false)?)
        }
        "filter" => format!("filter {}", filters(&mut parser)?),
        "with" => scope(&mut parser)?,
        plain if PLAIN.contains(&plain) => name,
        other => return Err(format!("the tag {other}, which is not supported")),
    };
    parser.end()?;
    Ok(written)
}

/// Names that are assigned to, and how they are written.
fn target(parser: &mut Parser) -> Result<String, String> {
    let mut names = Vec::new();
    let mut is_tuple = false;
    loop {
        if parser.sign("(") {
            names.push(format!("({})", target(parser)?));
            parser.expect(")")?;
        } else {
            let mut name = parser.name()?;
            if parser.sign(".") {
                name = format!("{name}.{}", parser.name()?);
            }
            names.push(name);
        }
        if !parser.sign(",") {
            break;
        }
        is_tuple = true;
        if parser.is_name("in") || parser.is_sign("=") || parser.is_sign(")") {
            break;
        }
    }
    match (names.as_slice(), is_tuple) {
        ([_], true) => Err("a target with a single name and a comma".to_owned()),
        _ => Ok(names.join(", ")),
    }
}

fn repetition(parser: &mut Parser) -> Result<String, String> {
    let target = target(parser)?;
    if !parser.word("in") {
        return Err("a loop without `in`".to_owned());
    }
    let mut written = format!("for {target} in {}({})", op::ITERABLE, parser.tuple(false)?);
    if parser.word("if") {
        written.push_str(&format!(" if {}", parser.expression()?));
    }
    if parser.word("recursive") {
        written.push_str(" recursive");
    }
    Ok(written)
}

fn assignment(parser: &mut Parser) -> Result<String, String> {
    let target = target(parser)?;
    if parser.sign("=") {
        return Ok(format!("set {target} = {}", parser.tuple(true)?));
    }
    match parser.sign("|") {
        true => Ok(format!("set {target} | {}", filters(parser)?)),
        false => Ok(format!("set {target}")),
    }
}

fn filters(parser: &mut Parser) -> Result<String, String> {
    let mut all = vec![parser.filter()?];
    while parser.sign("|") {
        all.push(parser.filter()?);
    }
    Ok(all.join(" | "))
}

/// The parameters of a macro. In Jinja a default may be computed from other parameters; minijinja
/// does not see them.
fn parameters(parser: &mut Parser) -> Result<String, String> {
    parser.expect("(")?;
    let (mut names, mut written) = (Vec::new(), Vec::new());
    while !parser.sign(")") {
        if !written.is_empty() {
            parser.expect(",")?;
        }
        let name = parser.name()?;
        names.push(name.clone());
        let before = parser.place();
        let default = match parser.sign("=") {
            true => Some(parser.expression()?),
            false => None,
        };
        if let Some(other) = parser.name_since(before, &names) {
            return Err(format!("a default that is computed from the parameter {other}"));
        }
        written.push(default.map_or(name.clone(), |default| format!("{name}={default}")));
    }
    Ok(written.join(", "))
}

/// The assignments of `with`, all of which Jinja evaluates before the first.
fn scope(parser: &mut Parser) -> Result<String, String> {
    let (mut names, mut written) = (Vec::new(), Vec::new());
    while !parser.is_at_end() {
        if !written.is_empty() {
            parser.expect(",")?;
        }
        let name = parser.name()?;
        parser.expect("=")?;
        let before = parser.place();
        let value = parser.expression()?;
        if let Some(other) = parser.name_since(before, &names) {
            return Err(format!("a value that is computed from {other} of the same `with`"));
        }
        names.push(name.clone());
        written.push(format!("{name} = {value}"));
    }
    Ok(format!("with {}", written.join(", ")))
}
