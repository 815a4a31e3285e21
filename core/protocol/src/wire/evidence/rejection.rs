//! f + 1 members that reject one ciphertext: at most f are Byzantine, so an honest member has found
//! it malformed.

use super::NotProof;
use crate::ids::{CommitmentDigest, MemberIndex, Round};
use crate::roster::Roster;
use crate::sign::Signature;
use crate::wire::Body;

/// Whether f + 1 different members have rejected the commitment with this digest. Whether they were
/// of the round's committee does not matter: an honest member rejects only what it has parsed.
pub(super) fn check(
    roster: &Roster<'_>,
    round: Round,
    commitment: CommitmentDigest,
    rejections: &[(MemberIndex, Signature)],
) -> Result<(), NotProof> {
    let (found, needed) = (rejections.len(), usize::from(roster.rules().honest_threshold()));
    if !rejections.is_sorted_by(|a, b| a.0 < b.0) {
        return Err(NotProof::Impossible("list of rejections"));
    }
    if found < needed {
        return Err(NotProof::TooFew { what: "rejections", found, needed });
    }
    let body = Body::Rejection(commitment);
    for (member, signature) in rejections {
        if !roster.is_signed_by(round, *member, &body, signature) {
            return Err(NotProof::NotSigned { what: body.kind(), member: *member });
        }
    }
    Ok(())
}
