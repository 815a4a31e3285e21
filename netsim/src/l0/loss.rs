//! What a node loses in a crash, and how much it may lose.
//!
//! A member that has lost its disk counts as faulty until the round is over, so a member may lose
//! its disk only if then at most f members are faulty or have lost theirs. Every member may lose
//! records, as long as another honest one has each of them.

use std::collections::BTreeMap;

use super::node::Node;
use super::world::World;

/// What is missing on the disk of a member when it restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Nothing is missing.
    Nothing,
    /// Everything is missing.
    Disk,
    /// The ledger is truncated; the journal is intact.
    Ledger {
        /// The part of the ledger that remains from its start, per mille.
        kept: u64,
    },
    /// One record of the ledger is damaged.
    Record {
        /// Its position in the ledger, per mille.
        at: u64,
    },
}

/// Number of valid records at the start of a node's ledger.
fn length(node: &Node) -> u64 {
    node.disk.damaged.unwrap_or(node.disk.records.len()) as u64
}

/// The round in which each node last lost its disk, and the greatest length of its ledger since.
#[derive(Default)]
pub(super) struct Losses {
    disks: BTreeMap<usize, u64>,
    longest: BTreeMap<usize, u64>,
}

impl World {
    /// Applies `loss` to the disk of a node that is down, or nothing if the protocol does not have
    /// to tolerate it. Returns what was lost.
    pub(super) fn lose(&mut self, index: usize, loss: Loss) -> Loss {
        for (other, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.is_honest()) {
            let longest = self.losses.longest.entry(other).or_default();
            *longest = (*longest).max(length(node));
        }
        if loss == Loss::Nothing || !self.may_lose_disk(index, loss) {
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

    fn may_lose_disk(&self, index: usize, loss: Loss) -> bool {
        let honest = || {
            let nodes = self.nodes.iter().enumerate();
            nodes.filter(|(other, node)| *other != index && node.is_honest())
        };
        let longest = |index: usize| self.losses.longest.get(&index).copied().unwrap_or_default();
        // Ledger lengths: the others' now, their greatest so far, this node's greatest so far.
        let now = honest().map(|(_, node)| length(node)).max().unwrap_or_default();
        let ever = honest().map(|(other, _)| longest(other)).max().unwrap_or_default();
        let own = longest(index);
        if loss != Loss::Disk {
            return now >= ever.max(own);
        }
        // The others can finish a round without this node even if only this node has recorded it.
        let slowest = self.nodes.iter().filter(|n| n.is_honest()).map(length).min();
        let lost_by_others =
            self.losses.disks.iter().filter(|(other, round)| {
                **other != index && slowest.unwrap_or_default() <= **round
            });
        let gone = lost_by_others.count() + self.plan.faulty.len();
        now >= ever && now + 1 >= own && gone < usize::from(self.federation.rules().max_faulty)
    }
}
