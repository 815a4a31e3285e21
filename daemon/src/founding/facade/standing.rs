//! The state of a frozen list: who has confirmed it, who has not, since when, and what operators
//! should do about it.

use super::{State, now_s};
use crate::conditions::date_and_clock;
use crate::control::api::{Condition, Severity};

/// Most differences that one condition lists; `federation show` lists all of them.
const MAX_LISTED: usize = 6;

impl State {
    /// When the list became final, in seconds since 1970, if known.
    pub(super) fn frozen_at_s(&self) -> Option<u64> {
        match (&self.owner, &self.joiner) {
            (Some(owner), _) => owner.kept.frozen.as_ref()?.at_s,
            (None, Some(joiner)) => joiner.joining.frozen()?.since_s,
            (None, None) => None,
        }
    }

    /// The list waits for this node's operator, or was signed by a version that asked for no
    /// confirmation.
    pub(super) fn unconfirmed(&self) -> Option<Condition> {
        let (name, frozen, confirmed, out) = match (&self.founded, &self.owner, &self.joiner) {
            (Some(_), ..) | (None, None, None) => return None,
            (None, Some(owner), _) => {
                let out = "`federation drop NAME` or `federation abandon`";
                let name = &owner.kept.draft.offer.terms.name;
                (name, owner.kept.frozen.is_some(), owner.has_signed(), out)
            }
            (None, None, Some(joiner)) => {
                let frozen = joiner.joining.frozen().is_some();
                let out = "`federation reject`";
                (&joiner.joining.accepted.terms.name, frozen, joiner.is_confirmed(), out)
            }
        };
        let (text, then) = match (frozen, confirmed, self.frozen_at_s()) {
            (true, false, _) => (
                format!(
                    "the list of members of `{name}` is final and waits for this node's operator \
                     to confirm it ({})",
                    self.since()
                ),
                ", then `fedshield-cli federation confirm`",
            ),
            (true, true, None) => (
                format!(
                    "an earlier version of the program has signed the list of members of `{name}` here, and nobody was asked"
                ),
                "",
            ),
            _ => return None,
        };
        let hint = format!(
            "compare the 24 words of `fedshield-cli members` with the other organisations{then}; if the list is wrong: {out}"
        );
        Some(Condition::new("list-unconfirmed", Severity::Warning, text).with_hint(hint))
    }

    /// The list, or the open draft, differs from what was expected or confirmed.
    pub(super) fn differs(&self) -> Option<Condition> {
        let joiner = self.joiner.as_ref().filter(|_| self.founded.is_none())?;
        let strangers = joiner.strangers();
        if !strangers.is_empty() {
            let text =
                format!("the draft is not as it was expected: {}", first_sentences(&strangers));
            return Some(Condition::new("list-differs", Severity::Warning, text).with_hint(
                "tell its owner; this node confirms no other list by itself than the expected one",
            ));
        }
        let differences = joiner.differences();
        if differences.is_empty() || joiner.is_confirmed() {
            return None;
        }
        let text = format!(
            "the list of members is not the expected one: {}",
            first_sentences(&differences)
        );
        Some(Condition::new("list-differs", Severity::Warning, text).with_hint(
            "ask the organisations that are named; if the list is right all the same, compare its phrase and `federation \
             confirm`, otherwise `federation reject`",
        ))
    }

    /// Which members the draft waits for, to confirm it or to rejoin it.
    pub(super) fn waits(&self) -> Option<Condition> {
        if self.founded.is_some() {
            return None;
        }
        let condition = |text: String| Condition::new("founding-waits", Severity::Notice, text);
        if let Some(owner) = &self.owner {
            if owner.kept.frozen.is_some() {
                let missing = owner.missing_with_reasons(now_s()).join(", ");
                return Some(condition(self.waits_for(&missing)).with_hint(
                    "each confirms with `fedshield-cli federation confirm`; one that never comes back: `federation drop \
                     NAME` opens the draft again",
                ));
            }
            let returning: Vec<&str> =
                owner.kept.returning.iter().map(|member| member.name.as_str()).collect();
            return (!returning.is_empty()).then(|| {
                condition(format!(
                    "the draft was opened again and waits for {} to come back to it",
                    returning.join(", ")
                ))
                .with_hint("they come by themselves when they reach this node; then `federation found` again")
            });
        }
        let joiner = self.joiner.as_ref().filter(|it| it.joining.frozen().is_some())?;
        let text = match self.missing_elsewhere() {
            Some(missing) if !missing.is_empty() => self.waits_for(&missing.join(", ")),
            Some(_) if !joiner.is_confirmed() => return None,
            _ if joiner.is_confirmed() => format!(
                "this node has confirmed the list of members; its owner {} has not said yet who has not",
                joiner.owner_name()
            ),
            _ => return None,
        };
        Some(condition(text).with_hint("`federation leave` ends the wait for this node"))
    }

    /// Names of the other members of the list that have not confirmed it, if the owner has named
    /// them.
    fn missing_elsewhere(&self) -> Option<Vec<String>> {
        let joiner = self.joiner.as_ref()?;
        let missing = joiner.missing.as_ref()?;
        let me = joiner.joining.own.identity_key;
        let members = joiner.joining.members().iter();
        let others = members.filter(|it| it.identity_key != me && missing.contains(&it.name));
        Some(others.map(|member| member.name.clone()).collect())
    }

    fn waits_for(&self, names: &str) -> String {
        format!("the founding waits for {names} to confirm the list of members ({})", self.since())
    }

    fn since(&self) -> String {
        let since = self.frozen_at_s().map(|at| format!("since {}, ", date_and_clock(at)));
        since.unwrap_or_default() + "without a deadline"
    }
}

/// The first [`MAX_LISTED`] of these sentences, and the number of the others.
fn first_sentences(sentences: &[String]) -> String {
    let (first, more) = sentences.split_at(sentences.len().min(MAX_LISTED));
    let rest = if more.is_empty() {
        String::new()
    } else {
        format!("; and {} more (`federation show`)", more.len())
    };
    first.join("; ") + &rest
}
