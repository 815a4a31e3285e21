//! The answers of this node over the join protocol: as the owner of a draft, as the owner of one
//! that it has given up, and as a fellow member of one that leaves.

use fedshield_protocol::ids::{Digest, IdentityKey};

use super::super::FoundingError;
use super::super::message::{self, Ask, MessageError, Refusal, Reply, Request};
use super::super::owner::Fresh;
use super::{Founding, State, now_s};
use crate::{randomness, sealing_keys};

impl Founding {
    /// The answer to a request that came over the join protocol from `from`; `None` declines it.
    #[must_use]
    pub fn answer(&self, from: &IdentityKey, bytes: &[u8]) -> Option<Vec<u8>> {
        let answer = self.try_answer(from, bytes);
        self.publish();
        match answer {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                tracing::debug!(from = %from.short(), %error, "a join request was declined");
                None
            }
        }
    }

    fn try_answer(&self, from: &IdentityKey, bytes: &[u8]) -> Result<Vec<u8>, MessageError> {
        let (request, digest) = message::decode_request(bytes, from)?;
        let reply = {
            let mut state = self.lock();
            let reply = self.consider(&mut state, request);
            if let Err(error) = self.settle_owner(&mut state) {
                state.last_error = Some(error.to_string());
            }
            reply
        };
        let reply = reply.unwrap_or_else(|refusal| Reply::Refused { refusal });
        message::encode_reply(&reply, &digest, self.inner.identity.signing_key())
    }

    fn consider(&self, state: &mut State, request: Request) -> Result<Reply, Refusal> {
        if request.owner != self.inner.identity.key() {
            return Err(Refusal::InviteUnknown);
        }
        if let Ask::Leave { sealing_key, parted: true, .. } = &request.ask
            && let Some(reply) = self.take_farewell(state, &request, sealing_key)
        {
            return reply;
        }
        if let Some(given_up) = state.partings.all.abandoned(&request.founding_id, &request.token) {
            return match request.ask {
                Ask::Leave { .. } => Ok(Reply::Left),
                Ask::Clock => Ok(Reply::Clock { now_s: now_s() }),
                _ => Err(Refusal::Abandoned { federation: given_up.federation.clone() }),
            };
        }
        let Some(owner) = state.owner.as_mut() else { return Err(Refusal::InviteUnknown) };
        let before = owner.kept.founding_id();
        let reply = owner.consider(request, now_s(), || self.fresh());
        let after = owner.kept.founding_id();
        if before != after {
            self.retire_key(&after);
        }
        reply
    }

    /// A fellow member has left before the first round; `None` if this node is not a member.
    fn take_farewell(
        &self,
        state: &mut State,
        request: &Request,
        sealing_key: &[u8],
    ) -> Option<Result<Reply, Refusal>> {
        let founded = state.founded.as_ref().map(|signed| &signed.manifest);
        let founded = founded.map(|it| (it.founding_id, it.members.as_slice()));
        let joined = state.joiner.as_ref().map(|joiner| &joiner.joining);
        let joined = joined.map(|it| (it.accepted.founding_id, it.members()));
        let (founding_id, members) = founded.or(joined)?;
        if founding_id != request.founding_id {
            return None;
        }
        let entry = members.iter().find(|it| it.identity_key == request.from)?;
        if entry.sealing_key != sealing_key {
            // From an earlier attempt to join: the member has rejoined since.
            return Some(Ok(Reply::Left));
        }
        let (id, from) = (request.founding_id, request.from);
        let recorded = state.partings.change(|all| all.record_farewell(id, from));
        Some(recorded.map(|_| Reply::Left).map_err(|error| {
            tracing::error!(%error, "a farewell cannot be stored");
            Refusal::Later { reason: "its disk cannot store it".into() }
        }))
    }

    /// The owner's entry and founding id for a draft that is opened again; its key is on disk when
    /// this returns.
    pub(super) fn fresh(&self) -> Result<Fresh, FoundingError> {
        let founding_id = self.random_id()?;
        Ok(Fresh { founding_id, own: self.own_entry(&founding_id)? })
    }

    pub(super) fn random_id(&self) -> Result<Digest, FoundingError> {
        let mut id = [0; 32];
        randomness::fill(&mut id)?;
        Ok(Digest(id))
    }

    /// Erases the keys of all drafts but the one with this id; if that fails, the next start does
    /// it.
    pub(super) fn retire_key(&self, current: &Digest) {
        if let Err(error) = sealing_keys::erase_drafts(&self.inner.secrets, Some(current)) {
            tracing::error!(%error, "the sealing key of a draft that was left cannot be erased yet");
        }
    }
}
