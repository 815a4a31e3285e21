//! This member's sealing keys on disk: one for each round, erased when their round is over.

use fedshield_he::{SEALING_SECRET_LEN, SealingKeyPair};
use fedshield_protocol::ids::Round;

use crate::identity::{SecretStore, SecretStoreError};

const PREFIX: &str = "sealing-";

/// The key pair that `round` was the first round of, if it is still here.
pub(crate) fn load(
    secrets: &SecretStore,
    round: Round,
) -> Result<Option<SealingKeyPair>, SecretStoreError> {
    let Some(bytes) = secrets.get(&name(round))? else { return Ok(None) };
    Ok(<&[u8; SEALING_SECRET_LEN]>::try_from(bytes.as_slice())
        .ok()
        .map(SealingKeyPair::from_secret))
}

/// The key pair of the first round, made at the first start; its public half stands in the manifest.
pub(crate) fn first(
    secrets: &SecretStore,
    rng: &mut impl rand::CryptoRng,
) -> Result<SealingKeyPair, SecretStoreError> {
    let first = Round(0);
    if let Some(pair) = load(secrets, first)? {
        return Ok(pair);
    }
    let pair = SealingKeyPair::generate(rng);
    store(secrets, first, &pair)?;
    Ok(pair)
}

/// All key pairs for `round` and before, newest first.
pub(crate) fn load_up_to(
    secrets: &SecretStore,
    round: Round,
) -> Result<Vec<SealingKeyPair>, SecretStoreError> {
    let mut pairs = Vec::new();
    for stored in rounds(secrets)?.into_iter().rev().filter(|stored| *stored <= round) {
        pairs.extend(load(secrets, stored)?);
    }
    Ok(pairs)
}

/// Stores a key pair, sealed.
pub(crate) fn store(
    secrets: &SecretStore,
    round: Round,
    pair: &SealingKeyPair,
) -> Result<(), SecretStoreError> {
    secrets.put(&name(round), pair.secret().as_slice())
}

/// Erases what boxes of `round` and before were sealed to, except the newest key: others may know no newer one.
pub(crate) fn retire(secrets: &SecretStore, round: Round) -> Result<(), SecretStoreError> {
    let stored = rounds(secrets)?;
    let Some(newest) = stored.last().copied() else { return Ok(()) };
    for old in stored.into_iter().filter(|old| *old <= round && *old != newest) {
        secrets.erase(&name(old))?;
    }
    Ok(())
}

fn name(round: Round) -> String {
    // Padded, so that names sort by round.
    format!("{PREFIX}{:020}", round.0)
}

fn rounds(secrets: &SecretStore) -> Result<Vec<Round>, SecretStoreError> {
    let names = secrets.names(PREFIX)?;
    let mut rounds: Vec<Round> = names
        .iter()
        .filter_map(|name| name.strip_prefix(PREFIX)?.parse().ok().map(Round))
        .collect();
    rounds.sort_unstable();
    Ok(rounds)
}
