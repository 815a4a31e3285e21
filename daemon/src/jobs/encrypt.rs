//! encrypt: the pruned update, as it is quantised, under a fresh key, used once.

use fedshield_he::{OneTimeKey, Update, encrypt};
use fedshield_protocol::ids::Round;
use fedshield_protocol::object::ObjectRef;
use fedshield_train::federated::GlobalAdapter;
use zeroize::Zeroizing;

use super::observer::{Stage, timed};
use super::{Pipeline, PipelineError};
use crate::randomness::os_random;

/// A ciphertext among the objects, and its key, which exists in memory only until it is shared.
pub(super) struct Encrypted {
    pub(super) ciphertext: ObjectRef,
    pub(super) key: OneTimeKey,
}

impl Pipeline {
    pub(super) fn encrypt(
        &self,
        round: Round,
        global: &GlobalAdapter,
        values: &[f32],
        measurement: Option<u16>,
    ) -> Result<Encrypted, PipelineError> {
        let context = self.terms.context(round);
        let me = self.terms.my_share_index();
        let mut rng = os_random()?;
        let mut nonce = Zeroizing::new([0u8; 32]);
        rand::Rng::fill_bytes(&mut rng, nonce.as_mut_slice());
        let plain = Update {
            values,
            scale: self.terms.scale_of(self.terms.me, global.applied()),
            nonce: &nonce,
            measurement,
        };
        let mut writer = self.objects.create()?;
        let (key, _) = timed(&*self.observer, round, Stage::Encrypt, || {
            encrypt(&context, me, &plain, &mut rng, &mut writer)
        })?;
        Ok(Encrypted { ciphertext: writer.finish()?, key })
    }
}
