//! share: the key of this member's own update, split into one share for each member, and each share
//! sealed to its member; sealed again, or opened for all to see, where a member complains.

use fedshield_he::{SealingPublicKey, ShareCommitment, ShareOpening, seal_share, share};
use fedshield_protocol::ids::{LayoutDigest, MemberIndex, Round};
use fedshield_protocol::job::JobOutput;
use fedshield_protocol::wire::CommitmentBody;

use super::durable_state::{KeptDealing, name};
use super::encrypt::Encrypted;
use super::observer::{Stage, timed};
use super::{Pipeline, PipelineError};
use crate::encryption::{ciphertext_digest, member_index, share_index};
use crate::randomness::os_random;

impl Pipeline {
    /// Splits the key of an encrypted update. When this returns, the shares and their published
    /// part are on disk and the key is erased.
    pub(super) fn share(
        &self,
        round: Round,
        encrypted: Encrypted,
        layout: LayoutDigest,
    ) -> Result<(), PipelineError> {
        let context = self.terms.context(round);
        let Encrypted { ciphertext, key } = encrypted;
        let (me, sharing) = (self.terms.my_share_index(), self.terms.sharing.sharing());
        let mut rng = os_random()?;
        let digest = ciphertext_digest(&ciphertext);
        let (commitment, package) = share(&context, me, sharing, &key, digest, &mut rng)?;
        drop(key);
        for opening in package.openings() {
            let name = name::dealt(member_index(opening.receiver()));
            self.secrets.put_in_round(round, &name, &opening.to_bytes(&context))?;
        }
        let shares = commitment.to_bytes(&context);
        self.keep_in_round(round, name::DEALING, &KeptDealing { ciphertext, shares, layout })
    }

    /// Seals each member's share to its sealing key for the round.
    pub(super) fn seal_shares(
        &self,
        round: Round,
        sealing_keys: &[Option<Vec<u8>>],
    ) -> Result<JobOutput, PipelineError> {
        let dealing = self.dealing(round)?;
        let sealed_shares = timed(&*self.observer, round, Stage::Share, || {
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
        let KeptDealing { ciphertext, shares, layout } = dealing;
        Ok(JobOutput::Contribution(CommitmentBody { ciphertext, sealed_shares, shares, layout }))
    }

    /// Seals one member's share again, to a key that arrived late.
    pub(super) fn reseal_share(
        &self,
        round: Round,
        member: MemberIndex,
        sealing_key: &[u8],
    ) -> Result<JobOutput, PipelineError> {
        let dealing = self.dealing(round)?;
        Ok(JobOutput::ResealedShare(self.seal(round, &dealing, member, sealing_key)?))
    }

    /// The public opening of one member's share commitment, after that member has complained.
    pub(super) fn open_share_for_all(
        &self,
        round: Round,
        member: MemberIndex,
    ) -> Result<JobOutput, PipelineError> {
        let bytes = self
            .secrets
            .get_in_round(round, &name::dealt(member))?
            .ok_or(PipelineError::ShareMissing { round, member })?;
        Ok(JobOutput::ShareOpening(bytes.to_vec()))
    }

    fn dealing(&self, round: Round) -> Result<KeptDealing, PipelineError> {
        let missing = PipelineError::ShareMissing { round, member: self.terms.me };
        self.kept_in_round(round, name::DEALING)?.ok_or(missing)
    }

    /// The share of `member`, sealed; `None` if its key is invalid, so that the other members still
    /// get their shares.
    fn seal(
        &self,
        round: Round,
        dealing: &KeptDealing,
        member: MemberIndex,
        sealing_key: &[u8],
    ) -> Result<Option<Vec<u8>>, PipelineError> {
        let context = self.terms.context(round);
        let (me, to) = (self.terms.my_share_index(), share_index(member));
        let Ok(key) = SealingPublicKey::from_bytes(to, sealing_key) else { return Ok(None) };
        let sharing = self.terms.sharing.sharing();
        let missing = PipelineError::ShareMissing { round, member };
        let bytes = self.secrets.get_in_round(round, &name::dealt(member))?.ok_or(missing)?;
        let commitment = ShareCommitment::from_bytes(&context, me, sharing, &dealing.shares)?;
        let opening = ShareOpening::from_bytes(&context, &commitment, to, &bytes)?;
        let mut rng = os_random()?;
        Ok(seal_share(&context, &commitment, &opening, &key, &mut rng).ok())
    }
}
