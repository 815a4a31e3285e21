//! What one round leaves on disk: the opened sum in a folder, secrets in the sealed store. The
//! key that opened the sum is an object, for all members.
//!
//! ```text
//! rounds/<round>/sum    the opened sum
//! secrets of the round: sent, dealing, deal-<m>, share-<m>, box-<m>, released, and its sealing key
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use fedshield_protocol::ids::{MemberIndex, Round};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{Pipeline, PipelineError};
use crate::durable;

/// What this member sent, until it is spent.
#[derive(Serialize, Deserialize)]
pub(super) struct Sent {
    /// Applied rounds before the round.
    pub(super) applied: u64,
    /// Clipped values in the mask's order.
    pub(super) values: Vec<f32>,
    /// The mask, as indices into the factors that were trained.
    pub(super) indices: Vec<u32>,
    /// How many values the factors have.
    pub(super) dense_len: u64,
}

/// Names of the round's secrets.
pub(super) mod secret {
    use super::MemberIndex;

    /// What this member sent.
    pub(crate) const SENT: &str = "sent";
    /// What its boxes are sealed from.
    pub(crate) const DEALING: &str = "dealing";
    /// What this member answered to the decision.
    pub(crate) const RELEASED: &str = "released";

    /// The share of a member in the own dealing.
    pub(crate) fn dealt(member: MemberIndex) -> String {
        format!("deal-{member}")
    }

    /// The own share from a dealer, shown in clear.
    pub(crate) fn share(dealer: MemberIndex) -> String {
        format!("share-{dealer}")
    }

    /// The own box from a dealer, sealed again.
    pub(crate) fn sealed_again(dealer: MemberIndex) -> String {
        format!("box-{dealer}")
    }
}

impl Pipeline {
    pub(super) fn round_folder(&self, round: Round) -> Result<PathBuf, PipelineError> {
        let folder = self.folder.join("rounds").join(round.to_string());
        durable::make_folder(&folder)?;
        Ok(folder)
    }

    pub(super) fn remove_round_folder(&self, round: Round) -> Result<(), PipelineError> {
        let folder = self.folder.join("rounds").join(round.to_string());
        match fs::remove_dir_all(&folder) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(PipelineError::file(&folder, e))
            }
            _ => Ok(()),
        }
    }
}

impl Pipeline {
    /// Seals a value as a secret of `round`, on disk when this returns.
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

    /// The value sealed as a secret of `round`, if there is one.
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

    /// Seals a value under `name`, on disk when this returns.
    pub(super) fn keep_sealed<T: Serialize>(
        &self,
        name: &str,
        value: &T,
    ) -> Result<(), PipelineError> {
        let bytes = postcard::to_allocvec(value)
            .map(Zeroizing::new)
            .map_err(|e| PipelineError::corrupt(&self.secrets.file(name), e))?;
        Ok(self.secrets.put(name, &bytes)?)
    }
}

/// Writes a value so that a crash leaves the old one or the new one.
pub(super) fn write_value<T: Serialize>(path: &Path, value: &T) -> Result<(), PipelineError> {
    let bytes = postcard::to_allocvec(value).map_err(|e| PipelineError::corrupt(path, e))?;
    Ok(durable::replace(path, &bytes)?)
}

/// Reads a value written by [`write_value`].
pub(super) fn read_value<T: DeserializeOwned>(path: &Path) -> Result<T, PipelineError> {
    let bytes = fs::read(path).map_err(|e| PipelineError::file(path, e))?;
    postcard::from_bytes(&bytes).map_err(|e| PipelineError::corrupt(path, e))
}
