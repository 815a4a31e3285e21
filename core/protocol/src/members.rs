//! The state of the members across rounds: who is reachable, who is absent, the newest heartbeat of
//! each, evidence against them, and whose updates this member excludes for a while.

pub(crate) mod absence;
mod bans;
mod departure;
mod exclusions;
mod keys;
mod newest;

use std::collections::BTreeSet;

pub(crate) use absence::Absences;
pub(crate) use bans::Bans;
pub(crate) use departure::Departure;
pub(crate) use exclusions::{Exclusions, UnansweredComplaints};
pub(crate) use keys::SealingKeys;
pub(crate) use newest::NewestHeartbeats;

use crate::context::Cx;
use crate::ids::MemberIndex;
use crate::machine::Config;

/// Read by every part; each of its own parts is changed by the messages that concern it.
pub(crate) struct Members {
    me: MemberIndex,
    member_count: u16,
    reachable: BTreeSet<MemberIndex>,
    pub(crate) newest: NewestHeartbeats,
    pub(crate) absences: Absences,
    pub(crate) bans: Bans,
    pub(crate) exclusions: Exclusions,
}

impl Members {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            me: config.me,
            member_count: config.rules().member_count,
            reachable: BTreeSet::new(),
            newest: NewestHeartbeats::default(),
            absences: Absences::new(config),
            bans: Bans::new(config.me),
            exclusions: Exclusions::default(),
        }
    }

    /// The host has connected to a member, or lost it. Returns whether it has become reachable.
    pub(crate) fn set_reachable(&mut self, member: MemberIndex, reachable: bool) -> bool {
        if member.0 >= self.member_count {
            return false;
        }
        if reachable {
            return self.reachable.insert(member);
        }
        self.reachable.remove(&member);
        false
    }

    /// Whether the host is connected to it.
    pub(crate) fn is_reachable(&self, member: MemberIndex) -> bool {
        self.reachable.contains(&member)
    }

    /// A heartbeat tick: counts it for silent members.
    pub(crate) fn tick(&mut self, cx: &mut Cx) {
        let reachable = &self.reachable;
        self.absences.tick(cx, |member| reachable.contains(&member));
    }

    /// Whether nothing need be waited for from `member`.
    pub(crate) fn is_absent(&self, member: MemberIndex) -> bool {
        member != self.me && self.absences.is_absent(member)
    }

    /// Whether another member can be counted on: it is not away, and it is connected or a message
    /// of it has arrived since the start.
    pub(crate) fn is_here(&self, member: MemberIndex) -> bool {
        (self.is_reachable(member) || self.absences.was_seen(member)) && !self.is_absent(member)
    }

    /// Whether there is proof against another member, and nobody has lifted its ban.
    pub(crate) fn is_banned(&self, member: MemberIndex) -> bool {
        self.bans.is_banned(member)
    }

    /// Sorts the holders of an object so that banned members are last.
    pub(crate) fn trusted_first(&self, mut holders: Vec<MemberIndex>) -> Vec<MemberIndex> {
        holders.sort_by_key(|member| self.is_banned(*member));
        holders
    }
}
