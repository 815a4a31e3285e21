//! Key shares: sealing boxes and opening the own ones, answering complaints, checking answers.

use fedshield_he::{
    Preimage, SealingKeyPair, SealingPublicKey, Share, ShareCommitment, open_share, seal_share,
};
use fedshield_protocol::ids::{Digest, MemberIndex, Round};
use fedshield_protocol::job::{Included, JobOutput};
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::CommitmentBody;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::observer::{Stage, timed};
use super::round_folder::secret;
use super::{Pipeline, PipelineError};
use crate::randomness::os_random;
use crate::sealing_keys;

/// An encrypted update whose key is dealt: what its boxes are sealed from, beside the preimages.
#[derive(Serialize, Deserialize)]
pub(super) struct Dealing {
    pub(super) ciphertext: ObjectRef,
    /// The published part.
    pub(super) shares: Vec<u8>,
    pub(super) layout: Digest,
}

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

    pub(super) fn seal_boxes(
        &self,
        round: Round,
        sealing_keys: &[Option<Vec<u8>>],
    ) -> Result<JobOutput, PipelineError> {
        let dealing = self.dealing(round)?;
        let boxes = timed(&*self.observer, round, Stage::Share, || {
            (0u16..)
                .map(MemberIndex)
                .zip(sealing_keys)
                .map(|(member, key)| {
                    let Some(key) = key else { return Ok(None) };
                    let sealed = self.seal(round, &dealing, member, key)?;
                    Ok(sealed.map(|sealed| self.objects.put(&sealed)).transpose()?)
                })
                .collect::<Result<Vec<_>, PipelineError>>()
        })?;
        let Dealing { ciphertext, shares, layout } = dealing;
        Ok(JobOutput::Contribution(CommitmentBody { ciphertext, boxes, shares, layout }))
    }

    pub(super) fn seal_again(
        &self,
        round: Round,
        member: MemberIndex,
        sealing_key: &[u8],
    ) -> Result<JobOutput, PipelineError> {
        let dealing = self.dealing(round)?;
        Ok(JobOutput::Sealed(self.seal(round, &dealing, member, sealing_key)?))
    }

    fn dealing(&self, round: Round) -> Result<Dealing, PipelineError> {
        let missing = PipelineError::ShareMissing { round, member: self.terms.me };
        self.kept_in_round(round, secret::DEALING)?.ok_or(missing)
    }

    /// A box for `member`; `None` if its key is none: that is its own affair, and must not keep others from theirs.
    fn seal(
        &self,
        round: Round,
        dealing: &Dealing,
        member: MemberIndex,
        sealing_key: &[u8],
    ) -> Result<Option<Vec<u8>>, PipelineError> {
        let context = self.terms.context(round);
        let (me, to) = (self.terms.me.share_index(), member.share_index());
        let Ok(key) = SealingPublicKey::from_bytes(to, sealing_key) else { return Ok(None) };
        let (sharing, missing) =
            (self.terms.sharing(), PipelineError::ShareMissing { round, member });
        let bytes = self.secrets.get_in_round(round, &secret::dealt(member))?.ok_or(missing)?;
        let commitment = ShareCommitment::from_bytes(&context, me, sharing, &dealing.shares)?;
        let preimage = Preimage::from_bytes(&context, me, to, &bytes)?;
        let mut rng = os_random().map_err(PipelineError::Randomness)?;
        Ok(seal_share(&context, &commitment, &preimage, &key, &mut rng).ok())
    }

    /// A box that `dealer` has sealed again; kept if it is good, before anything is said.
    pub(super) fn check_box(
        &self,
        round: Round,
        dealer: &Included,
        sealed: &[u8],
    ) -> Result<JobOutput, PipelineError> {
        let opened = self
            .commitment_of(round, dealer)
            .and_then(|commitment| self.open_box(round, dealer, &commitment, sealed));
        match opened {
            Ok(_) => {
                let name = secret::sealed_again(dealer.member);
                self.secrets.put_in_round(round, &name, sealed)?;
                Ok(JobOutput::Checked { valid: true })
            }
            Err(PipelineError::Encryption(_)) => Ok(JobOutput::Checked { valid: false }),
            Err(other) => Err(other),
        }
    }

    pub(super) fn check_share(
        &self,
        round: Round,
        dealer: &Included,
    ) -> Result<JobOutput, PipelineError> {
        if !self.has_share_from(round, dealer)? {
            return Ok(JobOutput::Checked { valid: false });
        }
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
            .get_in_round(round, &secret::dealt(member))?
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
                    let name = secret::share(dealer.member);
                    self.secrets.put_in_round(round, &name, preimage)?;
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

    /// Whether there is a box from `dealer`, or a share from before a restart.
    fn has_share_from(&self, round: Round, dealer: &Included) -> Result<bool, PipelineError> {
        let own = dealer.body.boxes.get(self.terms.me.position()).copied().flatten();
        let kept = [secret::share(dealer.member), secret::sealed_again(dealer.member)];
        let kept = kept.map(|name| self.secrets.file_in_round(round, &name).exists());
        Ok(own.is_some() || kept.contains(&true))
    }

    /// This member's share from `dealer`: out of the answer to a complaint, or out of a box.
    pub(super) fn open_own_share(
        &self,
        round: Round,
        dealer: &Included,
    ) -> Result<Share, PipelineError> {
        let context = self.terms.context(round);
        let commitment = self.commitment_of(round, dealer)?;
        let me = self.terms.me.share_index();
        if let Some(bytes) = self.secrets.get_in_round(round, &secret::share(dealer.member))? {
            let from = dealer.member.share_index();
            let preimage = Preimage::from_bytes(&context, from, me, &bytes)?;
            return Ok(preimage.check(&context, &commitment)?);
        }
        let again = secret::sealed_again(dealer.member);
        if let Some(sealed) = self.secrets.get_in_round(round, &again)? {
            return self.open_box(round, dealer, &commitment, &sealed);
        }
        let missing = PipelineError::ShareMissing { round, member: dealer.member };
        let object = dealer.body.boxes.get(self.terms.me.position()).copied().flatten();
        let sealed = Zeroizing::new(self.objects.read(&object.ok_or(missing)?)?);
        self.open_box(round, dealer, &commitment, &sealed)
    }

    /// Opens a box with the key of exactly this round.
    fn open_box(
        &self,
        round: Round,
        dealer: &Included,
        commitment: &ShareCommitment,
        sealed: &[u8],
    ) -> Result<Share, PipelineError> {
        let missing = PipelineError::ShareMissing { round, member: dealer.member };
        let pair = sealing_keys::load(&self.secrets, round)?.ok_or(missing)?;
        let (context, me) = (self.terms.context(round), self.terms.me.share_index());
        Ok(open_share(&context, commitment, me, &pair, sealed)?)
    }
}
