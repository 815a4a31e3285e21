//! What makes a manifest valid: its terms (`terms`), the numbers that follow from the count of
//! members, and the list of members. Errors name the field, its value and what to do.

mod field;
mod terms;

use std::collections::BTreeSet;

use super::rules::{Rules, least_committee};
use super::{Manifest, Member, ServerOptimizer, TermsFields, Weights};
use crate::limits::{
    MAX_ADDRESS_BYTES, MAX_ADDRESSES, MAX_MEMBERS, MAX_NAME_BYTES, MAX_ROUNDS,
    MAX_SEALING_KEY_BYTES, MIN_MEMBERS,
};
use crate::sign::is_usable_key;
use field::{above_zero, between, fraction, text, wrong};
use terms::{check_adapter, check_deadlines, check_pruning, check_stop, check_training};

/// One thing that is wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("manifest: `{field}` is {value}: {remedy}")]
pub struct ManifestError {
    /// The field, as in the TOML file.
    pub field: String,
    /// What it says.
    pub value: String,
    /// What it should say.
    pub remedy: String,
}

/// What one check finds.
pub(super) type Checked = Result<(), ManifestError>;

/// Checks everything, in the order of the fields.
pub(super) fn check(manifest: &Manifest) -> Result<Rules, ManifestError> {
    let rules = Rules::of(manifest);
    check_terms(&TermsFields::of(manifest))?;
    check_counts(manifest, &rules)?;
    check_members(&manifest.members)?;
    check_weights(manifest)?;
    Ok(rules)
}

/// Checks what holds whoever the members will be, in the order of the fields: all but the list of
/// members and the two numbers that depend on its length.
pub(super) fn check_terms(terms: &TermsFields) -> Checked {
    text("name", &terms.name, MAX_NAME_BYTES)?;
    between("rounds", terms.rounds, 1, MAX_ROUNDS)?;
    between("weight_cap", u64::from(terms.weight_cap), 1, 1 << 24)?;
    if let Some(date) = &terms.template_date {
        text("template_date", date, MAX_NAME_BYTES)?;
    }
    if let Some(stop) = &terms.stop {
        check_stop(stop, terms.evaluation)?;
    }
    check_adapter(&terms.adapter)?;
    check_training(&terms.training)?;
    check_pruning(&terms.pruning)?;
    text("encryption.preset", &terms.encryption.preset, MAX_NAME_BYTES)?;
    above_zero("encryption.clip", terms.encryption.clip)?;
    match terms.server_optimizer {
        ServerOptimizer::Plain { rate } => above_zero("server_optimizer.plain.rate", rate)?,
        ServerOptimizer::Momentum { rate, momentum } => {
            above_zero("server_optimizer.momentum.rate", rate)?;
            fraction("server_optimizer.momentum.momentum", momentum)?;
        }
        ServerOptimizer::Nesterov { rate, momentum } => {
            above_zero("server_optimizer.nesterov.rate", rate)?;
            fraction("server_optimizer.nesterov.momentum", momentum)?;
        }
        ServerOptimizer::Adam { rate, beta1, beta2, epsilon } => {
            above_zero("server_optimizer.adam.rate", rate)?;
            fraction("server_optimizer.adam.beta1", beta1)?;
            fraction("server_optimizer.adam.beta2", beta2)?;
            above_zero("server_optimizer.adam.epsilon", epsilon)?;
        }
    }
    check_deadlines(&terms.deadlines)
}

/// Checks the two numbers that may be left open, as far as it can be said before the count of
/// members is known.
pub(super) fn check_open_numbers(terms: &TermsFields) -> Checked {
    for (field, number, least) in [
        ("min_contributors", terms.min_contributors, MIN_MEMBERS),
        ("committee_size", terms.committee_size, 1),
    ] {
        if let Some(number) = number.filter(|number| !(least..=MAX_MEMBERS).contains(number)) {
            let remedy = format!(
                "leave it out for the usual number of the final count of members, or take {least} to {MAX_MEMBERS}"
            );
            return wrong(field, number, remedy);
        }
    }
    Ok(())
}

fn check_counts(manifest: &Manifest, rules: &Rules) -> Checked {
    let n = rules.member_count;
    if n < MIN_MEMBERS {
        return wrong(
            "members",
            format!("a list of {n}"),
            "take at least three members: with two, each can subtract its own update from the sum",
        );
    }
    if n > MAX_MEMBERS {
        return wrong(
            "members",
            format!("a list of {n}"),
            format!("at most {MAX_MEMBERS} members"),
        );
    }
    let least = Rules::least_contributors(n);
    if !(least..=n).contains(&manifest.min_contributors) {
        return wrong(
            "min_contributors",
            manifest.min_contributors,
            format!(
                "for {n} members take {least} to {n}; {} is usual",
                Rules::default_contributors(n)
            ),
        );
    }
    let least = least_committee(n);
    if !(least..=n).contains(&manifest.committee_size) {
        return wrong(
            "committee_size",
            manifest.committee_size,
            format!(
                "for {n} members take {least} to {n}; {} is usual",
                Rules::default_committee(n)
            ),
        );
    }
    Ok(())
}

fn check_members(members: &[Member]) -> Checked {
    let mut names = BTreeSet::new();
    let mut keys = BTreeSet::new();
    for (i, member) in members.iter().enumerate() {
        let field = |name: &str| format!("members[{i}].{name}");
        check_member(&format!("members[{i}]"), member)?;
        if !names.insert(&member.name) {
            return wrong(
                field("name"),
                &member.name,
                "another member has this name; take another",
            );
        }
        if !keys.insert(member.identity_key) {
            return wrong(
                field("identity_key"),
                member.identity_key,
                "another member has this key; each organisation needs its own (`init`)",
            );
        }
    }
    Ok(())
}

/// Checks what holds for a member whoever the others are; `place` is the prefix of its fields'
/// names.
pub(super) fn check_member(place: &str, member: &Member) -> Checked {
    let field = |name: &str| format!("{place}.{name}");
    text(&field("name"), &member.name, MAX_NAME_BYTES)?;
    if !is_usable_key(&member.identity_key) {
        return wrong(field("identity_key"), member.identity_key, "not an ed25519 public key");
    }
    let length = member.sealing_key.len();
    if length == 0 || length > MAX_SEALING_KEY_BYTES {
        return wrong(
            field("sealing_key"),
            format!("{length} bytes long"),
            format!("take 1 to {MAX_SEALING_KEY_BYTES} bytes, as `init` prints them"),
        );
    }
    if member.addresses.len() > MAX_ADDRESSES {
        return wrong(
            field("addresses"),
            format!("a list of {}", member.addresses.len()),
            format!("at most {MAX_ADDRESSES}, the most useful first"),
        );
    }
    for (k, address) in member.addresses.iter().enumerate() {
        text(&field(&format!("addresses[{k}]")), address, MAX_ADDRESS_BYTES)?;
    }
    Ok(())
}

fn check_weights(manifest: &Manifest) -> Checked {
    for (i, member) in manifest.members.iter().enumerate() {
        let field = format!("members[{i}].weight");
        match manifest.weights {
            Some(Weights::Declared) => {
                between(&field, u64::from(member.weight), 1, u64::from(manifest.weight_cap))?;
            }
            Some(Weights::Equal) | None if member.weight != 1 => {
                let remedy = "leave it out, or take `weights = \"declared\"`";
                return wrong(field, member.weight, remedy);
            }
            Some(Weights::Equal) | None => {}
        }
    }
    Ok(())
}
