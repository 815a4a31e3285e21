//! Evidence for the operator: the stored evidence, as a list and as files.

use fedshield_protocol::ids::{Digest, FederationId, MemberIndex};
use fedshield_protocol::manifest::Manifest;
use fedshield_protocol::wire::evidence::EvidenceFile;

use crate::control::api::{ApiError, ErrorCode, EvidenceView, LiftView};
use crate::store::{KeptEvidence, Ledger, Lift};

/// All evidence in the order in which it came; `names` are the members', in the order of the
/// manifest.
///
/// # Errors
/// An error of the store.
pub(crate) fn list(ledger: &Ledger, names: &[String]) -> Result<Vec<EvidenceView>, ApiError> {
    let lifts = ledger.lifts();
    let view = |kept: KeptEvidence| {
        let KeptEvidence { evidence, proof } = kept;
        let lift = proof.as_ref().and_then(|proof| {
            let covers = |it: &&Lift| it.member == proof.member && proof.round <= it.through;
            lifts.iter().find(covers)
        });
        EvidenceView {
            digest: evidence.object().root,
            member: evidence.member,
            round: proof.as_ref().map(|proof| proof.round),
            rule: proof.as_ref().map(|proof| proof.rule()),
            rule_text: proof.as_ref().map_or(OLD_FORM, |proof| proof.rule().sentence()).to_owned(),
            reason: evidence.reason,
            kept_unix_s: evidence.kept_unix_s,
            bytes: evidence.proof.len() as u64,
            bans: proof.is_some() && lift.is_none(),
            lifted: lift.map(|lift| lift_view(lift, names)),
        }
    };
    Ok(ledger.evidence()?.into_iter().map(view).collect())
}

const OLD_FORM: &str =
    "kept by an earlier version of the program, in a form that others cannot check; it bans nobody";

pub(crate) fn lift_view(lift: &Lift, names: &[String]) -> LiftView {
    LiftView {
        member: names.get(lift.member.position()).cloned().unwrap_or_default(),
        through: lift.through,
        at_unix_s: lift.at_unix_s,
        by: lift.by.clone(),
    }
}

/// Evidence as a file for others.
///
/// # Errors
/// [`ErrorCode::InvalidRequest`] if there is none of this name, or in a form that others cannot
/// check.
pub(crate) fn file(
    ledger: &Ledger,
    federation: FederationId,
    digest: &Digest,
) -> Result<Vec<u8>, ApiError> {
    let Some(kept) = ledger.evidence_named(digest)? else {
        let message = format!("there is no evidence {digest}");
        return Err(ApiError::new(ErrorCode::InvalidRequest, message)
            .with_hint("`fedshield-cli evidence list` shows what there is"));
    };
    let Some(evidence) = kept.proof else {
        return Err(ApiError::new(
            ErrorCode::InvalidRequest,
            "this evidence was kept by an earlier version of the program, in a form that others cannot check",
        )
        .with_hint("it can be listed only; what members do from now on is kept in the new form"));
    };
    EvidenceFile { federation, evidence }
        .encode()
        .map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))
}

/// The member of this name.
///
/// # Errors
/// [`ErrorCode::InvalidRequest`].
pub(crate) fn member(manifest: &Manifest, name: &str) -> Result<MemberIndex, ApiError> {
    let position = manifest.members.iter().position(|member| member.name == name);
    position.and_then(|position| u16::try_from(position).ok()).map(MemberIndex).ok_or_else(|| {
        ApiError::new(ErrorCode::InvalidRequest, format!("no member is called `{name}`"))
            .with_hint("`fedshield-cli members` lists their names")
    })
}
