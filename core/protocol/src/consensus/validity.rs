//! Which values a member knows and finds valid: the paper's valid(v), and more, because content can
//! be late.

use std::collections::BTreeSet;

use super::Values;
use crate::context::Cx;
use crate::ids::ValueDigest;
use crate::wire::{Justification, Value};

/// What the caller thinks of values at the moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct ValueValidity {
    /// Values whose content is here.
    pub known: BTreeSet<ValueDigest>,
    /// Values that are valid for this member.
    pub valid: BTreeSet<ValueDigest>,
    /// Values that are valid once a quorum has prevoted for them.
    pub valid_with_polka: BTreeSet<ValueDigest>,
    /// What this member would propose.
    pub candidate: Option<ValueDigest>,
}

impl ValueValidity {
    pub(super) fn accepts(&self, value: &ValueDigest, with_polka: bool) -> bool {
        self.known.contains(value)
            && (self.valid.contains(value) || with_polka && self.valid_with_polka.contains(value))
    }
}

/// What the agreement asks of a decision.
pub(crate) trait Judge {
    /// Which values this member knows and finds valid at the moment.
    fn validity(&self, cx: &Cx, values: &mut Values) -> ValueValidity;

    /// What makes this member's own candidate valid for others, if it must be sent with the
    /// proposal.
    fn justification(&self, cx: &Cx) -> Option<Justification>;

    /// Called before a decision is persisted.
    fn before_accepting(&mut self, cx: &mut Cx, value: &Value);
}
