//! Conditions for the operator during a founding, and after this node has left one.

use super::super::message::{Gone, How};
use super::super::partings::Why;
use super::State;
use crate::control::api::{Condition, Severity};

impl State {
    /// The conditions of the founding, by the names in
    /// [`FOUNDING_CONDITIONS`](super::super::FOUNDING_CONDITIONS).
    pub(super) fn conditions(&self) -> Vec<Condition> {
        let mut list = Vec::new();
        list.extend(self.unconfirmed());
        list.extend(self.differs());
        list.extend(self.waits());
        list.extend(self.departures());
        list.extend(self.remark.clone());
        if self.founded.is_none() && self.owner.is_none() && self.joiner.is_none() {
            list.extend(self.last_parting());
        }
        list.extend(self.undelivered_farewells());
        list
    }

    /// The condition that lists the former founders of this draft.
    fn departures(&self) -> Option<Condition> {
        let founded = self.founded.as_ref().map(|signed| &signed.manifest);
        let founded = founded.map(|it| (it.founding_id, it.members.as_slice()));
        let joined = self.joiner.as_ref().map(|joiner| &joiner.joining);
        let joined = joined.map(|it| (it.accepted.founding_id, it.members()));
        if let Some((founding_id, members)) = founded.or(joined) {
            let gone: Vec<&str> = members
                .iter()
                .filter(|member| {
                    self.partings.all.received.iter().any(|farewell| {
                        farewell.founding_id == founding_id && farewell.from == member.identity_key
                    })
                })
                .map(|member| member.name.as_str())
                .collect();
            return (!gone.is_empty()).then(|| {
                let text = format!(
                    "{} left before the first round had ended and will never take part",
                    gone.join(", ")
                );
                Condition::new("member-left", Severity::Warning, text).with_hint(
                    "the others go on if they are enough for a quorum; if not, and no round has ended, each can `federation leave`",
                )
            });
        }
        let kept = &self.owner.as_ref()?.kept;
        let gone = kept.departed.iter().filter(|it| it.how != How::Dropped).map(departure_text);
        let gone: Vec<String> = gone.collect();
        (!gone.is_empty() && kept.frozen.is_none()).then(|| {
            let rejected = kept.departed.iter().any(|it| it.how == How::Rejected);
            let severity = if rejected { Severity::Warning } else { Severity::Notice };
            let hint = if rejected {
                "ask what is wrong with the list (`federation show`) before you freeze the draft again"
            } else {
                "invite another member, or go on without: `federation found`"
            };
            Condition::new("member-left", severity, gone.join(", ")).with_hint(hint)
        })
    }

    /// The condition that reports why this node is in no federation.
    fn last_parting(&self) -> Option<Condition> {
        let left = self.partings.all.left.last()?;
        let (federation, owner) = (&left.federation, &left.owner);
        let (name, text) = match left.why {
            Why::Chosen | Why::Rejected => return None,
            Why::Abandoned => {
                ("draft-abandoned", format!("{owner} has abandoned the draft `{federation}`"))
            }
            Why::Dropped => (
                "draft-dropped",
                format!("{owner} has dropped this node from the draft `{federation}`"),
            ),
        };
        Some(
            Condition::new(name, Severity::Warning, text)
                .with_hint("ask its operator; this node can join another draft or begin one"),
        )
    }

    /// The condition that lists the members not yet notified that this node has left something that
    /// it had signed.
    fn undelivered_farewells(&self) -> Option<Condition> {
        let left = self
            .partings
            .all
            .left
            .iter()
            .rev()
            .find(|left| left.signed.is_some() && !left.farewells.is_empty())?;
        let count = left.farewells.len();
        if left.wipe {
            let text = format!(
                "this node has left the federation `{}` before its first round had ended; {count} of its members could \
                 not be told yet",
                left.federation
            );
            return Some(
                Condition::new("farewell-untold", Severity::Notice, text)
                    .with_hint("they are told as soon as they can be reached"),
            );
        }
        let text = format!(
            "this node has left `{}` after it had signed it, and {count} of its members could not be told yet: they may \
             found it with this node's name on the list; it takes no part, and nothing sealed to it can be opened",
            left.federation
        );
        Some(Condition::new("farewell-untold", Severity::Notice, text).with_hint(
            "they are told as soon as they can be reached; tell them yourself if it is urgent",
        ))
    }
}

/// How a founder left, as text.
pub(super) fn departure_text(gone: &Gone) -> String {
    let name = &gone.name;
    match gone.how {
        How::Dropped => format!("{name} was taken off the list"),
        How::Left => format!("{name} left the draft"),
        How::Rejected => format!("{name} rejected the list of members and left the draft"),
    }
}
