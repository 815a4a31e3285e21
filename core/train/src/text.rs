//! Tokenizers and templates.

mod chat;
mod first;
mod template;
#[cfg(test)]
mod tests;
mod tokenizer;

pub(crate) use first::floor_char_boundary;
pub use template::{Segment, Template, tokenize, tokenize_first};
pub use tokenizer::TextTokenizer;
