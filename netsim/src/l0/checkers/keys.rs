//! A sealing key is for one round: nothing is sealed to a key of another round, and once a round is
//! settled its keys and those of earlier rounds are erased from the disk.

use fedshield_protocol::ids::Round;
use fedshield_protocol::job::{Job, JobOutput};

use super::Fact;
use crate::l0::node::Node;

pub(super) struct Keys;

impl Keys {
    pub(super) fn observe(&self, node: &Node, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Started(Job::SealShares { round, sealing_keys }) => {
                sealing_keys.iter().flatten().try_for_each(|key| is_of(key, *round))
            }
            Fact::Ended(Job::Settle { round, .. }, JobOutput::Settled) => {
                match node.disk.keys.first_key_value() {
                    Some((kept, _)) if kept <= round => {
                        Err(format!("round {round} is settled, the key of round {kept} is there"))
                    }
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

/// Checks the round of `key`: the last eight bytes of a simulated key. Any key is accepted in
/// round 0, whose keys are in the manifest.
fn is_of(key: &[u8], round: Round) -> Result<(), String> {
    let end = key.len().saturating_sub(8);
    let of = key.get(end..).and_then(|end| end.try_into().ok()).map(u64::from_le_bytes);
    match of == Some(round.0) || round == Round(0) {
        true => Ok(()),
        false => Err(format!("round {round}: seals to a key of round {of:?}")),
    }
}
