//! The built-in templates: Alpaca, ChatML, Vicuna.

use super::rendered::{Rendered, Writer};
use super::tokenizer::TextTokenizer;
use crate::data::{Example, Role, Turn};
use crate::{Result, TrainError};

const ALPACA_WITH_INPUT: &str = "Below is an instruction that describes a task, paired with an input that \
provides further context. Write a response that appropriately completes the request.";
const ALPACA_WITHOUT_INPUT: &str = "Below is an instruction that describes a task. Write a response that appropriately completes \
the request.";
const VICUNA_SYSTEM: &str = "A chat between a curious user and an artificial intelligence assistant. \
The assistant gives helpful, detailed, and polite answers to the user's questions.";

/// The spelling of the token that ends an answer.
///
/// # Errors
/// If the model has no such token, or one that text cannot spell: answers would never end.
pub(super) fn end(template: &str, tokenizer: &TextTokenizer) -> Result<String> {
    if let Some(problem) = &tokenizer.plain_problem {
        return Err(bad(template, problem));
    }
    let Some(id) = tokenizer.eos.first() else {
        return Err(bad(template, "the model names no token that ends an answer (eos_token)"));
    };
    let spelling = tokenizer.token(*id).filter(|spelling| tokenizer.is_one_token(spelling));
    spelling.ok_or_else(|| {
        bad(template, &format!("the model's end token {id} is not among its added tokens"))
    })
}

/// Stanford Alpaca's prompt: one task and its answer.
pub(super) fn alpaca(example: &Example, tokenizer: &TextTokenizer) -> Result<Rendered> {
    let end = end("alpaca", tokenizer)?;
    let turns = example.turns();
    let learned = turns.last().is_some_and(Turn::is_learned);
    let (instruction, input, output) = match example {
        Example::Instruction { system: None, history, instruction, input, output }
            if history.is_empty() =>
        {
            (instruction.as_str(), input.as_str(), output.as_str())
        }
        _ => one_question("alpaca", example, &turns)?,
    };
    let mut writer = Writer::new();
    writer.put(&match input.is_empty() {
        true => {
            format!("{ALPACA_WITHOUT_INPUT}\n\n### Instruction:\n{instruction}\n\n### Response:\n")
        }
        false => format!(
            "{ALPACA_WITH_INPUT}\n\n### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n\
             ### Response:\n"
        ),
    });
    writer.answer(&[output, &end], learned);
    Ok(writer.finish(turns.len()))
}

/// Instruction, input and output of a conversation with one question and one answer. A system text
/// becomes the instruction.
fn one_question<'a>(
    template: &str,
    example: &Example,
    turns: &'a [Turn],
) -> Result<(&'a str, &'a str, &'a str)> {
    only_text(template, example, turns)?;
    let (system, rest) = match turns {
        [first, rest @ ..] if first.role == Role::System => (Some(first.said()), rest),
        all => (None, all),
    };
    match rest {
        [asked, answer] if (asked.role, answer.role) == (Role::User, Role::Assistant) => {
            let instruction = system.unwrap_or(asked.said());
            Ok((instruction, system.map_or("", |_| asked.said()), answer.said()))
        }
        _ => Err(bad(template, "needs one question and one answer; use chatml for longer ones")),
    }
}

/// OpenAI's ChatML; an answer is learned together with the token that ends it.
pub(super) fn chatml(example: &Example, tokenizer: &TextTokenizer) -> Result<Rendered> {
    if let Some(problem) = &tokenizer.plain_problem {
        return Err(bad("chatml", problem));
    }
    for token in ["<|im_start|>", "<|im_end|>"] {
        if !tokenizer.is_one_token(token) {
            let reason = format!(
                "the model has no token {token}, so it would never learn to stop; use another template"
            );
            return Err(bad("chatml", &reason));
        }
    }
    let turns = example.turns();
    only_text("chatml", example, &turns)?;
    let mut writer = Writer::new();
    for turn in turns.iter() {
        writer.put(&format!("<|im_start|>{}\n", turn.role.name()));
        match turn.role {
            Role::Assistant => writer.answer(&[turn.said(), "<|im_end|>"], turn.trained),
            _ => [turn.said(), "<|im_end|>"].iter().for_each(|text| writer.put(text)),
        }
        writer.put("\n");
    }
    let mut rendered = writer.finish(turns.len());
    rendered.stops.extend(tokenizer.id("<|im_end|>"));
    Ok(rendered)
}

/// FastChat's Vicuna 1.1; an answer is learned from after the colon to the end token, included.
pub(super) fn vicuna(example: &Example, tokenizer: &TextTokenizer) -> Result<Rendered> {
    let end = end("vicuna", tokenizer)?;
    let turns = example.turns();
    only_text("vicuna", example, &turns)?;
    let (system, rest) = match &turns[..] {
        [first, rest @ ..] if first.role == Role::System => (first.said(), rest),
        all => (VICUNA_SYSTEM, all),
    };
    let mut writer = Writer::new();
    writer.put(system);
    writer.put(" ");
    for (index, turn) in rest.iter().enumerate() {
        if turn.said().is_empty() {
            return Err(bad("vicuna", "an empty turn, which FastChat writes without its end"));
        }
        match (index % 2, turn.role) {
            (0, Role::User) => writer.put(&format!("USER: {} ", turn.said())),
            (1, Role::Assistant) => {
                writer.put("ASSISTANT:");
                writer.answer(&[" ", turn.said(), &end], turn.trained);
            }
            _ => return Err(bad("vicuna", "questions and answers must alternate")),
        }
    }
    Ok(writer.finish(turns.len()))
}

/// # Errors
/// Content that these templates cannot represent.
fn only_text(template: &str, example: &Example, turns: &[Turn]) -> Result<()> {
    let refuse = |what: &str| {
        let reason = format!("has no place for {what}; use the model's own template");
        Err(bad(template, &reason))
    };
    if let Example::Chat(chat) = example {
        if chat.tools.is_some() {
            return refuse("tools");
        }
        if let Some((name, _)) = chat.values.first() {
            return refuse(&format!("the template value {name:?}"));
        }
    }
    for turn in turns {
        match turn {
            Turn { reasoning: Some(_), .. } => return refuse("reasoning"),
            Turn { tool_calls: Some(_), .. } => return refuse("tool calls"),
            Turn { role: Role::Tool, .. } => return refuse("a tool's turn"),
            _ => {}
        }
    }
    Ok(())
}

fn bad(template: &str, reason: &str) -> TrainError {
    TrainError::Template { name: template.to_owned(), reason: reason.to_owned() }
}
