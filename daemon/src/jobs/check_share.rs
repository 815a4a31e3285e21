//! check_share: whether this member's share from another one is valid, as it was sealed first, as
//! it was sealed again, or as a public opening of the share commitment.

use fedshield_he::ShareOpening;
use fedshield_protocol::ids::{MemberIndex, Round};
use fedshield_protocol::job::{Included, JobOutput};

use super::durable_state::name;
use super::{Pipeline, PipelineError};
use crate::encryption::share_index;

impl Pipeline {
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

    /// Checks a share that `dealer` has sealed again; stores it if it is valid, before this member
    /// answers.
    pub(super) fn check_resealed_share(
        &self,
        round: Round,
        dealer: &Included,
        sealed: &[u8],
    ) -> Result<JobOutput, PipelineError> {
        let opened = self
            .commitment_of(round, dealer)
            .and_then(|commitment| self.open_sealed_share(round, dealer, &commitment, sealed));
        match opened {
            Ok(_) => {
                let name = name::resealed_share(dealer.member);
                self.secrets.put_in_round(round, &name, sealed)?;
                Ok(JobOutput::Checked { valid: true })
            }
            Err(PipelineError::Encryption(_)) => Ok(JobOutput::Checked { valid: false }),
            Err(other) => Err(other),
        }
    }

    pub(super) fn check_share_opening(
        &self,
        round: Round,
        dealer: &Included,
        member: MemberIndex,
        opening: &[u8],
    ) -> Result<JobOutput, PipelineError> {
        let context = self.terms.context(round);
        let checked = self.commitment_of(round, dealer).and_then(|commitment| {
            let to = share_index(member);
            let opening = ShareOpening::from_bytes(&context, &commitment, to, opening)?;
            Ok(opening.verify(&context, &commitment)?)
        });
        match checked {
            Ok(_) => {
                if member == self.terms.me {
                    let name = name::share(dealer.member);
                    self.secrets.put_in_round(round, &name, opening)?;
                }
                Ok(JobOutput::Checked { valid: true })
            }
            Err(PipelineError::Encryption(_)) => Ok(JobOutput::Checked { valid: false }),
            Err(other) => Err(other),
        }
    }

    /// Whether there is a sealed share from `dealer`, or one that was stored earlier.
    fn has_share_from(&self, round: Round, dealer: &Included) -> Result<bool, PipelineError> {
        let own = dealer.body.sealed_shares.get(self.terms.me.position()).copied().flatten();
        let [resealed, earlier] = name::resealed_shares(dealer.member);
        let stored = [name::share(dealer.member), resealed, earlier];
        let stored = stored.map(|name| self.secrets.file_in_round(round, &name).exists());
        Ok(own.is_some() || stored.contains(&true))
    }
}
