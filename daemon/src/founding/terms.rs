//! The terms: a manifest without its members. What a founder accepts, and what must come back to be signed.

use fedshield_protocol::ids::Digest;
use fedshield_protocol::manifest::{Manifest, Member, Rules, Weights};

use super::FoundingError;

/// A manifest without its members.
#[must_use]
pub fn terms_of(manifest: &Manifest) -> Manifest {
    Manifest { members: Vec::new(), ..manifest.clone() }
}

/// What people compare: the digest of the terms.
#[must_use]
pub fn terms_digest(manifest: &Manifest) -> Digest {
    // No manifest that was decoded fails to encode.
    let bytes = terms_of(manifest).canonical_bytes().unwrap_or_default();
    Digest(blake3::derive_key("fedshield v1 terms", &bytes))
}

/// The manifest with the two numbers that may be left open (0) in a draft, because they follow from the count of
/// members.
pub(super) fn resolved(draft: &Manifest) -> Manifest {
    let count = u16::try_from(draft.members.len()).unwrap_or(u16::MAX);
    let mut manifest = draft.clone();
    if manifest.min_contributors == 0 {
        manifest.min_contributors = Rules::default_contributors(count);
    }
    if manifest.committee_size == 0 {
        manifest.committee_size = Rules::default_committee(count);
    }
    manifest
}

/// Whether `manifest` is what was accepted in `terms`, with members added and open numbers filled in.
#[must_use]
pub fn same_terms(terms: &Manifest, manifest: &Manifest) -> bool {
    let accepted = Manifest { members: manifest.members.clone(), ..terms.clone() };
    resolved(&accepted) == *manifest
}

/// Why a weight cannot be in a draft.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum EntryError {
    #[error(
        "{name} declares a weight of {weight}, the terms allow 1 to {cap}: set `weight` in config.toml and start again"
    )]
    Weight { name: String, weight: u32, cap: u32 },
    #[error("{name} declares a weight of {weight}, but the terms say that weights are equal")]
    EqualWeights { name: String, weight: u32 },
}

/// Refuses a weight that these terms do not allow; all founders see the weights before they sign.
pub(super) fn check_weight(terms: &Manifest, member: &Member) -> Result<(), EntryError> {
    let (name, weight, cap) = (member.name.clone(), member.weight, terms.weight_cap);
    match terms.weights {
        Some(Weights::Declared) if !(1..=cap).contains(&weight) => {
            Err(EntryError::Weight { name, weight, cap })
        }
        Some(Weights::Equal) | None if weight != 1 => {
            Err(EntryError::EqualWeights { name, weight })
        }
        _ => Ok(()),
    }
}

/// This node's entry as it goes into a draft of these terms.
pub(super) fn own_entry(terms: &Manifest, own: Member) -> Result<Member, FoundingError> {
    let own = terms.entry_for(own);
    own.check().map_err(|error| FoundingError::Request(error.to_string()))?;
    check_weight(terms, &own).map_err(|error| FoundingError::Request(error.to_string()))?;
    Ok(own)
}
