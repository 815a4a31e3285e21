//! What a crash takes with it, and how much may be taken.
//!
//! Whoever has lost its disk counts as faulty until the round is over, so one member may lose it while no more than f
//! members in all are faulty or have lost theirs. Ledgers may be lost by everyone, as long as somebody has each record.

use std::collections::BTreeMap;

use super::node::Node;
use super::world::World;

/// What is gone when a member comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Nothing that was on disk.
    Nothing,
    /// Everything.
    Disk,
    /// The records of the ledger, but for so many of a thousand, the first ones. The journal stays.
    Ledger {
        /// How many of a thousand stay.
        kept: u64,
    },
    /// One record, at so many thousandths of the ledger, is damaged.
    Record {
        /// Where, in thousandths.
        at: u64,
    },
}

/// Records that a node can give.
fn length(node: &Node) -> u64 {
    node.disk.damaged.unwrap_or(node.disk.records.len()) as u64
}

/// Who has lost its disk in which round, and how long each ledger has ever been.
#[derive(Default)]
pub(super) struct Losses {
    disks: BTreeMap<usize, u64>,
    longest: BTreeMap<usize, u64>,
}

impl World {
    /// Takes `loss` from a node that is down, or nothing where that would be more than the protocol promises to bear.
    pub(super) fn lose(&mut self, index: usize, loss: Loss) -> Loss {
        for (other, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.is_honest()) {
            let longest = self.losses.longest.entry(other).or_default();
            *longest = (*longest).max(length(node));
        }
        if loss == Loss::Nothing || !self.may_lose(index, loss) {
            return Loss::Nothing;
        }
        let round = self.losses.longest.values().copied().max().unwrap_or_default();
        let Some(node) = self.nodes.get_mut(index) else { return Loss::Nothing };
        let records = &mut node.disk.records;
        let part = |per_mille: u64| (records.len() as u64 * per_mille / 1000) as usize;
        match loss {
            Loss::Nothing => {}
            Loss::Disk => {
                node.disk.lose();
                self.losses.disks.insert(index, round);
                self.losses.longest.insert(index, 0);
            }
            Loss::Ledger { kept } => records.truncate(part(kept)),
            Loss::Record { at } => {
                let at = part(at);
                if let Some((_, signature)) =
                    records.get_mut(at).and_then(|record| record.signatures.first_mut())
                    && let Some(byte) = signature.first_mut()
                {
                    *byte ^= 1;
                    node.disk.damaged = Some(at);
                }
            }
        }
        loss
    }

    fn may_lose(&self, index: usize, loss: Loss) -> bool {
        let honest = || {
            let nodes = self.nodes.iter().enumerate();
            nodes.filter(|(other, node)| *other != index && node.is_honest())
        };
        let longest = |index: usize| self.losses.longest.get(&index).copied().unwrap_or_default();
        // What the others have now, what they have ever had, and what this one has ever had.
        let now = honest().map(|(_, node)| length(node)).max().unwrap_or_default();
        let ever = honest().map(|(other, _)| longest(other)).max().unwrap_or_default();
        let own = longest(index);
        if loss != Loss::Disk {
            return now >= ever.max(own);
        }
        // A round that only this one has finished the others can finish without it.
        let slowest = self.nodes.iter().filter(|n| n.is_honest()).map(length).min();
        let lost_by_others =
            self.losses.disks.iter().filter(|(other, round)| {
                **other != index && slowest.unwrap_or_default() <= **round
            });
        let gone = lost_by_others.count() + self.plan.faulty.len();
        now >= ever && now + 1 >= own && gone < usize::from(self.federation.rules().max_faulty)
    }
}
