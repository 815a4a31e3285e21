//! The model's own chat template, rendered as transformers does, and the parts of its output that
//! are learned.
//!
//! A template with `{% generation %}` marks defines these parts itself. With any other template, an
//! answer is the text between the generation prompt and the end of the conversation that ends with
//! this answer. A conversation is one text if that text starts with the rendering of each of its
//! prefixes. If it does not, because the template renders earlier turns differently (Qwen 3 omits
//! the reasoning), there is one text per answer, in which that answer is the last turn, as the
//! model sees it at inference.

mod values;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use minijinja::Environment;
use minijinja::value::Value;

use self::values::message;
pub(super) use self::values::value;
use super::date::TemplateDate;
use super::first::floor_char_boundary;
use super::rendered::{Rendered, Tokenized};
use super::tokenizer::TextTokenizer;
use super::{jinja, marks};
use crate::data::{Example, Json, Role, Turn};
use crate::{Result, TrainError};

/// Most text rendered for one example, over all its parts: the turns before an answer are rendered
/// again for each answer.
const MOST_RENDERED_BYTES: usize = 512 << 20;

/// The answer with which the end of a turn is found; a word that templates leave as it is.
const PLACEHOLDER: &str = "fedshieldanswer";

/// A compiled template.
struct Compiled {
    source: String,
    date: TemplateDate,
    environment: Environment<'static>,
    is_marked: bool,
}

thread_local! {
    /// The template that this thread rendered last: all lines of a data set use the same one.
    static LAST: RefCell<Option<Rc<Compiled>>> = const { RefCell::new(None) };
}

fn compiled(source: &str, date: TemplateDate) -> Result<Rc<Compiled>> {
    let is_this = |last: &Rc<Compiled>| last.source == source && last.date == date;
    if let Some(last) = LAST.with_borrow(Clone::clone).filter(is_this) {
        return Ok(last);
    }
    let (rewritten, is_marked) = marks::rewrite(source).map_err(|e| bad(&e))?;
    let environment = jinja::environment(rewritten, date).map_err(|e| bad(&e.to_string()))?;
    let compiled = Rc::new(Compiled { source: source.to_owned(), date, environment, is_marked });
    LAST.set(Some(compiled.clone()));
    Ok(compiled)
}

/// A conversation and the template that renders it.
pub(super) struct Conversation<'a> {
    tokenizer: &'a TextTokenizer,
    turns: Cow<'a, [Turn]>,
    messages: Vec<Value>,
    tools: Value,
    values: Vec<(String, Value)>,
    example_tools: Option<&'a Json>,
    example_values: &'a [(String, Json)],
    source: &'a str,
    template: Rc<Compiled>,
    rendered_bytes: Cell<usize>,
}

impl<'a> Conversation<'a> {
    /// # Errors
    /// If the model has no usable template.
    pub(super) fn new(example: &'a Example, tokenizer: &'a TextTokenizer) -> Result<Self> {
        let chat = match example {
            Example::Chat(chat) => Some(chat),
            _ => None,
        };
        let tools = chat.and_then(|chat| chat.tools.as_ref());
        let source = source(tokenizer, tools.is_some())?;
        let template = compiled(source, tokenizer.template_date)?;
        let turns = example.turns();
        let values = chat.map_or(&[][..], |chat| &chat.values[..]);
        Ok(Self {
            tokenizer,
            messages: turns.iter().map(message).collect(),
            turns,
            tools: tools.map_or(Value::from(()), value),
            values: values.iter().map(|(k, v)| (k.clone(), value(v))).collect(),
            example_tools: tools,
            example_values: values,
            source,
            template,
            rendered_bytes: Cell::new(0),
        })
    }

    /// The whole conversation and the parts of it that are learned.
    pub(super) fn render(&self) -> Result<Vec<Rendered>> {
        if self.template.is_marked {
            return Ok(vec![self.marked()?]);
        }
        let whole = self.text(self.turns.len(), false)?;
        match self.answers(&whole, usize::MAX)? {
            Some(learned) => Ok(vec![self.rendered(whole, learned, self.turns.len())]),
            None => self.learned_turns().map(|index| self.up_to(index)).collect(),
        }
    }

