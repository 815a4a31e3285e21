//! What jobs leave on disk, so that a restarted member can run each of them again.
//!
//! ```text
//! name            where     what                                        until
//! adapter         training  which object is the newest common adapter   the next one
//! adapter-before  training  the one before, and its rounds applied      the next one
//! rounds/<r>/sum  training  the opened sum of round r                   settle
//! local-memory    secrets   what was learned and not sent               not erased
//! trained         secrets   the result of training                      its update is spent
//! moments-<f>-<s> secrets   factor f's optimiser after training, twice  the federation is done
//! personal        secrets   the adapter trained on at home              the next one
//! alone           secrets   the adapter trained by itself               the next one
//! best-adapter    secrets   which adapter validation chose              the next choice
//! joint-losses    secrets   losses measured for the federation's mean   the federation is done
//! sent            round     what this member sent                       settle
//! dealing         round     ciphertext, published part of its sharing   settle
//! deal-<m>        round     the opening of member m's share of the key  settle
//! share-<m>       round     opening of this node's share from member m  settle
//! resealed-<m>    round     this node's share from member m, resealed   settle
//! released        round     this member's one answer to the decision    settle
//! sealing-key     round     its sealing key (`crate::sealing_keys`)     settle
//! ```
//!
//! `training` is a folder of the home, `round` means the secrets of one round. They end with its
//! key, see `identity::round_keys`; the key that opened a sum is an object, for all.

mod adapters;
mod optimizer;
mod stored_sum;

use std::fs;
use std::path::{Path, PathBuf};

use fedshield_protocol::ids::{LayoutDigest, Round};
use fedshield_protocol::object::ObjectRef;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{Pipeline, PipelineError};
use crate::durable;
pub(super) use adapters::State;
pub(crate) use optimizer::OPTIMIZER_CONDITION;
pub use stored_sum::StoredSum;

/// The names of the table.
pub(super) mod name {
    use fedshield_protocol::ids::MemberIndex;
    use fedshield_train::federated::Factor;

    pub(crate) const ADAPTER: &str = "adapter";
    pub(super) const ADAPTER_BEFORE: &str = "adapter-before";
    pub(super) const ROUNDS: &str = "rounds";
    pub(super) const SUM: &str = "sum";
    pub(super) const LOCAL_MEMORY: &str = "local-memory";
    pub(crate) const TRAINED: &str = "trained";
    pub(crate) const PERSONAL: &str = "personal";
    pub(crate) const ALONE: &str = "alone";
    pub(crate) const BEST: &str = "best-adapter";
    pub(crate) const JOINT_LOSSES: &str = "joint-losses";
    pub(crate) const SENT: &str = "sent";
    pub(crate) const DEALING: &str = "dealing";
    pub(crate) const RELEASED: &str = "released";

    /// Files for the optimiser's state of each factor.
    pub(super) const MOMENT_SLOTS: usize = 2;

    pub(super) fn moments(factor: Factor, slot: usize) -> String {
        let factor = match factor {
            Factor::A => "a",
            Factor::B => "b",
            Factor::R => "r",
        };
        format!("moments-{factor}-{slot}")
    }

    pub(crate) fn dealt(member: MemberIndex) -> String {
        format!("deal-{member}")
    }

    pub(crate) fn share(dealer: MemberIndex) -> String {
        format!("share-{dealer}")
    }

    pub(crate) fn resealed_share(dealer: MemberIndex) -> String {
        format!("resealed-{dealer}")
    }

    /// The names under which a resealed share may be stored: the one in use, and that of earlier
    /// versions, which may have stored it before an upgrade in the middle of a round.
    pub(crate) fn resealed_shares(dealer: MemberIndex) -> [String; 2] {
        [resealed_share(dealer), format!("box-{dealer}")]
    }
}

/// The result of local training, and the adapter that it started from.
#[derive(Serialize, Deserialize)]
pub(super) struct Trained {
    pub(super) applied: u64,
    pub(super) adapter: [u8; 32],
    pub(super) theta: Vec<f32>,
}

impl Trained {
    /// Decodes a stored value. Earlier versions appended the number of examples.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        postcard::take_from_bytes::<Self>(bytes).ok().map(|(trained, _)| trained)
    }
}

