//! This member's share from another one, wherever it is stored: `check_share` checks it, `decrypt`
//! adds it.

use fedshield_he::{KeyShare, ShareCommitment, ShareOpening, open_share};
use fedshield_protocol::ids::Round;
use fedshield_protocol::job::Included;
use zeroize::Zeroizing;

use super::durable_state::name;
use super::{Pipeline, PipelineError};
use crate::sealing_keys;

impl Pipeline {
    /// This member's share from `dealer`: as the answer to a complaint, or sealed.
    pub(super) fn open_own_share(
        &self,
        round: Round,
        dealer: &Included,
    ) -> Result<KeyShare, PipelineError> {
        let context = self.terms.context(round);
        let commitment = self.commitment_of(round, dealer)?;
        let me = self.terms.my_share_index();
        if let Some(bytes) = self.secrets.get_in_round(round, &name::share(dealer.member))? {
            let opening = ShareOpening::from_bytes(&context, &commitment, me, &bytes)?;
            return Ok(opening.verify(&context, &commitment)?);
        }
        for resealed in name::resealed_shares(dealer.member) {
            if let Some(sealed) = self.secrets.get_in_round(round, &resealed)? {
                return self.open_sealed_share(round, dealer, &commitment, &sealed);
            }
        }
        let missing = PipelineError::ShareMissing { round, member: dealer.member };
        let object = dealer.body.sealed_shares.get(self.terms.me.position()).copied().flatten();
        let sealed = Zeroizing::new(self.objects.read(&object.ok_or(missing)?)?);
        self.open_sealed_share(round, dealer, &commitment, &sealed)
    }

    /// Opens a sealed share with the key of exactly this round.
    pub(super) fn open_sealed_share(
        &self,
        round: Round,
        dealer: &Included,
        commitment: &ShareCommitment,
        sealed: &[u8],
    ) -> Result<KeyShare, PipelineError> {
        let missing = PipelineError::ShareMissing { round, member: dealer.member };
        let pair = sealing_keys::load(&self.secrets, round)?.ok_or(missing)?;
        let (context, me) = (self.terms.context(round), self.terms.my_share_index());
        Ok(open_share(&context, commitment, me, &pair, sealed)?)
    }
}