    /// The first `limit` tokens of each part.
    pub(super) fn tokenize(&self, limit: usize) -> Result<Vec<Tokenized>> {
        if self.template.is_marked {
            return Ok(vec![self.marked()?.tokenize(self.tokenizer, limit)?]);
        }
        let whole = self.text(self.turns.len(), false)?;
        let first = self.tokenizer.first_tokens(&whole, limit)?;
        // Answers behind the last token are not needed.
        if let Some(learned) = self.answers(&whole, first.end())? {
            let rendered = self.rendered(whole, learned, self.turns.len());
            return Ok(vec![rendered.label(first, self.tokenizer)?]);
        }
        let tokenize = |index| self.up_to(index)?.tokenize(self.tokenizer, limit);
        self.learned_turns().map(tokenize).collect()
    }

    /// The longest of the texts that the conversation becomes, without what is learned of it: that
    /// would take a rendering for each answer, of which only those among the first `limit` tokens
    /// matter.
    pub(super) fn longest(&self, limit: usize) -> Result<Rendered> {
        let count = self.turns.len();
        let whole = self.text(count, false)?;
        let reach = self.tokenizer.first_tokens(&whole, limit)?.end();
        if self.template.is_marked || self.answers(&whole, reach)?.is_some() {
            return Ok(self.rendered(whole, Vec::new(), count));
        }
        let mut longest = (String::new(), count);
        for index in self.learned_turns() {
            let text = self.text(index + 1, false)?;
            if text.len() >= longest.0.len() {
                longest = (text, index + 1);
            }
        }
        Ok(self.rendered(longest.0, Vec::new(), longest.1))
    }

    /// The text that the model is given to generate the last answer.
    pub(super) fn prompt(&self) -> Result<Rendered> {
        let last = self.turns.iter().rposition(|turn| turn.role == Role::Assistant);
        let turns = last.unwrap_or(self.turns.len());
        let mut rendered = self.rendered(self.text(turns, true)?, Vec::new(), turns);
        rendered.stops.extend(self.turn_end(turns));
        Ok(rendered)
    }

    /// The added token that the template writes behind an answer. Where it writes none, or renders
    /// no answer here, an answer ends with the tokenizer's end token.
    fn turn_end(&self, turns: usize) -> Option<u32> {
        let mut messages = self.messages[..turns].to_vec();
        messages.push(message(&Turn::new(Role::Assistant, PLACEHOLDER)));
        let text = self.text_of(messages, false, "", "").ok()?;
        let (_, behind) = text.rsplit_once(PLACEHOLDER)?;
        self.tokenizer.leading_added(behind)
    }

    fn rendered(&self, text: String, learned: Vec<Range<usize>>, turns: usize) -> Rendered {
        let last_answer = text.len();
        let marked = self.template.is_marked;
        let stops = Vec::new();
        Rendered { text, learned, begins: false, turns, stops, last_answer, marked }
    }

    fn learned_turns(&self) -> impl Iterator<Item = usize> {
        let turns = self.turns.iter().enumerate();
        turns.filter(|(_, turn)| turn.is_learned()).map(|(index, _)| index)
    }

    /// The conversation up to an answer, of which only that answer is learned.
    fn up_to(&self, index: usize) -> Result<Rendered> {
        let text = self.text(index + 1, false)?;
        let start = self.start(index, &text)?;
        let end = text.len();
        Ok(self.rendered(text, Vec::from([Range { start, end }]), index + 1))
    }