/// The values in this member's update, stored until the round is settled.
#[derive(Serialize, Deserialize)]
pub(super) struct Sent {
    /// Number of applied rounds before this round.
    pub(super) applied: u64,
    /// Clipped values in the mask's order.
    pub(super) values: Vec<f32>,
    /// The mask, as indices into the factors that were trained.
    pub(super) indices: Vec<u32>,
    /// Number of values in the factors.
    pub(super) dense_len: u64,
}

/// An encrypted update whose key is shared: with the openings, what its shares are sealed from.
#[derive(Serialize, Deserialize)]
pub(super) struct KeptDealing {
    pub(super) ciphertext: ObjectRef,
    /// The published part of the sharing.
    pub(super) shares: Vec<u8>,
    pub(super) layout: LayoutDigest,
}

/// The set that this member answered for, and its answer. Written before the answer is sent.
#[derive(Serialize, Deserialize)]
pub(super) struct Released {
    pub(super) set: [u8; 32],
    pub(super) object: ObjectRef,
}

impl Pipeline {
    fn round_folder(&self, round: Round) -> Result<PathBuf, PipelineError> {
        let folder = self.folder.join(name::ROUNDS).join(round.to_string());
        durable::make_folder(&folder)?;
        Ok(folder)
    }

    pub(super) fn remove_round_folder(&self, round: Round) -> Result<(), PipelineError> {
        let folder = self.folder.join(name::ROUNDS).join(round.to_string());
        match fs::remove_dir_all(&folder) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(PipelineError::file(&folder, e))
            }
            _ => Ok(()),
        }
    }

    /// Stores a value as a secret of `round`, on disk when this returns.
    pub(super) fn keep_in_round<T: Serialize>(
        &self,
        round: Round,
        name: &str,
        value: &T,
    ) -> Result<(), PipelineError> {
        let bytes = postcard::to_allocvec(value)
            .map(Zeroizing::new)
            .map_err(|e| PipelineError::corrupt(&self.secrets.file_in_round(round, name), e))?;
        Ok(self.secrets.put_in_round(round, name, &bytes)?)
    }

    /// The value stored as a secret of `round`, if there is one.
    pub(super) fn kept_in_round<T: DeserializeOwned>(
        &self,
        round: Round,
        name: &str,
    ) -> Result<Option<T>, PipelineError> {
        let Some(bytes) = self.secrets.get_in_round(round, name)? else { return Ok(None) };
        postcard::from_bytes(&bytes)
            .map(Some)
            .map_err(|e| PipelineError::corrupt(&self.secrets.file_in_round(round, name), e))
    }

    /// Stores a value as a secret that outlives rounds, on disk when this returns.
    pub(super) fn keep<T: Serialize>(&self, name: &str, value: &T) -> Result<(), PipelineError> {
        let bytes = postcard::to_allocvec(value)
            .map(Zeroizing::new)
            .map_err(|e| PipelineError::corrupt(&self.secrets.file(name), e))?;
        Ok(self.secrets.put(name, &bytes)?)
    }
}

/// Writes a value so that a crash leaves the old one or the new one.
fn write_value<T: Serialize>(path: &Path, value: &T) -> Result<(), PipelineError> {
    let bytes = postcard::to_allocvec(value).map_err(|e| PipelineError::corrupt(path, e))?;
    Ok(durable::replace(path, &bytes)?)
}

/// Reads a value written by [`write_value`].
fn read_value<T: DeserializeOwned>(path: &Path) -> Result<T, PipelineError> {
    let bytes = fs::read(path).map_err(|e| PipelineError::file(path, e))?;
    postcard::from_bytes(&bytes).map_err(|e| PipelineError::corrupt(path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_version_kept_is_read() {
        let trained = Trained { applied: 3, adapter: [7; 32], theta: vec![1.0, 2.0] };
        let read = |bytes: &[u8]| Trained::from_bytes(bytes).map(|trained| trained.theta);
        let new = postcard::to_allocvec(&trained).unwrap();
        assert_eq!(read(&new), Some(vec![1.0, 2.0]));
        let old = postcard::to_allocvec(&(&trained, 400u64)).unwrap();
        assert_eq!(read(&old), Some(vec![1.0, 2.0]));
        assert_eq!(read(&new[..new.len() - 1]), None);
    }
}
