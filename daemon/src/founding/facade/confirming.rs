//! Operators confirm the frozen list by the phrase that they have compared with the other
//! organisations.

use fedshield_protocol::manifest::ValidManifest;

use super::super::message::Ask;
use super::super::{FoundingError, phrase};
use super::Founding;
use crate::control::api::{ConfirmRequest, FederationView};

impl Founding {
    /// `POST /v1/federation/confirm`: the list that has this phrase is the right one. On disk when
    /// this returns; the signature is sent to the owner at once, or as soon as it can be reached.
    ///
    /// # Errors
    /// [`FoundingError::Phrase`], [`FoundingError::NotFrozen`], [`FoundingError::None`]; and the
    /// owner's refusal if it will not have this node any more.
    pub async fn confirm(&self, request: ConfirmRequest) -> Result<FederationView, FoundingError> {
        let _one = self.inner.command.lock().await;
        let joined = self.take_confirmation(&request.phrase)?;
        self.publish();
        if joined {
            let told = self.exchange(Ask::Poll).await;
            let told = self.end_joining(told);
            self.lock().last_error = told.as_ref().err().map(ToString::to_string);
            self.publish();
            match told {
                Err(error) if !error.is_transient() => return Err(error),
                // It is tried again until the owner answers.
                _ => {}
            }
        }
        self.federation()
    }

    /// True if the owner of the draft must be notified.
    fn take_confirmation(&self, said: &str) -> Result<bool, FoundingError> {
        let mut state = self.lock();
        if let Some(signed) = &state.founded {
            phrase::compare(said, &ValidManifest::founded(signed.clone())?.digest())?;
            return Ok(false);
        }
        if let Some(owner) = &mut state.owner {
            owner.confirm(said, self.inner.identity.signing_key())?;
            self.settle_owner(&mut state)?;
            return Ok(false);
        }
        let joiner = state.joiner.as_mut().ok_or(FoundingError::None)?;
        joiner.confirm(said).map(|()| true)
    }
}
