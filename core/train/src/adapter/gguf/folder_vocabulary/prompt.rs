//! Where llama.cpp treats white space otherwise than the tokenizer: checked on the prompts that the
//! model's chat template writes, and told to the user.

use serde_json::Value as Json;

use super::added;
use crate::data::{Chat, Example, Role, Turn};
use crate::text::{Template, TextTokenizer};

/// llama.cpp removes white space behind special tokens of models with these names, except behind
/// the tokens below.
const STRIPPING_NAMES: [&str; 2] = ["phi-3", "phi3"];
const NOT_STRIPPING: [&str; 3] = ["<unk>", "<s>", "<|endoftext|>"];
/// It requires these tokens of such models.
const NEEDED: [&str; 4] = ["<unk>", "<s>", "<|endoftext|>", "</s>"];

/// When a space is put before a piece of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    /// Before every piece, also if it begins with a space.
    Every,
    /// Before every piece that does not begin with a space.
    EveryBare,
    /// Before the beginning of the text, if it does not begin with a space.
    FirstBare,
    Never,
}

/// A conversation as the model's chat template writes it, and the tokenizer's added tokens.
pub(super) struct Prompt<'a> {
    text: String,
    added: Vec<&'a Json>,
}

impl<'a> Prompt<'a> {
    pub(super) fn new(tokenizer: &TextTokenizer, json: &'a Json) -> Self {
        let template = Template::Model.or_plain(tokenizer);
        let turn = |role, text: &str| Turn::new(role, text);
        let long = vec![
            turn(Role::User, "Why?"),
            turn(Role::Assistant, "So."),
            turn(Role::User, "And?"),
            turn(Role::Assistant, "-"),
        ];
        let short = vec![turn(Role::User, "Why?"), turn(Role::Assistant, "-")];
        let render = |turns: Vec<Turn>| {
            let example = Example::Chat(Chat::from(turns));
            template.render_prompt(&example, tokenizer).ok().map(|rendered| rendered.text)
        };
        let text = render(long).or_else(|| render(short)).unwrap_or_else(|| "Why?".to_owned());
        Self { text, added: added(json).collect() }
    }

    /// The pieces of text between added tokens, with the token before each.
    fn pieces(&self) -> Vec<(Option<&Json>, &str)> {
        let (mut pieces, mut before, mut begin, mut at) = (Vec::new(), None, 0, 0);
        while let Some(rest) = self.text.get(at..).filter(|rest| !rest.is_empty()) {
            let here = self.added.iter().filter_map(|token| {
                let content = token["content"].as_str().filter(|text| !text.is_empty())?;
                rest.starts_with(content).then_some((content.len(), *token))
            });
            match here.max_by_key(|(length, _)| *length) {
                Some((length, token)) => {
                    pieces.push((before, &self.text[begin..at]));
                    (before, at) = (Some(token), at + length);
                    begin = at;
                }
                None => at += rest.chars().next().map_or(1, char::len_utf8),
            }
        }
        pieces.push((before, self.text.get(begin..).unwrap_or_default()));
        pieces.retain(|(_, piece)| !piece.is_empty());
        pieces
    }

    /// The value of `add_space_prefix` with which llama.cpp gives the template's prompts the tokens
    /// that they have here.
    ///
    /// # Errors
    /// If neither does.
    pub(super) fn space_prefix(
        &self,
        prefix: Prefix,
        notes: &mut Vec<String>,
    ) -> Result<bool, String> {
        let bare = |piece: &str| !piece.starts_with([' ', '\u{2581}']);
        let added = |(before, piece): &(Option<&Json>, &str)| match prefix {
            Prefix::Every => true,
            Prefix::EveryBare => bare(piece),
            Prefix::FirstBare => before.is_none() && bare(piece),
            Prefix::Never => false,
        };
        let pieces = self.pieces();
        let every = match pieces.first() {
            Some(first) => added(first),
            None => prefix != Prefix::Never,
        };
        if let Some((_, piece)) = pieces.iter().find(|one| added(one) != every) {
            return Err(format!(
                "a space is put before some pieces of the chat template's prompt and not before \
                 {piece:?}; llama.cpp puts one before each or before none"
            ));
        }
        let does = if every { "before each" } else { "before none" };
        match prefix {
            Prefix::FirstBare => notes.push(format!(
                "the tokenizer puts a space before the beginning of a text; llama.cpp puts one \
                 before each piece between special tokens or before none. The file says {does}, \
                 which the chat template's prompts need; other texts may be tokenised otherwise"
            )),
            Prefix::EveryBare => notes.push(
                "a text that begins with a space gets another one in llama.cpp, which transformers \
                 does not add"
                    .to_owned(),
            ),
            Prefix::Every | Prefix::Never => {}
        }
        Ok(every)
    }

    /// The value of `general.name`, which decides whether llama.cpp removes white space around
    /// special tokens.
    ///
    /// # Errors
    /// Tokens that take white space with them in a way that llama.cpp does not have, where the chat
    /// template writes white space.
    pub(super) fn name(
        &self,
        wanted: &str,
        notes: &mut Vec<String>,
    ) -> Result<Option<String>, String> {
        let strips = |token: &Json| token["rstrip"] == true;
        let content = |token: &Json| token["content"].as_str().unwrap_or_default().to_owned();
        if let Some(token) = self.added.iter().find(|token| token["single_word"] == true) {
            return Err(format!(
                "the added token {} is single_word, which llama.cpp does not have",
                token["content"]
            ));
        }
        let has = |name: &&str| self.added.iter().any(|token| content(token) == **name);
        let by_rule =
            |token: &&Json| strips(token) != NOT_STRIPPING.contains(&content(token).as_str());
        let any = self.added.iter().any(|token| strips(token) || token["lstrip"] == true);
        let lower = wanted.to_lowercase();
        let is_stripping = STRIPPING_NAMES.iter().any(|name| lower.contains(name));
        let lstrip = self.added.iter().any(|token| token["lstrip"] == true);
        if any && !lstrip && NEEDED.iter().all(has) && self.added.iter().all(by_rule) {
            let name = if is_stripping { wanted.to_owned() } else { format!("{wanted} (phi-3)") };
            return Ok(Some(name));
        }
        if any {
            self.check_strips(notes)?;
        }
        let other = lower.contains("modern-bert") || is_stripping;
        Ok((!other).then(|| wanted.to_owned()))
    }

    /// # Errors
    /// White space in the prompt that would be removed here and is not in llama.cpp.
    fn check_strips(&self, notes: &mut Vec<String>) -> Result<(), String> {
        let pieces = self.pieces();
        for (before, piece) in &pieces {
            let Some(token) = before.filter(|token| token["rstrip"] == true) else { continue };
            if piece.starts_with(char::is_whitespace) {
                return Err(format!(
                    "the added token {} is rstrip: the white space that the chat template writes \
                     behind it is removed, and llama.cpp does not remove it",
                    token["content"]
                ));
            }
        }
        if let Some(token) = self.added.iter().find(|token| token["lstrip"] == true) {
            return Err(format!(
                "the added token {} is lstrip, which llama.cpp does not have",
                token["content"]
            ));
        }
        notes.push(
            "the tokenizer removes white space behind some special tokens and llama.cpp does not; \
             the chat template writes none there, but a message that begins with white space is \
             tokenised otherwise"
                .to_owned(),
        );
        Ok(())
    }
}
