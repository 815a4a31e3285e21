//! An operator's pause persists over restarts: a file of its own, written before the pause is
//! confirmed and removed by `resume`. It is not in the journal, because it binds only this node and
//! the journal is pruned with every round.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use fedshield_protocol::event::{Command, Event};

use super::{Host, HostError};
use crate::conditions::unix_s;
use crate::control::api::Pause;
use crate::durable::{self, DiskError};

/// The longest pause file, in bytes.
const MAX_BYTES: u64 = 4096;

/// The path of the pause file.
#[derive(Debug, Clone)]
pub struct PauseFile(PathBuf);

impl PauseFile {
    /// The file at `path`, which exists while the node is paused.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The pause that an earlier run ended in. A file that cannot be read counts as a pause; the
    /// operator ends it with `resume`.
    #[must_use]
    pub fn read(&self) -> Option<Pause> {
        let damaged = |reason: &dyn std::fmt::Display| {
            tracing::warn!(file = %self.0.display(), %reason, "cannot read the pause; still paused");
            Some(Pause { since_unix_s: changed(&self.0), by: None, after_round: None })
        };
        match durable::read_if_present(&self.0, MAX_BYTES) {
            Ok(None) => None,
            Ok(Some(bytes)) => serde_json::from_slice(&bytes).map_or_else(|e| damaged(&e), Some),
            Err(error) => damaged(&error),
        }
    }

    /// Writes the pause to disk.
    ///
    /// # Errors
    /// A failure of the disk.
    pub fn write(&self, pause: &Pause) -> Result<(), DiskError> {
        let bytes = serde_json::to_vec(pause)
            .map_err(|error| DiskError::at(&self.0, io::Error::other(error)))?;
        durable::replace(&self.0, &bytes)
    }

    /// Removes the file.
    ///
    /// # Errors
    /// A failure of the disk.
    pub fn clear(&self) -> Result<(), DiskError> {
        match fs::remove_file(&self.0) {
            Ok(()) => durable::sync_folder(durable::parent(&self.0)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(DiskError::at(&self.0, error)),
        }
    }
}

impl Host {
    /// An operator pauses this node; stored before it takes effect. A second pause changes nothing.
    ///
    /// # Errors
    /// See [`HostError`]. The inner error: the pause could not be stored, and the node is not
    /// paused.
    pub async fn pause(
        &mut self,
        by: Option<String>,
    ) -> Result<Result<Pause, DiskError>, HostError> {
        let pause = match self.standing.pause() {
            Some(pause) => pause,
            None => {
                let pause = Pause { since_unix_s: unix_s(), by, after_round: None };
                if let Err(error) = tokio::task::block_in_place(|| self.parts.pause.write(&pause)) {
                    return Ok(Err(error));
                }
                tracing::info!(by = pause.by.as_deref().unwrap_or("?"), "paused");
                self.standing.set_pause(Some(pause.clone()));
                pause
            }
        };
        self.handle(Event::Operator(Command::Pause)).await?;
        self.refresh();
        Ok(Ok(self.standing.pause().unwrap_or(pause)))
    }

    /// An operator ends the pause.
    ///
    /// # Errors
    /// See [`HostError`]. The inner error: the file could not be removed, and the node stays
    /// paused.
    pub async fn resume(&mut self) -> Result<Result<(), DiskError>, HostError> {
        if let Err(error) = tokio::task::block_in_place(|| self.parts.pause.clear()) {
            return Ok(Err(error));
        }
        if self.standing.pause().is_some() {
            tracing::info!("resumed");
        }
        self.standing.set_pause(None);
        self.handle(Event::Operator(Command::Resume)).await?;
        self.refresh();
        Ok(Ok(()))
    }
}

fn changed(path: &Path) -> u64 {
    let since = fs::metadata(path).and_then(|it| it.modified()).ok();
    let since = since.and_then(|it| it.duration_since(std::time::UNIX_EPOCH).ok());
    since.map_or_else(unix_s, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_found_again_until_it_is_cleared_and_a_damaged_one_is_still_a_pause() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("paused.json");
        let file = PauseFile::new(&path);
        assert_eq!(file.read(), None);
        let pause = Pause { since_unix_s: 7, by: Some("ada".into()), after_round: None };
        file.write(&pause).unwrap();
        assert_eq!(PauseFile::new(&path).read(), Some(pause));
        for damaged in [&b""[..], b"{", b"\xff\xff", &[b'a'; 5000]] {
            fs::write(&path, damaged).unwrap();
            let found = file.read().expect("still paused");
            assert!(found.by.is_none() && found.since_unix_s > 1_000_000);
        }
        file.clear().unwrap();
        file.clear().unwrap();
        assert_eq!(file.read(), None);
    }

    #[test]
    fn a_pause_that_cannot_be_remembered_is_refused() {
        let file = PauseFile::new("/nonexistent/paused.json");
        let pause = Pause { since_unix_s: 7, by: None, after_round: None };
        assert!(file.write(&pause).unwrap_err().to_string().contains("/nonexistent"));
    }
}
