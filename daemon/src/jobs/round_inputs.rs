//! Inputs that several jobs of a round share: the common adapter, the mask, the set U, the
//! published part of a sharing.

use fedshield_he::{ContributorSet, ShareCommitment};
use fedshield_protocol::hash::Use;
use fedshield_protocol::ids::{Beacon, LayoutDigest, Round};
use fedshield_protocol::job::{Included, RoundStart};
use fedshield_protocol::wire::UpdateSet;
use fedshield_train::federated::{GlobalAdapter, Mask};

use super::durable_state::State;
use super::{Pipeline, PipelineError};
use crate::encryption::{ciphertext_digest, commitment_digest, share_index};

impl Pipeline {
    /// The common adapter that the round starts from.
    pub(super) fn global_at(&self, start: &RoundStart) -> Result<GlobalAdapter, PipelineError> {
        let state = self.state();
        let RoundStart { round, applied: wanted, .. } = *start;
        if state.global.applied() == wanted {
            return Ok(state.global.clone());
        }
        self.earlier_adapter(&state, round, wanted)
    }

    /// The adapter of `wanted` applied rounds, for a member that applied the round before a restart
    /// and applies it again.
    pub(super) fn earlier_adapter(
        &self,
        state: &State,
        round: Round,
        wanted: u64,
    ) -> Result<GlobalAdapter, PipelineError> {
        let here = state.global.applied();
        let behind = PipelineError::Behind { round, wanted, here };
        // A member that is further ahead takes no part in this round any more.
        if here != wanted.saturating_add(1) {
            return Err(behind);
        }
        state.earlier(wanted, &self.terms, &self.learning, &self.objects)?.ok_or(behind)
    }

    /// The mask that every member uses in a round: nothing, in the round after the last one.
    pub(super) fn mask_of(&self, global: &GlobalAdapter, beacon: &Beacon) -> Mask {
        if self.terms.is_trained(global.applied()) {
            return Mask::full(0);
        }
        global.mask(&self.terms.settings, Use::Mask.digest(&[beacon.as_bytes()]).0)
    }

    /// How many values each update of the round has.
    pub(super) fn value_count(&self, start: &RoundStart) -> Result<u64, PipelineError> {
        let global = self.global_at(start)?;
        Ok(self.mask_of(&global, &start.beacon).len() as u64)
    }

    /// Digest of the meaning of an update's slots: the adapter's layout, the mask, and the slots of
    /// a measurement if there are any. With `stalled` it also says that its member has stopped
    /// improving.
    pub(super) fn layout_digest(
        &self,
        global: &GlobalAdapter,
        mask: [u8; 32],
        stalled: bool,
    ) -> LayoutDigest {
        let adapter = global.layout().digest();
        let mut parts: Vec<&[u8]> = vec![&adapter, &mask];
        if self.terms.measures() {
            parts.push(b"measurement");
        }
        if stalled {
            parts.push(b"stalled");
        }
        LayoutDigest(Use::Layout.digest(&parts).0)
    }

    /// The set U in the types of the encryption, with the same digests by which it was decided.
    pub(super) fn contributors(
        &self,
        round: Round,
        set: &UpdateSet,
    ) -> Result<ContributorSet, PipelineError> {
        let context = self.terms.context(round);
        let entries = set
            .iter()
            .map(|(member, commitment)| (share_index(*member), commitment_digest(*commitment)));
        Ok(ContributorSet::new(&context, self.terms.rules.min_contributors, entries)?)
    }

    /// The published part of a sharing, parsed, bound to the ciphertext of the same commitment, and
    /// under the digest by which sets list it.
    pub(super) fn commitment_of(
        &self,
        round: Round,
        dealer: &Included,
    ) -> Result<ShareCommitment, PipelineError> {
        let context = self.terms.context(round);
        let (member, sharing) = (share_index(dealer.member), self.terms.sharing.sharing());
        let commitment =
            ShareCommitment::from_bytes(&context, member, sharing, &dealer.body.shares)?;
        if commitment.ciphertext() != ciphertext_digest(&dealer.body.ciphertext) {
            return Err(fedshield_he::Error::Remote {
                member: Some(member),
                field: "ciphertext digest",
                fault: fedshield_he::Fault::Digest,
            }
            .into());
        }
        Ok(commitment.identified_by(commitment_digest(dealer.commitment)))
    }
}

/// U without the content of its commitments.
pub(super) fn set_of(set: &[Included]) -> UpdateSet {
    set.iter().map(|update| (update.member, update.commitment)).collect()
}
