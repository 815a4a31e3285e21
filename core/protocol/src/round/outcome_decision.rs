//! A second, small decision ends the round: Opened, which is valid by its content (the key opens
//! the decided aggregate to the sum, see `decryption`), or Void, valid after the decrypt timer for
//! whoever has not opened the sum, and with q earlier prevotes for all.

use super::decryption::SumKey;
use crate::consensus::{Driver, Judge, ValueValidity, Values};
use crate::context::Cx;
use crate::ids::MemberIndex;
use crate::members::Members;
use crate::sign::Signature;
use crate::wire::{Decision, Justification, Proposal, Value};

/// The second decision of the round.
#[derive(Debug, Clone)]
pub(crate) struct OutcomeDecision {
    pub(crate) vote: Driver,
}

impl OutcomeDecision {
    pub(super) fn new(cx: &Cx) -> Self {
        Self { vote: Driver::new(cx, Decision::Outcome) }
    }

    /// Takes part once it can propose, or others have begun: without its nil votes they might be
    /// kept in a view whose proposer has nothing to propose. Follows a decision in any case, and
    /// returns its value.
    pub(super) fn advance(
        &mut self,
        cx: &mut Cx,
        members: &Members,
        key: &SumKey,
    ) -> Option<Value> {
        let agreement = self.vote.agreement();
        if key.opened().is_some()
            || cx.clock.decrypt_over
            || agreement.cast().next().is_some()
            || agreement.is_in_progress()
        {
            self.vote.start();
        }
        if !self.vote.agreement().is_settled() {
            self.vote.advance(cx, members, &mut OutcomeJudge { key });
        }
        self.value()
    }

    /// What was decided.
    pub(crate) fn value(&self) -> Option<Value> {
        self.vote.decided().map(|decided| decided.value)
    }

    pub(super) fn on_proposal(
        &mut self,
        cx: &mut Cx,
        sender: MemberIndex,
        proposal: Proposal,
        signature: Signature,
    ) {
        if !self.vote.admits(cx, sender, &proposal, signature) {
            return;
        }
        if Driver::polka(cx, &proposal).is_none() || proposal.justification.is_some() {
            return cx.dropped("proposal: not valid by what it carries");
        }
        self.vote.on_proposal(proposal, signature);
    }
}

/// What the validity of an outcome rests on.
struct OutcomeJudge<'a> {
    key: &'a SumKey,
}

impl Judge for OutcomeJudge<'_> {
    fn validity(&self, cx: &Cx, values: &mut Values) -> ValueValidity {
        let void = Value::Void.id();
        let mut validity = ValueValidity::default();
        validity.valid_with_polka.insert(void);
        // Whoever has opened the sum can show it to everyone, and does not give it up on its own.
        if cx.clock.decrypt_over && self.key.opened().is_none() {
            validity.valid.insert(void);
            validity.candidate = Some(void);
        }
        if let Some((key, sum)) = self.key.opened() {
            validity.candidate = Some(values.insert(Value::Opened { key, sum }));
        }
        validity.known = values.known();
        let opens = |value: &Value| match value {
            Value::Opened { key, sum } => self.key.opens(key) == Some(*sum),
            _ => false,
        };
        validity.valid.extend(values.iter().filter(|(_, it)| opens(it)).map(|(id, _)| *id));
        validity
    }

    fn justification(&self, _: &Cx) -> Option<Justification> {
        None
    }

    fn before_accepting(&mut self, _: &mut Cx, _: &Value) {}
}
