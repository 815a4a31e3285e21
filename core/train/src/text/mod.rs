//! Tokenizers and templates.

mod template;
mod tokenizer;

pub use template::{Segment, Template, tokenize};
pub use tokenizer::TextTokenizer;
