//! The text that the shipped model was pretrained on and the data of the demo, made from our own
//! word lists and sentence patterns by a seeded generator: nothing in it comes from elsewhere, so
//! all of it may be redistributed.
//!
//! * [`Corpus`] is the general text: short prose and general instructions.
//! * [`Hospital`] is one of ten organisations of one trade, the demo's.
//! * [`Domain`] is one of four organisations that have nothing in common.
//!
//! `examples/make_corpus.rs` writes the files, `examples/pretrain/` trains on the corpus.

mod choice;
mod corpus;
mod domain;
mod example;
mod names;
mod prose;
mod records;
mod styles;
mod tasks;
mod trade;
mod words;

pub use choice::Choice;
pub use corpus::{Corpus, Document};
pub use domain::{Domain, SHIPPED_EXAMPLES, SHIPPED_SEED, to_jsonl};
pub use example::{Example, TEMPLATE_PARTS};
pub use trade::{Hospital, Parts};
