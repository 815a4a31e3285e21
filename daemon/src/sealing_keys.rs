//! This member's sealing keys on disk: one for each round, erased with the other secrets of the
//! round; before the first round one for each draft, erased when the draft is left, so that nothing
//! sealed under that draft can be opened.

use fedshield_he::{SEALING_SECRET_LEN, SealingKeyPair};
use fedshield_protocol::ids::{Digest, Round};

use crate::identity::{SEALING_KEY, SecretStore, SecretStoreError};
use zeroize::Zeroizing;

const DRAFT: &str = "draft-";
const FIRST: Round = Round(0);

/// The key pair of `round`, if it is still stored.
pub(crate) fn load(
    secrets: &SecretStore,
    round: Round,
) -> Result<Option<SealingKeyPair>, SecretStoreError> {
    Ok(secrets.get_in_round(round, SEALING_KEY)?.as_ref().and_then(pair))
}

fn pair(bytes: &Zeroizing<Vec<u8>>) -> Option<SealingKeyPair> {
    let secret = <&[u8; SEALING_SECRET_LEN]>::try_from(bytes.as_slice()).ok()?;
    Some(SealingKeyPair::from_secret(secret))
}

/// The key pair for the first round of the draft with this founding id, if one is stored.
pub(crate) fn of_draft(
    secrets: &SecretStore,
    founding_id: &Digest,
) -> Result<Option<SealingKeyPair>, SecretStoreError> {
    Ok(secrets.get(&draft(founding_id))?.as_ref().and_then(pair))
}

/// Generates a key pair for the first round of a draft, stored when this returns; the draft
/// contains its public key.
pub(crate) fn new_for_draft(
    secrets: &SecretStore,
    founding_id: &Digest,
    rng: &mut impl rand::CryptoRng,
) -> Result<SealingKeyPair, SecretStoreError> {
    let pair = SealingKeyPair::generate(rng);
    secrets.put(&draft(founding_id), pair.secret().as_slice())?;
    Ok(pair)
}

/// Makes the draft's key pair that of the first round: the draft is about to be founded. The
/// draft's copy stays until [`erase_drafts`], so that this can be repeated after a crash. Does
/// nothing if `public` is not its public key.
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

/// Makes the first round's key pair that of this draft, if `public` is its public key: homes of
/// earlier versions had one first key for all drafts. Also reverts a [`promote`] before a crash.
pub(crate) fn demote(
    secrets: &SecretStore,
    founding_id: &Digest,
    public: &[u8],
) -> Result<(), SecretStoreError> {
    match load(secrets, FIRST)? {
        Some(pair) if pair.public().to_bytes() == public => {
            secrets.put(&draft(founding_id), pair.secret().as_slice())?;
            secrets.erase_rounds_up_to(FIRST)
        }
        _ => Ok(()),
    }
}

/// Erases the key of one draft, if it is stored.
pub(crate) fn erase_draft(
    secrets: &SecretStore,
    founding_id: &Digest,
) -> Result<(), SecretStoreError> {
    secrets.erase(&draft(founding_id))
}

/// Erases the keys of all drafts except `keep`.
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

/// Stores a key pair, sealed.
pub(crate) fn store(
    secrets: &SecretStore,
    round: Round,
    pair: &SealingKeyPair,
) -> Result<(), SecretStoreError> {
    secrets.put_in_round(round, SEALING_KEY, pair.secret().as_slice())
}
