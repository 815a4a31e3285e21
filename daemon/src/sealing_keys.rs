//! This member's sealing keys on disk: one for each round, erased when their round is over; before the first round one
//! for each draft, erased when the draft is left, so that nothing sealed under a draft that was left can be opened.

use fedshield_he::{SEALING_SECRET_LEN, SealingKeyPair};
use fedshield_protocol::ids::{Digest, Round};

use crate::identity::{SecretStore, SecretStoreError};

const PREFIX: &str = "sealing-";
const DRAFT: &str = "draft-";
const FIRST: Round = Round(0);

/// The key pair that `round` was the first round of, if it is still here.
pub(crate) fn load(
    secrets: &SecretStore,
    round: Round,
) -> Result<Option<SealingKeyPair>, SecretStoreError> {
    read(secrets, &name(round))
}

fn read(secrets: &SecretStore, name: &str) -> Result<Option<SealingKeyPair>, SecretStoreError> {
    let Some(bytes) = secrets.get(name)? else { return Ok(None) };
    Ok(<&[u8; SEALING_SECRET_LEN]>::try_from(bytes.as_slice())
        .ok()
        .map(SealingKeyPair::from_secret))
}

/// The key pair for the first round of the draft with this founding id, if it has one here.
pub(crate) fn of_draft(
    secrets: &SecretStore,
    founding_id: &Digest,
) -> Result<Option<SealingKeyPair>, SecretStoreError> {
    read(secrets, &draft(founding_id))
}

/// A fresh key pair for the first round of a draft, kept when this returns; its public half stands in the draft.
pub(crate) fn new_for_draft(
    secrets: &SecretStore,
    founding_id: &Digest,
    rng: &mut impl rand::CryptoRng,
) -> Result<SealingKeyPair, SecretStoreError> {
    let pair = SealingKeyPair::generate(rng);
    secrets.put(&draft(founding_id), pair.secret().as_slice())?;
    Ok(pair)
}

/// Makes the draft's key pair that of the first round: the draft is about to be founded. The draft's copy stays until
/// [`erase_drafts`], so that a crash in between repeats this. Does nothing if the pair is not the one of `public`.
pub(crate) fn promote(
    secrets: &SecretStore,
    founding_id: &Digest,
    public: &[u8],
) -> Result<(), SecretStoreError> {
    match of_draft(secrets, founding_id)? {
        Some(pair) if pair.public().to_bytes() == public => store(secrets, FIRST, &pair),
        _ => Ok(()),
    }
}

/// Homes of earlier versions had one first key for all drafts: makes it that of this draft, if `public` is its public half.
/// Also takes back what [`promote`] did before a crash.
pub(crate) fn demote(
    secrets: &SecretStore,
    founding_id: &Digest,
    public: &[u8],
) -> Result<(), SecretStoreError> {
    match load(secrets, FIRST)? {
        Some(pair) if pair.public().to_bytes() == public => {
            secrets.put(&draft(founding_id), pair.secret().as_slice())?;
            secrets.erase(&name(FIRST))
        }
        _ => Ok(()),
    }
}

/// Erases the key of one draft, if it is here.
pub(crate) fn erase_draft(
    secrets: &SecretStore,
    founding_id: &Digest,
) -> Result<(), SecretStoreError> {
    secrets.erase(&draft(founding_id))
}

/// Erases the keys of all drafts but `keep`.
pub(crate) fn erase_drafts(
    secrets: &SecretStore,
    keep: Option<&Digest>,
) -> Result<(), SecretStoreError> {
    let kept = keep.map(draft);
    for name in secrets.names(DRAFT)? {
        if Some(&name) != kept.as_ref() {
            secrets.erase(&name)?;
        }
    }
    Ok(())
}

fn draft(founding_id: &Digest) -> String {
    format!("{DRAFT}{founding_id}")
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
