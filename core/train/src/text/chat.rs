//! The model's own chat template, in Jinja as transformers renders it.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, context};

use super::template::Segment;
use super::tokenizer::TextTokenizer;
use crate::data::{Role, Turn};
use crate::{Result, TrainError};

/// Renders a conversation with the tokenizer's chat template.
pub(crate) fn render(turns: &[Turn], tokenizer: &TextTokenizer) -> Result<Vec<Segment>> {
    let mut segments = Vec::new();
    each_segment(turns, tokenizer, &mut |segment| {
        segments.push(segment);
        Ok(false)
    })?;
    Ok(segments)
}

/// Hands out the pieces of a rendered conversation until `on_segment` says that it has enough.
///
/// What belongs to an answer is found by rendering up to it with the generation prompt, and through it
/// without: the second must begin with the first, and what it adds carries the loss, up to where the
/// next turn's text begins.
pub(crate) fn each_segment(
    turns: &[Turn],
    tokenizer: &TextTokenizer,
    on_segment: &mut dyn FnMut(Segment) -> Result<bool>,
) -> Result<()> {
    let environment = environment_of(tokenizer)?;
    // The tokenizer puts the first token there itself.
    let bos = tokenizer.bos.and_then(|id| tokenizer.token(id)).unwrap_or_default();
    let mut done = 0;
    for (index, turn) in turns.iter().enumerate() {
        if turn.role != Role::Assistant {
            continue;
        }
        let prompt = render_turns(&environment, tokenizer, &turns[..index], true)?;
        let through = render_turns(&environment, tokenizer, &turns[..=index], false)?;
        if !through.starts_with(&prompt) || prompt.len() < done {
            return Err(bad("it does not render an answer after its generation prompt"));
        }
        // A newline that ends the turn belongs to the format, not to the answer.
        let answer = through[prompt.len()..].trim_end_matches('\n');
        let before = &prompt[done..];
        let before = if done == 0 { before.strip_prefix(&*bos).unwrap_or(before) } else { before };
        for (text, labelled) in [(before, false), (answer, true)] {
            if on_segment(Segment { text: text.to_owned(), labelled, end: false })? {
                return Ok(());
            }
        }
        done = prompt.len() + answer.len();
    }
    Ok(())
}

/// A whole conversation as text.
pub(crate) fn whole_text(turns: &[Turn], tokenizer: &TextTokenizer) -> Result<String> {
    render_turns(&environment_of(tokenizer)?, tokenizer, turns, false)
}

fn render_turns(
    environment: &Environment<'_>,
    tokenizer: &TextTokenizer,
    turns: &[Turn],
    prompt: bool,
) -> Result<String> {
    let messages: Vec<_> = turns
        .iter()
        .map(|turn| context! { role => turn.role.name(), content => turn.said() })
        .collect();
    let token = |id: Option<u32>| id.and_then(|id| tokenizer.token(id)).unwrap_or_default();
    let values = context! {
        messages => messages,
        add_generation_prompt => prompt,
        bos_token => token(tokenizer.bos),
        eos_token => token(tokenizer.eos.first().copied()),
    };
    let template = environment.get_template("chat").map_err(|e| bad(&e.to_string()))?;
    template.render(values).map_err(|e| bad(&e.to_string()))
}

fn environment_of(tokenizer: &TextTokenizer) -> Result<Environment<'_>> {
    let Some(source) = &tokenizer.chat_template else {
        return Err(bad("the model has no chat template; name one: alpaca, chatml, vicuna"));
    };
    environment(source).map_err(|e| bad(&e.to_string()))
}

/// What transformers offers to templates: trimmed blocks, Python's string methods, `raise_exception`.
fn environment(source: &str) -> std::result::Result<Environment<'_>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function(
        "raise_exception",
        |message: String| -> std::result::Result<String, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        },
    );
    // Some templates print the date into the system prompt. A fixed one keeps members' data the same.
    environment.add_function("strftime_now", |_format: String| "26 Jul 2024".to_owned());
    environment.add_template("chat", source)?;
    Ok(environment)
}

fn bad(reason: &str) -> TrainError {
    TrainError::Template { name: "model".to_owned(), reason: reason.to_owned() }
}
