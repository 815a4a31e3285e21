//! Partial decryptions that cannot be read: the sum opens without them if enough others answer, and
//! their senders are named.

use std::collections::BTreeMap;

use fedshield_protocol::ids::{MemberIndex, Round};

use crate::control::api::{Condition, Severity};
use crate::jobs::ParsedPartial;

/// The condition's name.
pub(super) const UNREADABLE_PARTIALS: &str = "partials-unreadable";

/// Members whose partial decryptions could not be read since the start of this node.
#[derive(Debug, Default)]
pub(super) struct UnreadablePartials(BTreeMap<MemberIndex, Unreadable>);

#[derive(Debug)]
struct Unreadable {
    /// The last round in which it happened, and why.
    last: Round,
    reason: String,
    /// In how many rounds.
    rounds: u64,
    /// True once a later one was readable.
    over: bool,
}

impl UnreadablePartials {
    /// The partial decryptions of a round were parsed, perhaps not for the first time. Returns the
    /// members newly found to have sent unreadable ones.
    pub(super) fn note(&mut self, round: Round, parsed: &[ParsedPartial]) -> Vec<MemberIndex> {
        let mut news = Vec::new();
        for (member, rejected) in parsed {
            match (self.0.get_mut(member), rejected) {
                (None, None) => {}
                (Some(known), None) => known.over |= round > known.last,
                (Some(known), Some(_)) if known.last == round => {}
                (Some(known), Some(reason)) => {
                    *known = Unreadable {
                        last: round,
                        reason: reason.clone(),
                        rounds: known.rounds.saturating_add(1),
                        over: false,
                    };
                    news.push(*member);
                }
                (None, Some(reason)) => {
                    let reason = reason.clone();
                    let first = Unreadable { last: round, reason, rounds: 1, over: false };
                    self.0.insert(*member, first);
                    news.push(*member);
                }
            }
        }
        news
    }

    /// The number of such rounds for each member, by name.
    pub(super) fn counts(&self, names: &[String]) -> BTreeMap<String, u64> {
        let count = |(member, it): (&MemberIndex, &Unreadable)| (name(names, *member), it.rounds);
        self.0.iter().map(count).collect()
    }

    /// The condition for the operator, if any.
    pub(super) fn condition(&self, names: &[String]) -> Option<Condition> {
        let line = |(member, it): (&MemberIndex, &Unreadable)| {
            let Unreadable { last, reason, rounds, .. } = it;
            let member = name(names, *member);
            format!("{member} in round {last} ({reason}), {rounds} in all")
        };
        let open: Vec<String> = self.0.iter().filter(|(_, it)| !it.over).map(line).collect();
        if open.is_empty() {
            return None;
        }
        let text = format!("partial decryptions that cannot be read: {}", open.join("; "));
        Some(Condition::new(UNREADABLE_PARTIALS, Severity::Warning, text).with_hint(
            "the sum opens without them if enough other members answer; ask the operator of that member for the version of \
             its program and for its log",
        ))
    }
}

fn name(names: &[String], member: MemberIndex) -> String {
    names.get(member.position()).cloned().unwrap_or_else(|| member.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVE: MemberIndex = MemberIndex(1);

    #[test]
    fn a_sender_is_named_once_a_round_until_a_later_one_is_readable() {
        let names = ["ada", "eve"].map(str::to_owned);
        let mut unreadable = UnreadablePartials::default();
        let good = [(MemberIndex(0), None), (EVE, None)];
        let bad = [(MemberIndex(0), None), (EVE, Some("it ends early".to_owned()))];
        assert_eq!(unreadable.note(Round(0), &good), []);
        assert_eq!(unreadable.condition(&names), None);
        assert_eq!(unreadable.note(Round(1), &bad), [EVE]);
        assert_eq!(unreadable.note(Round(1), &bad), [], "the same job with one answer more");
        assert_eq!(unreadable.note(Round(2), &bad), [EVE]);
        let message = unreadable.condition(&names).unwrap().message;
        assert!(message.contains("eve in round 2 (it ends early), 2 in all"), "{message}");
        assert!(!message.contains("ada"), "{message}");
        assert_eq!(unreadable.note(Round(3), &good), []);
        assert_eq!(unreadable.condition(&names), None);
        assert_eq!(unreadable.counts(&names), BTreeMap::from([("eve".to_owned(), 2)]));
    }
}
