//! Secrets of one round: files encrypted under the round's own key (`round_keys`), unreadable once
//! it is erased.

use fedshield_protocol::ids::Round;
use zeroize::Zeroizing;

use super::round_keys::SLOTS;
use super::{SecretStore, SecretStoreError};
use crate::durable::{self, DiskError};

const PREFIX: &str = "wrapped-";
/// Names of earlier versions, which encrypted the secrets of rounds under the store's key.
const OLD_KEY: &str = "sealing-";
const OLD_SECRET: &str = "round-";

/// The name of a round's sealing key among its secrets.
pub(crate) const SEALING_KEY: &str = "sealing-key";

impl SecretStore {
    /// Stores `secret` as `name` until the secrets of `round` are erased; on disk when this
    /// returns; replaces an older one.
    ///
    /// # Errors
    /// Any of [`SecretStoreError`].
    pub fn put_in_round(
        &self,
        round: Round,
        name: &str,
        secret: &[u8],
    ) -> Result<(), SecretStoreError> {
        let name = wrapped(round, name);
        let path = self.path(&name)?;
        let key = self.rounds.get_or_make(round)?;
        let encrypted = key.encrypt(secret, name.as_bytes())?;
        Ok(durable::replace(&path, &encrypted)?)
    }

    /// The secret of `round` called `name`, if it has not been erased.
    ///
    /// # Errors
    /// Any of [`SecretStoreError`].
    pub fn get_in_round(
        &self,
        round: Round,
        name: &str,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, SecretStoreError> {
        let name = wrapped(round, name);
        let path = self.path(&name)?;
        let Some(key) = self.rounds.get(round)? else { return Ok(None) };
        let Some(encrypted) = durable::read_if_present(&path, super::secrets::LIMIT_BYTES)? else {
            return Ok(None);
        };
        match key.decrypt(&encrypted, name.as_bytes()) {
            Ok(plain) => Ok(Some(plain)),
            Err(_) => Err(SecretStoreError::Damaged { path }),
        }
    }

    /// Where the secret of `round` called `name` is, for messages.
    #[must_use]
    pub fn file_in_round(&self, round: Round, name: &str) -> std::path::PathBuf {
        self.file(&wrapped(round, name))
    }

    /// Erases the secrets of `round` and of all rounds before it.
    ///
    /// # Errors
    /// A disk error. What was erased before it is unreadable all the same.
    pub fn erase_rounds_up_to(&self, round: Round) -> Result<(), SecretStoreError> {
        self.rounds.erase(|of| of <= round)?;
        self.remove_erased()
    }

    /// Erases the secrets of all rounds.
    ///
    /// # Errors
    /// A disk error.
    pub fn erase_all_rounds(&self) -> Result<(), SecretStoreError> {
        self.rounds.erase(|_| true)?;
        self.remove_erased()
    }

    /// Removes files whose key has been erased.
    pub(super) fn remove_erased(&self) -> Result<(), SecretStoreError> {
        let kept = self.rounds.rounds()?;
        for name in self.names(PREFIX)? {
            let round = round_of(&name, PREFIX);
            if round.is_none_or(|round| !kept.contains(&round)) {
                let path = self.path(&name)?;
                match std::fs::remove_file(&path) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(DiskError::at(&path, error).into());
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Wraps secrets that an earlier version left for rounds that have not been settled. Each old
    /// file is overwritten and removed once the new one is written, so a crash in between repeats
    /// the step.
    pub(super) fn wrap_old(&self) -> Result<(), SecretStoreError> {
        let mut old: Vec<(Round, String, String)> = Vec::new();
        for name in self.names(OLD_KEY)? {
            if let Some(round) = round_of(&name, OLD_KEY) {
                old.push((round, name, SEALING_KEY.to_owned()));
            }
        }
        for name in self.names(OLD_SECRET)? {
            if let Some(round) = round_of(&name, OLD_SECRET) {
                let what = name.splitn(3, '-').nth(2).unwrap_or_default().to_owned();
                old.push((round, name, what));
            }
        }
        old.sort();
        let mut rounds: Vec<Round> = old.iter().map(|(round, ..)| *round).collect();
        rounds.dedup();
        // Only the newest rounds: secrets of earlier ones are not needed any more.
        let first = rounds.len().saturating_sub(SLOTS / 2);
        for (round, name, what) in &old {
            if rounds.get(first).is_some_and(|first| round >= first)
                && let Some(secret) = self.get(name)?
            {
                self.put_in_round(*round, what, &secret)?;
            }
            self.erase(name)?;
        }
        Ok(())
    }
}

fn wrapped(round: Round, name: &str) -> String {
    format!("{PREFIX}{round}-{name}")
}

/// The round in `<prefix><round>` or `<prefix><round>-<rest>`.
fn round_of(name: &str, prefix: &str) -> Option<Round> {
    let rest = name.strip_prefix(prefix)?;
    rest.split('-').next()?.parse().ok().map(Round)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Identity, Protection};

    fn store(folder: &std::path::Path) -> SecretStore {
        let path = folder.join("identity.key");
        let identity = if path.exists() {
            Identity::open(&path, None).unwrap()
        } else {
            Identity::create(&path, &Protection::None).unwrap()
        };
        SecretStore::open(&folder.join("secrets"), &identity).unwrap()
    }

    #[test]
    fn the_secrets_of_a_round_end_with_its_key_whatever_copies_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = store(folder.path());
        secrets.put_in_round(Round(4), "share-1", b"a share").unwrap();
        secrets.put_in_round(Round(5), "share-1", b"the next").unwrap();
        let name = secrets.file_in_round(Round(4), "share-1");
        let copy = std::fs::read(&name).unwrap();
        secrets.erase_rounds_up_to(Round(4)).unwrap();
        assert!(!name.exists());
        std::fs::write(&name, copy).unwrap();
        assert_eq!(secrets.get_in_round(Round(4), "share-1").unwrap(), None);
        // A second key for the same round opens nothing encrypted under the first.
        secrets.put_in_round(Round(4), "other", b"x").unwrap();
        let opened = secrets.get_in_round(Round(4), "share-1");
        assert!(matches!(opened, Err(SecretStoreError::Damaged { .. })));
        let next = secrets.get_in_round(Round(5), "share-1").unwrap().unwrap();
        assert_eq!(next.as_slice(), b"the next");
        secrets.erase_all_rounds().unwrap();
        assert_eq!(secrets.names(PREFIX).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_an_earlier_version_kept_is_wrapped_at_the_first_start() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = store(folder.path());
        secrets.put("sealing-00000000000000000006", b"a key").unwrap();
        secrets.put("round-6-deal-2", b"an opening").unwrap();
        secrets.put("round-5-sent", b"not settled yet").unwrap();
        secrets.put("local-memory", b"stays").unwrap();
        let secrets = store(folder.path());
        let get = |round, name| secrets.get_in_round(Round(round), name).unwrap();
        assert_eq!(get(6, SEALING_KEY).unwrap().as_slice(), b"a key");
        assert_eq!(get(6, "deal-2").unwrap().as_slice(), b"an opening");
        assert_eq!(get(5, "sent").unwrap().as_slice(), b"not settled yet");
        assert!(secrets.names(OLD_KEY).unwrap().is_empty());
        assert!(secrets.names(OLD_SECRET).unwrap().is_empty());
        assert_eq!(secrets.get("local-memory").unwrap().unwrap().as_slice(), b"stays");
    }
}
