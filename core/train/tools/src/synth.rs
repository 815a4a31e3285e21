//! The text that the shipped model was pretrained on and the data of the demo, made from our own
//! word lists and sentence patterns by a seeded generator: nothing in it comes from elsewhere, so
//! all of it may be redistributed.
//!
//! * [`Corpus`] is the general text: short prose and general instructions.
//! * [`Domain`] is one of the four organisations of the demo; it makes their examples.
//!
//! `examples/make_corpus.rs` writes the files, `examples/pretrain/` trains on the corpus.

mod choice;
mod corpus;
mod domain;
mod example;
mod prose;
mod records;
mod styles;
mod tasks;
mod words;

pub use choice::Choice;
pub use corpus::{Corpus, Document};
pub use domain::{Domain, SHIPPED_EXAMPLES, SHIPPED_SEED, to_jsonl};
pub use example::{Example, TEMPLATE_PARTS};
