//! The founder's side over time: it joins, asks its owner, signs, and stores the federation.

use std::time::Duration;

use fedshield_protocol::manifest::{Manifest, SignedManifest};
use tokio_util::sync::CancellationToken;

use super::super::joiner::{Joiner, Next};
use super::super::message::{self, Ask, Reply, Request};
use super::super::{FoundingError, Invite};
use super::Founding;
use crate::control::api::NodeState;
use crate::durable;

/// Between two questions to the owner; below the network's limit for joiners.
const POLL_INTERVAL: Duration = Duration::from_millis(1200);
/// The longest pause after failures in a row.
const POLL_INTERVAL_MAX: Duration = Duration::from_secs(30);
/// Questions in one go: join again, sign, see the result.
const MAX_EXCHANGES: usize = 4;

impl Founding {
    /// Waits until the federation is founded, asking the owner from time to time if this node has joined a draft.
    ///
    /// # Errors
    /// What cannot be mended by waiting, for instance terms that changed: tell the operator and call again, it waits for
    /// the next command. `Ok(None)`: stopped before.
    pub async fn run(
        &self,
        stop: &CancellationToken,
    ) -> Result<Option<SignedManifest>, FoundingError> {
        let mut view = self.view();
        let mut pause = POLL_INTERVAL;
        loop {
            let state = view.borrow_and_update().state;
            if let Some(founded) = self.founded() {
                return Ok(Some(founded));
            }
            if matches!(state, NodeState::Joining | NodeState::Founding) && self.has_joined() {
                pause = match self.poll().await {
                    Ok(()) => POLL_INTERVAL,
                    Err(error) if error.is_transient() => (pause * 2).min(POLL_INTERVAL_MAX),
                    Err(error) => return Err(error),
                };
                if self.founded().is_some() {
                    continue;
                }
                tokio::select! {
                    () = stop.cancelled() => return Ok(None),
                    () = tokio::time::sleep(pause) => {}
                }
            } else {
                tokio::select! {
                    () = stop.cancelled() => return Ok(None),
                    // The sender lives in `self`.
                    _ = view.changed() => {}
                }
            }
        }
    }

    /// Asks the owner what happened, signs if it is time, and stores the federation when it is complete.
    ///
    /// # Errors
    /// See [`FoundingError`]; also shown in the view.
    pub async fn poll(&self) -> Result<(), FoundingError> {
        let result = self.exchange(Ask::Poll).await;
        if result.as_ref().is_err_and(FoundingError::ends_joining) {
            self.forget_joining()?;
        }
        self.lock().last_error = result.as_ref().err().map(ToString::to_string);
        self.publish();
        result
    }

    pub(super) async fn accept(
        &self,
        invite: &Invite,
        draft: &Manifest,
    ) -> Result<(), FoundingError> {
        let path = self.inner.home.joining();
        let own = self.own_member();
        let joiner = Joiner::accept(&path, invite.clone(), draft, own)?;
        let first = joiner.join_request();
        self.lock().joiner = Some(joiner);
        let result = self.exchange(first).await;
        // After a lost answer the owner may have taken us in: polling finds out.
        if result.as_ref().is_err_and(FoundingError::ends_joining) {
            self.forget_joining()?;
        }
        self.publish();
        result
    }

    /// Leaves a draft that did not come to be. A node that has signed stays: its signature may still be used.
    fn forget_joining(&self) -> Result<(), FoundingError> {
        let mut state = self.lock();
        if state.joiner.as_ref().is_some_and(|joiner| joiner.joining.signed.is_none()) {
            durable::erase(&self.inner.home.joining())?;
            state.joiner = None;
        }
        Ok(())
    }

    /// Asks, does what follows from the answer, and asks again while that is what follows.
    async fn exchange(&self, first: Ask) -> Result<(), FoundingError> {
        let mut ask = first;
        for _ in 0..MAX_EXCHANGES {
            let Some(invite) = self.lock().joiner.as_ref().map(|it| it.joining.invite.clone())
            else {
                return Err(FoundingError::None);
            };
            let reply = self.ask(&invite, ask).await?;
            let next = match &mut self.lock().joiner {
                Some(joiner) => joiner.take(reply, self.inner.identity.signing_key())?,
                None => return Err(FoundingError::None),
            };
            match next {
                Next::Wait => return Ok(()),
                Next::Ask(next) => ask = next,
                Next::Founded(signed) => return self.store(signed),
            }
        }
        Err(FoundingError::Answer("the owner asks for the same again and again".into()))
    }

    pub(super) async fn ask(&self, invite: &Invite, ask: Ask) -> Result<Reply, FoundingError> {
        let request = Request {
            founding_id: invite.founding_id,
            owner: invite.owner,
            from: self.inner.identity.key(),
            token: invite.token,
            ask,
        };
        let (bytes, digest) = message::encode_request(&request, self.inner.identity.signing_key())
            .map_err(|error| FoundingError::Request(error.to_string()))?;
        let addresses = invite.addresses.clone();
        let answer = self.inner.port.request(invite.owner, addresses, bytes).await?;
        message::decode_reply(&answer, &digest, &invite.owner)
            .map_err(|error| FoundingError::Answer(error.to_string()))
    }

    fn has_joined(&self) -> bool {
        self.lock().joiner.is_some()
    }
}
