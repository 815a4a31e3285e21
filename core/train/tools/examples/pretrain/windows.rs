//! Documents packed into windows of a fixed number of tokens.

use std::error::Error;

use fedshield_train::model::TokenSequence;
use fedshield_train_tools::all_labelled;
use fedshield_train_tools::synth::Corpus;
use tokenizers::Tokenizer;

/// Windows of tokens from an endless corpus.
pub(crate) struct Windows<'a> {
    tokenizer: &'a Tokenizer,
    corpus: Corpus,
    end: u32,
    count: usize,
}

impl<'a> Windows<'a> {
    /// Windows from the corpus of `seed`; `end` closes each document.
    pub(crate) fn new(tokenizer: &'a Tokenizer, end: u32, seed: u64) -> Self {
        Windows { tokenizer, corpus: Corpus::new(seed), end, count: 0 }
    }

    /// The next window of `length` tokens; its last document is cut off where it is full. Every
    /// other window starts with the end mark, as if a document preceded it; the others start with a
    /// document, as fine-tuning examples do.
    pub(crate) fn next_full(&mut self, length: usize) -> Result<TokenSequence, Box<dyn Error>> {
        self.count += 1;
        let mut ids = if self.count.is_multiple_of(2) { vec![self.end] } else { Vec::new() };
        while ids.len() < length {
            ids.extend(self.next_document()?.0);
        }
        ids.truncate(length);
        Ok(all_labelled(ids))
    }

    /// The next window of whole documents after an end mark, at most `length` tokens, with the nats
    /// of the choices that made them.
    pub(crate) fn next_whole(
        &mut self,
        length: usize,
    ) -> Result<(TokenSequence, f64), Box<dyn Error>> {
        let mut ids = vec![self.end];
        let mut nats = 0.0;
        loop {
            let (document, surprise) = self.next_document()?;
            if ids.len() + document.len() > length {
                return Ok((all_labelled(ids), nats));
            }
            ids.extend(document);
            nats += surprise;
        }
    }

    fn next_document(&mut self) -> Result<(Vec<u32>, f64), Box<dyn Error>> {
        let document = self.corpus.next().ok_or("the corpus is endless")?;
        let encoding =
            self.tokenizer.encode(document.text.as_str(), false).map_err(|e| e.to_string())?;
        let mut ids = encoding.get_ids().to_vec();
        ids.push(self.end);
        Ok((ids, document.nats))
    }
}
