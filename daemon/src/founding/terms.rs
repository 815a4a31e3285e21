//! The terms: a manifest without its members. What a founder accepts, and what must come back to be signed.

use fedshield_protocol::hash::Use;
use fedshield_protocol::hidden::first_hidden;
use fedshield_protocol::ids::{Digest, IdentityKey};
use fedshield_protocol::limits::{
    MAX_ADDRESS_BYTES, MAX_ADDRESSES, MAX_NAME_BYTES, MAX_SEALING_KEY_BYTES,
};
use fedshield_protocol::manifest::{Manifest, Member, Rules, Weights};
use fedshield_protocol::sign::{Signature, verify_ed25519};

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

/// Why a member's entry cannot be in a draft.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum EntryError {
    #[error("{what} must have 1 to {limit} bytes and no space around")]
    Text { what: &'static str, limit: usize },
    #[error("{what} must not have {hidden}, a character that nobody sees")]
    Hidden { what: &'static str, hidden: String },
    #[error("a sealing key must have 1 to {MAX_SEALING_KEY_BYTES} bytes")]
    SealingKey,
    #[error("at most {MAX_ADDRESSES} addresses")]
    Addresses,
    #[error(
        "{name} declares a weight of {weight}, the terms allow 1 to {cap}: set `weight` in config.toml and start again"
    )]
    Weight { name: String, weight: u32, cap: u32 },
    #[error("{name} declares a weight of {weight}, but the terms say that weights are equal")]
    EqualWeights { name: String, weight: u32 },
}

/// Refuses a member entry that would keep the draft from ever becoming a valid manifest.
pub(super) fn check_member(member: &Member) -> Result<(), EntryError> {
    let text = |what: &'static str, value: &str, limit: usize| {
        if value.is_empty() || value.len() > limit || value.trim() != value {
            return Err(EntryError::Text { what, limit });
        }
        first_hidden(value)
            .map_or(Ok(()), |hidden| Err(EntryError::Hidden { what, hidden: hidden.to_string() }))
    };
    text("a member's name", &member.name, MAX_NAME_BYTES)?;
    if member.sealing_key.is_empty() || member.sealing_key.len() > MAX_SEALING_KEY_BYTES {
        return Err(EntryError::SealingKey);
    }
    if member.addresses.len() > MAX_ADDRESSES {
        return Err(EntryError::Addresses);
    }
    member.addresses.iter().try_for_each(|address| text("an address", address, MAX_ADDRESS_BYTES))
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
    check_member(&own)
        .and_then(|()| check_weight(terms, &own))
        .map_err(|error| FoundingError::Request(error.to_string()))?;
    Ok(own)
}

/// Whether `signature` is the founding signature of `key` over the manifest with this digest; the same bytes as
/// [`sign_founding`](fedshield_protocol::manifest::sign_founding) signs.
pub(super) fn is_founding_signature(
    key: &IdentityKey,
    manifest: &Digest,
    signature: &Signature,
) -> bool {
    let digest = Use::Signature.digest(&[b"founding", manifest.as_bytes()]);
    verify_ed25519(key, &digest, signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_character_that_nobody_sees_is_refused_before_it_is_shown() {
        let member = |name: &str| Member {
            name: name.into(),
            identity_key: IdentityKey([1; 32]),
            sealing_key: vec![1],
            addresses: vec!["/ip4/192.0.2.1/tcp/7000".into()],
            weight: 1,
        };
        assert_eq!(check_member(&member("Zürich 中心")), Ok(()));
        for (name, code) in
            [("a\u{1b}[2J", "U+001B"), ("a\u{202e}b", "U+202E"), ("a\u{200b}", "U+200B")]
        {
            let reason = check_member(&member(name)).unwrap_err().to_string();
            assert!(reason.contains(code) && !reason.contains(name), "{reason:?}");
        }
    }
}
