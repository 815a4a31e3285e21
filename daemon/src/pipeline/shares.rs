//! Key shares: opening the own boxes, answering complaints, checking answers.

use fedshield_he::{Preimage, SealingKeyPair, Share, ShareCommitment, open_share};
use fedshield_protocol::ids::{MemberIndex, Round};
use fedshield_protocol::job::{Included, JobOutput};
use zeroize::Zeroizing;

use super::round_folder::secret;
use super::{Pipeline, PipelineError};
use crate::randomness::os_random;
use crate::sealing_keys;

impl Pipeline {
    pub(super) fn make_sealing_key(&self, round: Round) -> Result<JobOutput, PipelineError> {
        // Made once: after a restart the same key is published again.
        if let Some(pair) = sealing_keys::load(&self.secrets, round)? {
            return Ok(JobOutput::SealingKey(pair.public().to_bytes()));
        }
        let mut rng = os_random().map_err(PipelineError::Randomness)?;
        let pair = SealingKeyPair::generate(&mut rng);
        sealing_keys::store(&self.secrets, round, &pair)?;
        Ok(JobOutput::SealingKey(pair.public().to_bytes()))
    }

    pub(super) fn check_share(
        &self,
        round: Round,
        dealer: &Included,
    ) -> Result<JobOutput, PipelineError> {
        match self.open_own_share(round, dealer) {
            Ok(_) => Ok(JobOutput::Checked { valid: true }),
            Err(PipelineError::Encryption(reason)) => {
                tracing::warn!(%round, dealer = %dealer.member, %reason, "share refused");
                Ok(JobOutput::Checked { valid: false })
            }
            Err(other) => Err(other),
        }
    }

    pub(super) fn reveal_share(
        &self,
        round: Round,
        member: MemberIndex,
    ) -> Result<JobOutput, PipelineError> {
        let bytes = self
            .secrets
            .get(&secret::dealt(round, member))?
            .ok_or(PipelineError::ShareMissing { round, member })?;
        Ok(JobOutput::Preimage(bytes.to_vec()))
    }

    pub(super) fn check_preimage(
        &self,
        round: Round,
        dealer: &Included,
        member: MemberIndex,
        preimage: &[u8],
    ) -> Result<JobOutput, PipelineError> {
        let context = self.terms.context(round);
        let checked = self.commitment_of(round, dealer).and_then(|commitment| {
            let (from, to) = (dealer.member.share_index(), member.share_index());
            Ok(Preimage::from_bytes(&context, from, to, preimage)?.check(&context, &commitment)?)
        });
        match checked {
            Ok(_) => {
                if member == self.terms.me {
                    self.secrets.put(&secret::share(round, dealer.member), preimage)?;
                }
                Ok(JobOutput::Checked { valid: true })
            }
            Err(PipelineError::Encryption(_)) => Ok(JobOutput::Checked { valid: false }),
            Err(other) => Err(other),
        }
    }

    /// The published part of a dealing, read, bound to the ciphertext of the same commitment, and under the name by which sets
    /// list it.
    pub(super) fn commitment_of(
        &self,
        round: Round,
        dealer: &Included,
    ) -> Result<ShareCommitment, PipelineError> {
        let context = self.terms.context(round);
        let sender = dealer.member.share_index();
        let commitment = ShareCommitment::from_bytes(
            &context,
            sender,
            self.terms.sharing(),
            &dealer.body.shares,
        )?;
        if *commitment.ciphertext_digest() != dealer.body.ciphertext.root.0 {
            return Err(fedshield_he::Error::Remote {
                sender,
                field: "ciphertext digest",
                fault: fedshield_he::Fault::Digest,
            }
            .into());
        }
        Ok(commitment.named(dealer.commitment.0))
    }

    /// This member's share from `dealer`: out of the answer to a complaint, or out of the box.
    pub(super) fn open_own_share(
        &self,
        round: Round,
        dealer: &Included,
    ) -> Result<Share, PipelineError> {
        let context = self.terms.context(round);
        let commitment = self.commitment_of(round, dealer)?;
        let me = self.terms.me.share_index();
        if let Some(bytes) = self.secrets.get(&secret::share(round, dealer.member))? {
            let from = dealer.member.share_index();
            let preimage = Preimage::from_bytes(&context, from, me, &bytes)?;
            return Ok(preimage.check(&context, &commitment)?);
        }
        let missing = PipelineError::ShareMissing { round, member: dealer.member };
        let object = dealer.body.boxes.get(self.terms.me.position()).ok_or(missing)?;
        let sealed = Zeroizing::new(self.objects.read(object)?);
        let mut last = None;
        // The dealer used the newest key that it knew: this round's, or an older one of ours.
        for pair in sealing_keys::load_up_to(&self.secrets, round)? {
            match open_share(&context, &commitment, me, &pair, &sealed) {
                Ok(share) => return Ok(share),
                Err(error) => last = Some(error),
            }
        }
        Err(last.map_or(PipelineError::ShareMissing { round, member: dealer.member }, Into::into))
    }
}
