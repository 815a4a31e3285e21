//! Forms of one question and one answer, and plain text.

use super::super::example::{Chat, Example, Role, Turn};
use super::super::json::Json;
use super::fields::{Fields, wrong_kind};
use super::{Form, turns};

/// `instruction` with `output` (Alpaca) or `response` (Dolly).
pub(super) fn instruction(fields: &mut Fields<'_>) -> Result<(Example, Form), String> {
    let form = match fields.has("response") && !fields.has("output") {
        true => Form::Dolly,
        false => Form::Alpaca,
    };
    let others = ["prompt", "completion", "question", "query", "problem", "answer", "solution"];
    fields.refuse(&others, "\"instruction\"")?;
    let instruction = fields.required("instruction")?;
    let output = match form {
        Form::Dolly => fields.required("response")?,
        _ => fields.required("output")?,
    };
    fields.refuse(&["response"], "\"output\"")?;
    let input = fields.one_of(&["input", "context"])?.unwrap_or_default();
    if let Some(text) = fields.text("text")? {
        // Alpaca was published with a rendered text of each example.
        if !(text.contains(&instruction) && text.contains(&output)) {
            return Err(
                "\"text\" says something else than \"instruction\" and \"output\"".to_owned()
            );
        }
    }
    let example = Example::Instruction {
        system: fields.system()?,
        history: history(fields)?,
        instruction,
        input,
        output: answer(output)?,
    };
    Ok((with_tools(fields, example)?, form))
}

/// The example as a conversation, if it names tools or values for the template.
fn with_tools(fields: &mut Fields<'_>, example: Example) -> Result<Example, String> {
    let (tools, values) = (turns::tools(fields, true)?, turns::values(fields)?);
    if tools.is_none() && values.is_empty() {
        return Ok(example);
    }
    Ok(Example::Chat(Chat { turns: example.turns().into_owned(), tools, values }))
}

/// `question`, `query`, `problem` or `prompt`, with `answer`, `response` or `solution`; or `query`
/// with `answers`, which are calls of `tools`, as in xLAM's data.
pub(super) fn question(fields: &mut Fields<'_>) -> Result<(Example, Form), String> {
    let others = ["completion", "output", "text", "input", "instruction"];
    fields.refuse(&others, "a question and its answer")?;
    if fields.has("context") {
        let reason = "where \"context\" belongs beside a question is not said: name it as `input` and the question \
                      as `instruction` in `data.map`";
        return Err(reason.to_owned());
    }
    let instruction = fields.one_of(&["question", "query", "problem", "prompt"])?;
    let instruction = instruction.ok_or("no field \"question\"")?;
    let calls = fields.take("answers");
    let output = fields.one_of(&["answer", "response", "solution"])?;
    let output = match (output, calls) {
        (Some(output), None) => output,
        (None, Some(calls)) => return called(fields, instruction, calls),
        (Some(_), Some(_)) => {
            return Err("\"answers\" stands beside an answer: which is meant?".to_owned());
        }
        (None, None) => {
            return Err("no field \"answer\" or \"response\", or it is null".to_owned());
        }
    };
    let example = Example::Instruction {
        system: fields.system()?,
        history: history(fields)?,
        instruction,
        input: String::new(),
        output: answer(output)?,
    };
    Ok((with_tools(fields, example)?, Form::Question))
}

/// A question that is answered by calls of tools.
fn called(
    fields: &mut Fields<'_>,
    question: String,
    calls: Json,
) -> Result<(Example, Form), String> {
    let (true, Json::Text(_)) = (fields.has("tools"), &calls) else {
        let reason = "\"answers\" is read only as the text of calls of \"tools\": write the answer that is to \
                      be learned as \"answer\"";
        return Err(reason.to_owned());
    };
    let mut answer = Turn::new(Role::Assistant, "");
    (answer.text, answer.tool_calls) = (None, Some(turns::calls(calls, "\"answers\"")?));
    let system = fields.system()?.map(|text| Turn::new(Role::System, text));
    let asked = [Turn::new(Role::User, question), answer];
    let (tools, values) = (turns::tools(fields, true)?, turns::values(fields)?);
    let turns = system.into_iter().chain(asked).collect();
    Ok((Example::Chat(Chat { turns, tools, values }), Form::Question))
}

/// `prompt` and `completion`: plain texts without a template, or lists of messages.
pub(super) fn prompt(fields: &mut Fields<'_>) -> Result<(Example, Form), String> {
    let others = ["output", "response", "answer", "text", "input", "system", "system_prompt"];
    fields.refuse(&others, "\"prompt\" and \"completion\"")?;
    let missing = "no field \"completion\", or it is null";
    let (prompt, completion) = (fields.take("prompt"), fields.take("completion"));
    match (prompt, completion.ok_or(missing)?) {
        (Some(Json::Text(prompt)), Json::Text(completion)) => {
            let completion = answer(completion)?;
            Ok((Example::Completion { prompt, completion }, Form::PromptCompletion))
        }
        (Some(Json::List(prompt)), Json::List(completion)) => {
            if completion.is_empty() {
                return Err("\"completion\" is empty".to_owned());
            }
            let mut all = turns::list(fields, "prompt", prompt)?;
            // Only the completion is learned.
            all.iter_mut().for_each(|turn| turn.trained = false);
            all.extend(turns::list(fields, "completion", completion)?);
            let (tools, values) = (turns::tools(fields, false)?, turns::values(fields)?);
            turns::check_answers(&all)?;
            let chat = Chat { turns: all, tools, values };
            Ok((Example::Chat(chat), Form::PromptCompletion))
        }
        (Some(Json::Text(_)), other) => {
            Err(wrong_kind("\"completion\"", "text like \"prompt\"", &other))
        }
        (Some(Json::List(_)), other) => {
            Err(wrong_kind("\"completion\"", "a list of messages like \"prompt\"", &other))
        }
        (Some(other), _) => Err(wrong_kind("\"prompt\"", "text or a list of messages", &other)),
        (None, _) => Err("no field \"prompt\"".to_owned()),
    }
}

/// `text` alone: all of it is learned.
pub(super) fn text(fields: &mut Fields<'_>) -> Result<(Example, Form), String> {
    let others = ["output", "response", "answer", "completion", "input", "system", "history"];
    fields.refuse(&others, "\"text\"")?;
    let completion = answer(fields.required("text")?)?;
    Ok((Example::Completion { prompt: String::new(), completion }, Form::Text))
}

/// Pairs of earlier questions and answers, oldest first.
fn history(fields: &mut Fields<'_>) -> Result<Vec<(String, String)>, String> {
    let reason = "\"history\" must be a list of pairs of texts: a question and its answer";
    let Some(history) = fields.take("history") else { return Ok(Vec::new()) };
    let pairs = match history {
        Json::List(pairs) => pairs,
        Json::Text(text) if text.is_empty() => return Ok(Vec::new()),
        _ => return Err(reason.to_owned()),
    };
    let pair = |pair: Json| match pair {
        Json::List(two) => match <[Json; 2]>::try_from(two) {
            Ok([Json::Text(question), Json::Text(answer)]) => Ok((question, answer)),
            _ => Err(reason.to_owned()),
        },
        _ => Err(reason.to_owned()),
    };
    pairs.into_iter().map(pair).collect()
}

fn answer(text: String) -> Result<String, String> {
    match text.trim().is_empty() {
        true => Err("the answer is empty".to_owned()),
        false => Ok(text),
    }
}