    /// The answers that begin before `reach`, as ranges of `whole`; `None` if the text does not
    /// render each of them as it does when it is the last turn.
    fn answers(&self, whole: &str, reach: usize) -> Result<Option<Vec<Range<usize>>>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        for index in self.learned_turns() {
            let through = match index + 1 == self.turns.len() {
                true => Cow::Borrowed(whole),
                false => Cow::Owned(self.text(index + 1, false)?),
            };
            if !whole.starts_with(&*through) {
                return Ok(None);
            }
            let start = self.start(index, &through)?;
            if start >= reach {
                break;
            }
            if found.last().is_some_and(|last| start < last.end) {
                return Err(bad("it renders two answers over each other"));
            }
            found.push(start..through.len());
        }
        Ok(Some(found))
    }

    /// Where an answer begins in the text of the conversation that ends with it: after the
    /// generation prompt or, if that contains more than the answer is rendered with (`<think>`),
    /// where the two diverge.
    fn start(&self, index: usize, through: &str) -> Result<usize> {
        let prompt = self.text(index, true)?;
        if through.starts_with(&prompt) {
            return match prompt.len() < through.len() {
                true => Ok(prompt.len()),
                false => Err(bad("it writes nothing of an answer")),
            };
        }
        let start = common(&prompt, through);
        let history = self.text(index, false)?;
        // A prompt that begins differently would leave the turns before the answer behind it.
        let before = common(&prompt, &history).max(common(&history, through));
        match start >= before && start < through.len() {
            true => Ok(start),
            false => Err(bad("it does not render an answer after its generation prompt")),
        }
    }

    /// The whole conversation, of which the parts that the template marks are learned.
    fn marked(&self) -> Result<Rendered> {
        let [open, close] = self.unused()?;
        let count = self.turns.len();
        let with_marks = self.text_with(count, false, &open.to_string(), &close.to_string())?;
        let text = self.text(count, false)?;
        let (_, parts) = marks::between(&with_marks, open, close)
            .filter(|(unmarked, _)| *unmarked == text)
            .ok_or_else(|| bad("its generation marks change what it writes"))?;
        let answers = self.turns.iter().filter(|turn| turn.role == Role::Assistant);
        let learned: Vec<Range<usize>> = if answers.clone().all(|turn| turn.trained) {
            parts
        } else if answers.clone().count() == parts.len() {
            let parts = answers.zip(parts).filter(|(turn, _)| turn.trained);
            parts.map(|(_, part)| part).collect()
        } else {
            return Err(bad(
                "its generation marks are not one for each answer, and not every answer is to be learned",
            ));
        };
        if learned.iter().all(Range::is_empty) && self.learned_turns().next().is_some() {
            return Err(bad("its generation marks hold no answer of this conversation"));
        }
        Ok(self.rendered(text, learned, count))
    }

    /// Two characters that occur neither in the template nor in its input.
    fn unused(&self) -> Result<[char; 2]> {
        // JSON writes these characters unescaped.
        let as_json = serde_json::to_string(&self.turns)
            .and_then(|turns| Ok(turns + &serde_json::to_string(&self.example_tools)?))
            .and_then(|given| Ok(given + &serde_json::to_string(self.example_values)?));
        let given = as_json.map_err(|e| bad(&e.to_string()))? + self.source;
        let mut free = ('\u{f0000}'..='\u{ffffd}').filter(|c| !given.contains(*c));
        match (free.next(), free.next()) {
            (Some(open), Some(close)) => Ok([open, close]),
            _ => Err(bad("the conversation holds every private character")),
        }
    }

    fn text(&self, turns: usize, prompt: bool) -> Result<String> {
        self.text_with(turns, prompt, "", "")
    }

    fn text_with(&self, turns: usize, prompt: bool, open: &str, close: &str) -> Result<String> {
        self.text_of(self.messages[..turns].to_vec(), prompt, open, close)
    }

    fn text_of(
        &self,
        messages: Vec<Value>,
        prompt: bool,
        open: &str,
        close: &str,
    ) -> Result<String> {
        let mut values = vec![
            ("messages".to_owned(), Value::from(messages)),
            ("tools".to_owned(), self.tools.clone()),
            ("documents".to_owned(), Value::from(())),
            ("add_generation_prompt".to_owned(), Value::from(prompt)),
            (marks::OPEN.to_owned(), Value::from(open)),
            (marks::CLOSE.to_owned(), Value::from(close)),
        ];
        let special = self.tokenizer.special.iter();
        values.extend(special.map(|(name, text)| (name.clone(), Value::from(text.as_str()))));
        values.extend(self.values.iter().cloned());
        // A later value replaces an earlier one of the same name.
        let values: BTreeMap<String, Value> = values.into_iter().collect();
        let text = jinja::render(&self.template.environment, Value::from(values))
            .map_err(|e| bad(&e.to_string()))?;
        let rendered = self.rendered_bytes.get().saturating_add(text.len());
        self.rendered_bytes.set(rendered);
        if rendered > MOST_RENDERED_BYTES {
            let reason = format!(
                "a conversation of {} turns is too long to be rendered up to each of its answers, \
                 which needs more than {} MiB of text: split it into shorter ones",
                self.turns.len(),
                MOST_RENDERED_BYTES >> 20
            );
            return Err(bad(&reason));
        }
        Ok(text)
    }
}

fn source(tokenizer: &TextTokenizer, has_tools: bool) -> Result<&str> {
    if let Some(problem) = &tokenizer.template_problem {
        return Err(bad(problem));
    }
    let with_tools = tokenizer.tool_template.as_deref().filter(|_| has_tools);
    with_tools
        .or(tokenizer.chat_template.as_deref())
        .ok_or_else(|| bad("the model has no chat template; name one: alpaca, chatml, vicuna"))
}

/// Length in bytes of the common prefix of two texts.
fn common(a: &str, b: &str) -> usize {
    let bytes = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    floor_char_boundary(a, bytes)
}

fn bad(reason: &str) -> TrainError {
    TrainError::Template { name: "model".to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests;
