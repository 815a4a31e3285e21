//! Jinja as transformers offers it to chat templates: trimmed blocks, loop controls, methods and
//! formatting of Python, `raise_exception`, `strftime_now`, `tojson`. Templates are translated to
//! minijinja's dialect first. Anything unsupported is an error, never a different text:
//! `core/train/tests/templates/make_jinja.py` compares some thousand templates.

mod expressions;
mod filters;
mod json;
mod methods;
mod objects;
mod operators;
mod parser;
mod python;
mod statements;
mod tokens;
mod values;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind, Output, State};

use super::date::TemplateDate;
pub(super) use statements::{printed, tag};

/// The name of the only template.
const NAME: &str = "chat";

/// An environment that contains a translated template; `date` is the one that it writes as the
/// current one.
///
/// # Errors
/// A syntax error of the template.
pub(super) fn environment(
    source: String,
    date: TemplateDate,
) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_unknown_method_callback(methods::call);
    environment.set_formatter(print);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", move |format: &str| date.format(format).map_err(bad));
    environment.add_function("range", operators::range);
    environment.remove_global("debug");
    operators::add(&mut environment);
    filters::add(&mut environment);
    environment.add_template_owned(NAME, source)?;
    Ok(environment)
}

/// Renders the environment's template.
pub(super) fn render(environment: &Environment<'_>, values: Value) -> Result<String, Error> {
    environment.get_template(NAME)?.render(values)
}

fn print(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let failed = |_| Error::new(ErrorKind::WriteFailure, "out of memory");
    match value.as_str() {
        Some(text) => out.write_str(text).map_err(failed),
        None => out.write_str(&python::str(value)?).map_err(failed),
    }
}

fn raise_exception(message: &Value) -> Result<String, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, python::str(message)?))
}

fn bad(reason: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason.into())
}

/// # Errors
/// A text that was marked as safe by the filter `safe`: the result would be marked, too.
fn plain(value: &Value) -> Result<(), Error> {
    match value.is_safe() {
        true => Err(bad(
            "a text marked as safe can only be printed, joined by + or ~, or converted to JSON",
        )),
        false => Ok(()),
    }
}

fn strip<'a>(text: &'a str, chars: Option<&str>, left: bool, right: bool) -> &'a str {
    let goes = |c: char| chars.map_or_else(|| python::is_space(c), |chars| chars.contains(c));
    let text = if left { text.trim_start_matches(goes) } else { text };
    if right { text.trim_end_matches(goes) } else { text }
}

#[cfg(test)]
mod tests;
