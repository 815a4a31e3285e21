//! The chain of records as far as this member has it: its end, and what is kept of the rounds
//! before.

mod past;

use crate::ids::MemberIndex;
use crate::ledger::Tip;
use crate::machine::Config;
use crate::wire::Record;
use past::Past;

/// Grows by one certified record at a time; the records themselves are the host's.
pub(crate) struct Chain {
    /// Rounds that the manifest asks for.
    rounds: u64,
    pub(crate) tip: Tip,
    pub(crate) past: Past,
}

impl Chain {
    pub(crate) fn new(config: &Config) -> Self {
        let tip = Tip::start(&config.manifest);
        Self { rounds: config.manifest.manifest().rounds, tip, past: Past::default() }
    }

    /// Whether every round of the manifest has been applied.
    pub(crate) const fn is_done(&self) -> bool {
        self.tip.applied >= self.rounds
    }

    /// The next record, which has been checked.
    pub(crate) fn append(&mut self, record: &Record, me: MemberIndex) {
        self.tip = self.tip.after(record);
        self.past.note(record, me);
    }
}
