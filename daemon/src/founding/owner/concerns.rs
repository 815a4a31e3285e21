//! What an owner should know of the founders before it freezes the draft: which of them have
//! stopped asking, and which report that something keeps them from taking part. Kept in memory:
//! founders ask every other second, so a restarted owner soon knows.

use fedshield_protocol::hidden::harmless_line;
use fedshield_protocol::ids::IdentityKey;
use fedshield_protocol::manifest::Member;

use super::super::message::{MAX_PROBLEM_BYTES, MAX_PROBLEMS};
use super::super::moments::in_words;
use super::Owner;

/// A founder asks every second or two, and every thirty at the worst.
const SILENT_AFTER_S: u64 = 75;

/// When one founder asked last, and what it reported.
#[derive(Debug, Default)]
pub(super) struct Seen {
    at_s: u64,
    problems: Vec<String>,
}

impl Owner {
    /// Notes that a member has sent a request. Other holders of an invite are not noted, since
    /// their number is unbounded.
    pub(super) fn note_request(&mut self, from: &IdentityKey, now_s: u64) {
        if self.is_member(from) {
            self.seen.entry(*from).or_default().at_s = now_s;
        }
    }

    fn is_member(&self, key: &IdentityKey) -> bool {
        let mut members = self.kept.draft.members.iter().chain(&self.kept.returning);
        members.any(|member| member.identity_key == *key)
    }

    pub(super) fn note(&mut self, from: &IdentityKey, problems: Vec<String>) {
        let readable = |name: &String| {
            let name: String = harmless_line(name).chars().take(MAX_PROBLEM_BYTES).collect();
            name
        };
        if !self.is_member(from) {
            return;
        }
        self.seen.entry(*from).or_default().problems =
            problems.iter().take(MAX_PROBLEMS).map(readable).collect();
    }

    /// Why this founder may not be able to sign or to take part, as text for the operator.
    fn concern(&self, member: &Member, now_s: u64) -> Vec<String> {
        let name = &member.name;
        let Some(seen) = self.seen.get(&member.identity_key) else {
            return vec![format!(
                "no request from {name} has arrived since this daemon started: its daemon must be \
                 running to \
                 show the list to its operator"
            )];
        };
        let mut concerns = Vec::new();
        let silent = now_s.saturating_sub(seen.at_s);
        if silent > SILENT_AFTER_S {
            concerns.push(format!(
                "the last request from {name} arrived {} ago: its daemon must be running and \
                 reach this node to sign",
                in_words(silent)
            ));
        }
        if !seen.problems.is_empty() {
            concerns.push(format!(
                "{name} reports that it cannot take part now ({}): its `fedshield-cli doctor` \
                 shows details",
                seen.problems.join(", ")
            ));
        }
        concerns
    }

    /// The concerns about all founders but the owner.
    pub(in super::super) fn concerns(&self, now_s: u64) -> Vec<String> {
        let members = self.kept.draft.members.iter().chain(&self.kept.returning);
        members
            .filter(|member| member.identity_key != self.key)
            .flat_map(|member| self.concern(member, now_s))
            .collect()
    }

    /// Names of the members that have not signed, with the known reasons.
    pub(in super::super) fn missing_with_reasons(&self, now_s: u64) -> Vec<String> {
        let missing = self.kept.signatures().filter(|(_, signature)| signature.is_none());
        let missing = missing.map(|(member, _)| member);
        missing
            .map(|member| match self.seen.get(&member.identity_key) {
                _ if member.identity_key == self.key => "this node".to_owned(),
                None => format!("{} (no request since this daemon started)", member.name),
                Some(seen) if now_s.saturating_sub(seen.at_s) > SILENT_AFTER_S => {
                    format!("{} (no request for more than a minute)", member.name)
                }
                Some(seen) if !seen.problems.is_empty() => {
                    format!("{} (it reports {})", member.name, seen.problems.join(", "))
                }
                Some(_) => member.name.clone(),
            })
            .collect()
    }
}
