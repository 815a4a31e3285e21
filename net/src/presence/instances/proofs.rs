//! Proofs that two processes use one key: made for others, checked for ourselves, forwarded.

use fedshield_protocol::ids::IdentityKey;
use libp2p::identity::ed25519;
use tokio::time::Instant;

use super::{Instances, Seen};
use crate::limits::MAX_HELLO_PROOFS;
use crate::presence::wire::{Challenge, Proof, Report};

impl Instances {
    /// `from` reports another process with our key: our signature over its challenge proves the
    /// duplicate to it.
    pub(super) fn sign_challenge(
        &mut self,
        from: IdentityKey,
        challenge: Challenge,
        now: Instant,
    ) -> bool {
        let (member, instance) = (self.own, self.instance);
        let made = |proof: &Proof| proof.member == member && proof.challenge == challenge;
        if self.outbox.get(&from).is_some_and(|sent| sent.iter().any(|(proof, _)| made(proof))) {
            return false;
        }
        let bytes = Proof::signed_bytes(&challenge, &instance);
        let signature = self.pair.sign(&bytes).ok().and_then(|it| it.try_into().ok());
        // Cannot happen: an ed25519 signature always succeeds and has 64 bytes.
        let Some(signature) = signature else { return false };
        self.put(from, Proof { member, challenge, instance, signature }, now);
        true
    }

    /// Checks a proof that another process uses our key; true if it is valid and the first one.
    pub(super) fn check_own(&mut self, proof: &Proof) -> bool {
        let issued = self.challenges.iter().find(|(challenge, _)| *challenge == proof.challenge);
        let Some((_, issued)) = issued.copied() else { return false };
        if proof.instance == self.instance || !is_signed(proof) {
            return false;
        }
        let is_news = self.duplicate_until.is_none();
        self.duplicate_until = self.duplicate_until.max(Some(issued + self.challenge_lifetime()));
        is_news
    }

    /// Forwards a proof about another member towards the process whose challenge it signs.
    pub(super) fn forward(&mut self, proof: &Proof, now: Instant) -> bool {
        let fits = |seen: &Seen| {
            seen.member == proof.member
                && seen.instance != proof.instance
                && seen.challenges.contains(&proof.challenge)
        };
        let via = if self.seen.values().any(fits) {
            proof.member
        } else {
            let fits = |report: &Report| {
                report.member == proof.member
                    && report.instance != proof.instance
                    && report.challenge == proof.challenge
            };
            let reporter = self.reported.iter().find(|(_, (reports, _))| reports.iter().any(fits));
            let Some((via, _)) = reporter else { return false };
            *via
        };
        let held = self.outbox.get(&via).is_some_and(|it| it.iter().any(|(held, _)| held == proof));
        if held || !is_signed(proof) {
            return false;
        }
        for seen in self.seen.values_mut().filter(|seen| fits(seen)) {
            seen.proof_at = Some(now);
        }
        self.put(via, *proof, now);
        true
    }

    fn put(&mut self, to: IdentityKey, proof: Proof, now: Instant) {
        let outbox = self.outbox.entry(to).or_default();
        outbox.push_front((proof, now));
        outbox.truncate(MAX_HELLO_PROOFS);
    }
}

fn is_signed(proof: &Proof) -> bool {
    let bytes = Proof::signed_bytes(&proof.challenge, &proof.instance);
    ed25519::PublicKey::try_from_bytes(proof.member.as_bytes())
        .is_ok_and(|key| key.verify(&bytes, &proof.signature))
}
