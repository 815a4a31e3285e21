//! Tokenizers and templates.

mod chat;
mod template;
#[cfg(test)]
mod tests;
mod tokenizer;

pub use template::{Segment, Template, tokenize};
pub use tokenizer::TextTokenizer;
