//! A wrong partial decryption. One answer proves nothing by itself; it is proven wrong by the
//! opened key, which a quorum has accepted, and t - 1 + f other answers that lie with it on one
//! polynomial: t - 1 of them are honest, so that polynomial is the true one ([ADR
//! 0020](../../../../docs/adr/0020-name-culprits-only-when-proven.md)).

use serde::{Deserialize, Serialize};

use super::{NotProof, SignedBody};
use crate::ids::{MemberIndex, Round, SetDigest};
use crate::ledger::certifies;
use crate::object::ObjectRef;
use crate::roster::Roster;
use crate::sign::Signature;
use crate::wire::{Body, Decided, Value};

/// A partial decryption with its sender's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedAnswer {
    /// Its sender.
    pub member: MemberIndex,
    /// The sender's signature under [`Body::Partial`].
    pub signature: Signature,
    /// The partial decryption.
    pub bytes: Vec<u8>,
}

/// What shows that a partial decryption is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrongAnswer {
    /// The decided set, with its certificate.
    pub set: Decided,
    /// What opening it gave, with its certificate: names the key.
    pub outcome: Decided,
    /// The opened key.
    pub key: Vec<u8>,
    /// The accused's answer.
    pub accused: SignedAnswer,
    /// At least t - 1 + f others' answers, ascending by member.
    pub agreeing: Vec<SignedAnswer>,
}

impl SignedAnswer {
    /// The message under which the signature stands.
    #[must_use]
    pub fn statement(&self, set: SetDigest) -> Body {
        Body::Partial { set, object: ObjectRef::of(&self.bytes) }
    }
}

impl WrongAnswer {
    /// How many other answers must agree: t - 1 + f.
    #[must_use]
    pub fn needed(roster: &Roster<'_>) -> usize {
        let rules = roster.rules();
        usize::from(rules.threshold).saturating_add(usize::from(rules.max_faulty)).saturating_sub(1)
    }

    /// SetDigest of the decided set, if a set was decided.
    #[must_use]
    pub fn set_digest(&self) -> Option<SetDigest> {
        match &self.set.value {
            Value::Aggregate { set, .. } => Some(set.digest()),
            _ => None,
        }
    }

    pub(super) fn accused_statement(&self) -> SignedBody {
        let set = self.set_digest().unwrap_or(SetDigest([0; 32]));
        (self.accused.statement(set), self.accused.signature)
    }

    /// Certificates and signatures. The arithmetic is the host's: whether key and answers lie on
    /// one polynomial, whether the accused's does not.
    pub(super) fn check(
        &self,
        roster: &Roster<'_>,
        round: Round,
        accused: MemberIndex,
    ) -> Result<(), NotProof> {
        let Some(set) = self.set_digest() else { return Err(NotProof::NotAbout("set")) };
        let Value::Opened { key, .. } = &self.outcome.value else {
            return Err(NotProof::NotAbout("end of the round"));
        };
        if *key != ObjectRef::of(&self.key) {
            return Err(NotProof::NotAbout("key"));
        }
        for (decided, what) in [(&self.set, "set"), (&self.outcome, "opened key")] {
            if !certifies(&decided.certificate, &decided.value)
                || !decided.certificate.is_valid(roster, round)
            {
                return Err(NotProof::Certificate(what));
            }
        }
        if self.accused.member != accused {
            return Err(NotProof::NotAbout("answer"));
        }
        let (found, needed) = (self.agreeing.len(), Self::needed(roster));
        if found < needed {
            return Err(NotProof::TooFew { what: "agreeing answers", found, needed });
        }
        let others = self.agreeing.iter().map(|answer| answer.member);
        if !self.agreeing.is_sorted_by(|a, b| a.member < b.member)
            || others.clone().any(|member| member == accused)
        {
            return Err(NotProof::Impossible("list of answers"));
        }
        for answer in self.agreeing.iter().chain([&self.accused]) {
            let body = answer.statement(set);
            if !body.is_within_bounds(roster.rules().member_count)
                || !roster.is_signed_by(round, answer.member, &body, &answer.signature)
            {
                return Err(NotProof::NotSigned { what: body.kind(), member: answer.member });
            }
        }
        Ok(())
    }
}
