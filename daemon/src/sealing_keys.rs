//! This member's sealing keys on disk: one for each round, which ends with the other secrets of the round; before the first
//! round one for each draft, erased when the draft is left, so that nothing sealed under a draft that was left can be opened.

use fedshield_he::{SEALING_SECRET_LEN, SealingKeyPair};
use fedshield_protocol::ids::{Digest, Round};

use crate::identity::{SEALING_KEY, SecretStore, SecretStoreError};
use zeroize::Zeroizing;

const DRAFT: &str = "draft-";
const FIRST: Round = Round(0);

/// The key pair of `round`, if it is still here.
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

/// The key pair for the first round of the draft with this founding id, if it has one here.
pub(crate) fn of_draft(
    secrets: &SecretStore,
    founding_id: &Digest,
) -> Result<Option<SealingKeyPair>, SecretStoreError> {
    Ok(secrets.get(&draft(founding_id))?.as_ref().and_then(pair))
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
            secrets.erase_rounds_up_to(FIRST)
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

/// Stores a key pair, sealed.
pub(crate) fn store(
    secrets: &SecretStore,
    round: Round,
    pair: &SealingKeyPair,
) -> Result<(), SecretStoreError> {
    secrets.put_in_round(round, SEALING_KEY, pair.secret().as_slice())
}
