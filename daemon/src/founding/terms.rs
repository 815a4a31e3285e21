//! The digest of an offer, which organisations compare before they join, and the members' entries
//! in a draft.

use fedshield_protocol::ids::Digest;
use fedshield_protocol::manifest::{Draft, Member, Offer, Terms, UncheckedDraft, Weights};

use super::FoundingError;
use crate::jobs::PipelineError;

/// The digest that organisations compare before joining: of the terms with base model and founding
/// id, without the members.
#[must_use]
pub fn terms_digest(offer: &Offer) -> Digest {
    // Encoding valid terms cannot fail.
    let bytes = offer.canonical_bytes().unwrap_or_default();
    Digest(blake3::derive_key("fedshield v1 terms", &bytes))
}

/// A draft as the owner has sent it, once its terms are checked.
///
/// # Errors
/// [`FoundingError::Terms`] names the field that is wrong.
pub(super) fn checked(draft: UncheckedDraft) -> Result<Draft, FoundingError> {
    let refused = |error| FoundingError::Terms { error: PipelineError::Terms(error), own: false };
    draft.check().map_err(refused)
}

/// Why a member's weight is not allowed in a draft.
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
pub(super) fn check_weight(terms: &Terms, member: &Member) -> Result<(), EntryError> {
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

/// This node's entry for a draft of these terms.
pub(super) fn own_entry(terms: &Terms, own: Member) -> Result<Member, FoundingError> {
    let own = terms.entry_for(own);
    own.check().map_err(|error| FoundingError::Request(error.to_string()))?;
    check_weight(terms, &own).map_err(|error| FoundingError::Request(error.to_string()))?;
    Ok(own)
}

#[cfg(test)]
mod tests {
    use fedshield_fixtures::manifest;
    use fedshield_protocol::manifest::Manifest;

    use super::*;

    /// A faulty owner sends terms that an honest owner's program would refuse.
    #[test]
    fn terms_of_a_faulty_owner_are_refused_by_the_name_of_the_field() {
        let draft = UncheckedDraft::from_form(Manifest { rounds: 0, ..manifest(1) });
        let error = checked(draft).unwrap_err().to_string();
        assert!(error.contains("`rounds` is 0"), "{error}");
        assert!(checked(UncheckedDraft::from_form(manifest(1))).is_ok());
    }
}
