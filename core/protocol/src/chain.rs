//! The chain of records as far as this member has it: its end, and what is kept of the rounds
//! before.

mod past;

use crate::ids::MemberIndex;
use crate::ledger::Tip;
use crate::machine::Config;
use crate::manifest::Evaluation;
use crate::wire::Record;
use past::Past;

/// Grows by one certified record at a time; the records themselves are the host's.
pub(crate) struct Chain {
    /// Rounds that the manifest asks for.
    rounds: u64,
    /// Rounds that still train once the members have ended the training early.
    fall: u64,
    /// Whether one round more, which applies nothing, measures the final adapter.
    measures: bool,
    /// That round has ended, however it did.
    has_measured: bool,
    pub(crate) tip: Tip,
    pub(crate) past: Past,
}

impl Chain {
    pub(crate) fn new(config: &Config) -> Self {
        let tip = Tip::start(&config.manifest);
        let manifest = config.manifest.manifest();
        let measures = manifest.evaluation == Evaluation::Mean;
        let fall = manifest.stop.map_or(0, |stop| u64::from(stop.fall));
        let (rounds, past) = (manifest.rounds, Past::default());
        Self { rounds, fall, measures, has_measured: false, tip, past }
    }

    /// Whether every round of the manifest has been applied, and nothing is left to measure.
    pub(crate) const fn is_done(&self) -> bool {
        self.is_trained() && (!self.measures || self.has_measured)
    }

    /// Whether every round that trains has been applied.
    pub(crate) const fn is_trained(&self) -> bool {
        let end = match self.tip.stopped {
            Some(from) => from.saturating_add(self.fall),
            None => self.rounds,
        };
        self.tip.applied >= self.rounds || self.tip.applied >= end
    }

    /// The next record, which has been checked.
    pub(crate) fn append(&mut self, record: &Record, me: MemberIndex) {
        self.has_measured = self.is_trained();
        self.tip = self.tip.after(record);
        self.past.note(record, me);
    }
}
