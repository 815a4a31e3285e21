//! What a member has sent in this round that binds it: recovery replies to others, and the check of
//! others' replies against this member's own journal.

use crate::context::Cx;
use crate::ids::MemberIndex;
use crate::ledger::record_digest;
use crate::round::RoundState;
use crate::sign::Signature;
use crate::wire::Statement;

/// What `member` has sent in this round that binds it, the small first.
pub(super) fn statements_of(
    round: &RoundState,
    member: MemberIndex,
) -> Vec<(Statement, Signature)> {
    let ready = round.readiness.signature_of(member);
    let mut statements: Vec<(Statement, Signature)> =
        ready.map(|signature| (Statement::Ready, signature)).into_iter().collect();
    let signed = round.finish.signature_of(member);
    statements.extend(signed.map(|(digest, by)| (Statement::RecordSignature(digest), by)));
    let partial = round.decryption.partial_of(member);
    statements.extend(
        partial.map(|it| (Statement::Partial { set: it.set, object: it.object }, it.signature)),
    );
    let report = round.collect.reports.of(member).cloned();
    statements.extend(report.map(|(set, signature)| (Statement::Report(set), signature)));
    statements.extend(round.collect.commitments.all_of(member).map(|known| {
        let body = Box::new(known.body.as_ref().clone());
        (Statement::Commitment(body), known.signature)
    }));
    for agreement in [round.set.vote.agreement(), round.outcome.vote.agreement()] {
        statements.extend(agreement.votes_of(member).map(|(vote, by)| (Statement::Vote(vote), by)));
    }
    statements.extend(
        round.set.sums.attestations.by(member).map(|(set, aggregate, signature)| {
            (Statement::Attestation { set, aggregate }, signature)
        }),
    );
    statements
}

/// Whether the journal has it that this member sent this in the current round.
pub(super) fn has_sent(cx: &Cx, round: &RoundState, statement: &Statement) -> bool {
    let me = cx.me();
    match statement {
        Statement::Ready => round.readiness.is_ready(),
        Statement::Commitment(body) => {
            let digest = cx.config.roster().scope(cx.round()).commitment(me, body);
            digest.is_ok_and(|digest| round.collect.commitments.own() == Some(digest))
        }
        Statement::Report(set) => round.collect.reports.of(me).is_some_and(|(own, _)| own == set),
        Statement::Attestation { set, aggregate } => {
            round.set.sums.attestations.of(set, me) == Some(*aggregate)
        }
        Statement::Vote(vote) => round.vote_on(vote.decision).agreement().has_cast(vote),
        Statement::Partial { set, object } => round.decryption.released() == Some((*set, *object)),
        Statement::RecordSignature(digest) => {
            round.finish.signed_before().is_some_and(|own| record_digest(own) == *digest)
        }
    }
}
