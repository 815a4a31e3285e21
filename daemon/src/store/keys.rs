//! Every key of the store, in one place.
//!
//! | key | value |
//! |---|---|
//! | `format` | version of this table, one byte |
//! | `record/` + round, 8 bytes big-endian | a certified record, postcard |
//! | `report/` + round, 8 bytes big-endian | [`RoundReport`](crate::control::api::RoundReport), JSON |
//! | `note/` + name | JSON that the host keeps between runs: the last evaluation, the last error |
//!
//! A seal beside the database (`seal.fs`) says how many rows there are, and what is in them.

use fedshield_protocol::ids::Round;

/// The version of the layout.
pub(super) const FORMAT_KEY: &[u8] = b"format";
/// The value of [`FORMAT_KEY`].
pub(super) const FORMAT: &[u8] = &[2];

/// A part of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// The ledger.
    Record,
    /// What this node saw of each round.
    Report,
    /// Odds and ends of the host, by name.
    Note,
}

impl Table {
    /// What all keys of the table begin with.
    #[must_use]
    pub const fn prefix(self) -> &'static [u8] {
        match self {
            Self::Record => b"record/",
            Self::Report => b"report/",
            Self::Note => b"note/",
        }
    }

    /// The key of a round; keys sort like rounds.
    #[must_use]
    pub fn round_key(self, round: Round) -> Vec<u8> {
        [self.prefix(), &round.0.to_be_bytes()].concat()
    }

    /// The key of a name.
    #[must_use]
    pub fn name_key(self, name: &str) -> Vec<u8> {
        [self.prefix(), name.as_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_keys_sort_like_rounds() {
        let keys: Vec<_> =
            [0, 1, 255, 256, u64::MAX].map(|n| Table::Record.round_key(Round(n))).into();
        assert!(keys.is_sorted());
    }
}
