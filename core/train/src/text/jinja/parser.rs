//! The tokens of one tag, and how they are read one after the other.

use super::tokens::Token;

/// What has been translated, or what is not supported.
pub(super) type Written = Result<String, String>;

/// Reads tokens, and writes expressions.
pub(super) struct Parser {
    pub(super) tokens: Vec<Token>,
    pub(super) at: usize,
    /// Levels of the expression that are open.
    pub(super) depth: usize,
}

impl Parser {
    pub(super) fn new(tokens: Vec<Token>) -> Self {
        Self { tokens, at: 0, depth: 0 }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.tokens.len()
    }

    /// How many tokens have been read.
    pub(super) fn place(&self) -> usize {
        self.at
    }

    /// The first of these names that was read since then.
    pub(super) fn name_since(&self, place: usize, names: &[String]) -> Option<String> {
        let read = self.tokens.get(place..self.at).unwrap_or_default();
        read.iter().find_map(|token| match token {
            Token::Name(name) if names.contains(name) => Some(name.clone()),
            _ => None,
        })
    }

    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    pub(super) fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Some(Token::Sign(found)) if *found == sign)
    }

    pub(super) fn is_name(&self, name: &str) -> bool {
        matches!(self.peek(), Some(Token::Name(found)) if found == name)
    }

    /// Skips this sign, if it is the next token.
    pub(super) fn sign(&mut self, sign: &str) -> bool {
        let found = self.is_sign(sign);
        self.at += usize::from(found);
        found
    }

    /// Skips this word, if it is the next token.
    pub(super) fn word(&mut self, word: &str) -> bool {
        let found = self.is_name(word);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, sign: &str) -> Result<(), String> {
        match self.sign(sign) {
            true => Ok(()),
            false => Err(format!("{} where {sign:?} is expected", self.next_shown())),
        }
    }

    pub(super) fn name(&mut self) -> Written {
        match self.peek() {
            Some(Token::Name(name)) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err(format!("{} where a name is expected", self.next_shown())),
        }
    }

    /// # Errors
    /// If anything is left.
    pub(super) fn end(&self) -> Result<(), String> {
        match self.is_at_end() {
            true => Ok(()),
            false => Err(format!("{} where the tag should end", self.next_shown())),
        }
    }

    pub(super) fn next_shown(&self) -> String {
        match self.peek() {
            None => "the end of the tag".to_owned(),
            Some(Token::Name(text) | Token::Number(text)) => text.clone(),
            Some(Token::Text(text)) => format!("{text:?}"),
            Some(Token::Sign(sign)) => (*sign).to_owned(),
        }
    }
}
