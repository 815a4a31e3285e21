//! Opens a model, prints its properties, and answers one question.
//!
//! ```text
//! cargo run --example look -- MODEL "What is the capital of France?"
//! ```

#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::path::Path;
use std::time::Instant;

use fedshield_train::data::Example;
use fedshield_train::text::Template;
use fedshield_train::{Sampling, TrainSettings, Trainer, Valid};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(model), Some(question)) = (words.next(), words.next()) else {
        return Err("usage: look MODEL QUESTION".into());
    };
    let begin = Instant::now();
    let trainer = Trainer::open(Path::new(&model), Valid::<TrainSettings>::default())?;
    println!("opened in {:.2} s: {:?}", begin.elapsed().as_secs_f64(), trainer.config());
    let digest: String = trainer.base_digest().iter().map(|byte| format!("{byte:02x}")).collect();
    println!("digest {digest}");
    let example = Example::instruction(question, "", "");
    let template = match trainer.tokenizer().id("<|im_start|>") {
        Some(_) => Template::ChatMl,
        None => Template::Alpaca,
    };
    let sampling = Sampling { max_tokens: 24, ..Sampling::default() };
    println!("{}", trainer.answer(None, template, &example, &sampling)?);
    Ok(())
}
