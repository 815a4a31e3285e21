//! Keys that proposals name. A member that cannot open the sum by answers (it got other ones, or
//! too few) fetches the key that a proposal names, checks it, and has opened it as well.
//!
//! A proposer that names a wrong key costs each member one fetch and one check, which fails at the
//! first block of the sum: only keys of proposals in the window of views and of locked or decided
//! values are looked at, each by itself.

use std::collections::BTreeMap;

use crate::consensus::Driver;
use crate::context::{Cx, Tag};
use crate::ids::{MemberIndex, SumDigest};
use crate::object::ObjectRef;
use crate::wire::Value;

/// Keys in question, with those that named them.
pub(super) type Named = BTreeMap<ObjectRef, Vec<MemberIndex>>;

/// What the keys that were named open: a sum, or none.
#[derive(Debug, Clone, Default)]
pub(super) struct NamedKeys(BTreeMap<ObjectRef, Option<SumDigest>>);

impl NamedKeys {
    /// The sum that `key` opens; `None` if it opens none, or has not been checked.
    pub(super) fn opens(&self, key: &ObjectRef) -> Option<SumDigest> {
        self.0.get(key).copied().flatten()
    }

    pub(super) fn is_checked(&self, key: &ObjectRef) -> bool {
        self.0.contains_key(key)
    }

    pub(super) fn note(&mut self, key: ObjectRef, sum: Option<SumDigest>) {
        self.0.insert(key, sum);
    }

    /// What nobody names any more is neither fetched nor checked. Verdicts are kept for a while, so
    /// that one that names the same wrong key again costs nothing; not without end.
    pub(super) fn forget_unnamed(
        &mut self,
        cx: &mut Cx,
        vote: &Driver,
        named: &Named,
        own: Option<ObjectRef>,
    ) {
        let keys = vote.values().iter().filter_map(|(_, value)| match value {
            Value::Opened { key, .. } => Some(*key),
            _ => None,
        });
        for key in keys.filter(|key| !named.contains_key(key) && own != Some(*key)) {
            cx.no_longer_wanted(&key);
            cx.cancel(Tag::CheckKey(key));
        }
        if self.0.len() > usize::from(cx.config.rules().member_count) {
            self.0.retain(|key, sum| sum.is_some() || named.contains_key(key));
        }
    }
}

/// Whether `key` can be a key at all.
pub(super) fn is_possible(key: &ObjectRef) -> bool {
    (1..=crate::limits::MAX_KEY_BYTES).contains(&key.length)
}

/// The keys in question: of the decision, or else of the proposals of this view and later ones, and
/// of what this member is bound to.
pub(super) fn named(cx: &Cx, vote: &Driver) -> Named {
    let mut named = Named::new();
    let mut name = |value: &Value, by: Option<MemberIndex>| {
        if let Value::Opened { key, .. } = value
            && is_possible(key)
        {
            named.entry(*key).or_default().extend(by);
        }
    };
    if let Some(decided) = vote.decided() {
        name(&decided.value, None);
        return named;
    }
    let current = vote.agreement().view();
    for (view, proposal) in vote.proposals().filter(|(view, _)| *view >= current) {
        name(&proposal.value, Some(cx.election.proposer(view)));
    }
    let state = vote.agreement().state();
    for bound in [&state.locked, &state.valid].into_iter().flatten() {
        if let Some(value) = vote.values().get(&bound.value) {
            name(value, None);
        }
    }
    named
}
