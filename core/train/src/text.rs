//! Tokenizers and templates.

mod chat;
mod class;
mod date;
mod first;
mod folder;
mod jinja;
mod marks;
mod named;
mod rendered;
mod template;
#[cfg(test)]
mod tests;
mod tokenizer;

pub use date::TemplateDate;
pub(crate) use first::floor_char_boundary;
pub(crate) use folder::TokenizerFolder;
pub use rendered::{Rendered, Segment, Tokenized};
pub use template::Template;
pub use tokenizer::TextTokenizer;
