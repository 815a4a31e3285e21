//! Two statements of one member in one round that no honest member makes both.

use crate::wire::Body;

/// Whether an honest member never signs both of these in one round.
pub(super) fn contradict(first: &Body, second: &Body) -> bool {
    first != second
        && match (first, second) {
            (Body::Vote(a), Body::Vote(b)) => {
                (a.decision, a.kind, a.view) == (b.decision, b.kind, b.view)
            }
            // The same value with another polka is the same proposal, sent again later.
            (Body::Proposal(a), Body::Proposal(b)) => {
                (a.view, a.value.decision()) == (b.view, b.value.decision()) && a.value != b.value
            }
            (Body::Attestation { set: a, .. }, Body::Attestation { set: b, .. }) => a == b,
            (
                Body::ShareOpening { commitment: a, member: of_a, .. },
                Body::ShareOpening { commitment: b, member: of_b, .. },
            ) => (a, of_a) == (b, of_b),
            (Body::HaveUpdates(list), Body::Rejection(rejected))
            | (Body::Rejection(rejected), Body::HaveUpdates(list)) => list.contains(rejected),
            (Body::Commitment(_), Body::Commitment(_))
            | (Body::Report(_), Body::Report(_))
            | (Body::Partial { .. }, Body::Partial { .. })
            | (Body::RecordSignature(_), Body::RecordSignature(_)) => true,
            _ => false,
        }
}
