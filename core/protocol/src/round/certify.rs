//! certify: all members decide what is opened, or that nothing is. A proposed aggregate of at least `min_contributors` updates
//! is valid by what it carries: q reports from which its set follows, f + 1 equal attestations. Never by what the
//! voter happens to hold.

use crate::consensus::ValueValidity;
use crate::event::TimerId;
use crate::machine::Machine;
use crate::object::ObjectRef;
use crate::status::Phase;
use crate::wire::journal::Note;
use crate::wire::{Body, Decided, Decision, Justification, Set, Value, set_digest};

impl Machine {
    pub(super) fn certify(&mut self) -> Phase {
        self.aggregate();
        self.decided_elsewhere().unwrap_or(Phase::Certify)
    }

    /// In whichever phase this member is, a decision made by the others takes it along.
    pub(super) fn decided_elsewhere(&mut self) -> Option<Phase> {
        if !self.round.set_vote.is_settled() {
            self.deliberate(Decision::Set);
        }
        self.round.set_vote.decided()?;
        self.learn_set();
        Some(if self.round.decided.is_some() { Phase::Decrypt } else { Phase::Record })
    }

    /// Notes the decided set; its updates are spent from now on, whatever becomes of the sum.
    fn learn_set(&mut self) {
        if self.round.decided.is_some() {
            return;
        }
        let Some(Decided { value, .. }) = self.decided_value(Decision::Set) else { return };
        if let Value::Aggregate { set, aggregate } = value {
            self.keep_commitments(&set);
            self.round.decided_digest = Some(set_digest(&set));
            self.round.decided = Some((set, aggregate));
            let decrypt_ms = self.config.manifest.manifest().deadlines.decrypt_ms;
            self.cancel_timer(TimerId::View);
            self.set_timer(TimerId::Decrypt, decrypt_ms);
        }
    }

    /// What this member thinks of values of the first decision.
    pub(super) fn set_validity(&mut self) -> ValueValidity {
        let skip = Value::Skip.id();
        let mut validity =
            ValueValidity { known: self.known_values(Decision::Set), ..ValueValidity::default() };
        validity.valid = self.round.justified.clone();
        validity.valid_with_polka = validity.known.clone();
        if self.round.clock.round_over {
            validity.valid.insert(skip);
            validity.candidate = Some(skip);
        }
        if let Some((value, _)) = self.certifiable() {
            let id = value.id();
            self.round.values.entry(id).or_insert(value);
            self.round.justified.insert(id);
            validity.known.insert(id);
            validity.valid.insert(id);
            validity.candidate = Some(id);
        }
        #[cfg(feature = "planted-bugs")]
        if self.config.rules().vote_by_holding {
            self.doubt_what_is_not_held(&mut validity);
        }
        validity
    }

    /// The bug that the head of this file rules out: a set counts as valid only where all its ciphertexts are.
    #[cfg(feature = "planted-bugs")]
    fn doubt_what_is_not_held(&self, validity: &mut ValueValidity) {
        let held = |id: &crate::ids::Digest| match self.round.values.get(id) {
            Some(Value::Aggregate { set, .. }) => set.iter().all(|(_, digest)| {
                let known = self.round.commitments.get(digest);
                known.is_some_and(|known| known.whole)
            }),
            _ => true,
        };
        validity.valid.retain(held);
        validity.valid_with_polka.retain(held);
    }

    /// Whether `set` and `aggregate` follow from what the proposal carries.
    pub(super) fn is_justified(
        &self,
        set: &Set,
        aggregate: &ObjectRef,
        justification: &Justification,
    ) -> bool {
        let rules = self.config.rules();
        let roster = self.config.roster();
        let round = self.round.number;
        let attestation = Body::Attestation { set: set_digest(set), aggregate: *aggregate };
        justification.bundle.set(rules) == *set
            && justification.attestations.len() >= usize::from(rules.honest_threshold())
            && justification.attestations.is_sorted_by(|a, b| a.0 < b.0)
            && justification.attestations.iter().all(|(member, signature)| {
                self.round.election.in_committee(*member)
                    && roster.is_signed_by(round, *member, &attestation, signature)
            })
            && justification.bundle.is_valid(&roster, round)
    }

    /// Remembers a decision before anything is done about it.
    pub(super) fn remember_decision(&mut self, decision: Decision) {
        if self.round.remembered.insert(decision)
            && let Some(decided) = self.decided_value(decision)
        {
            if let Value::Aggregate { set, .. } = &decided.value {
                let set = set.clone();
                self.keep_commitments(&set);
            }
            // If it could not be remembered, the certificate can be had again from any member.
            let _ = self.persist(Note::Decided(Box::new(decided)));
        }
    }
}
