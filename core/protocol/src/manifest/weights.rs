//! How much each member's update counts in the mean.

use serde::{Deserialize, Serialize};

use super::{Manifest, Member};
use crate::ids::MemberIndex;

/// What the weights of updates are. Nothing about them is sent with an update: they stand in the
/// manifest that all members signed, so nobody counts for more than the others agreed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weights {
    /// One for each member.
    Equal,
    /// The `weight` of each `[[members]]`, 1 to `weight_cap`.
    Declared,
}

/// What a member counts where nothing else is written.
pub(super) const fn one() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it")]
pub(super) const fn is_one(weight: &u32) -> bool {
    *weight == 1
}

impl Weights {
    /// What the updates of a member count with this entry; `None` in manifests of earlier versions.
    pub(super) const fn of(weights: Option<Self>, member: &Member) -> u32 {
        match weights {
            Some(Self::Declared) => member.weight,
            Some(Self::Equal) | None => 1,
        }
    }
}

impl Manifest {
    /// Weight of a member's update in the mean; 1 for who is no member.
    #[must_use]
    pub fn weight_of(&self, member: MemberIndex) -> u32 {
        let member = self.members.get(member.position());
        member.map_or(1, |member| Weights::of(self.weights, member))
    }

    /// The largest weight of all members; at least 1.
    #[must_use]
    pub fn largest_weight(&self) -> u32 {
        self.members.iter().map(|member| Weights::of(self.weights, member)).fold(1, u32::max)
    }
}
