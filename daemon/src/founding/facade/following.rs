//! The founder's side over time: it joins, asks its owner, signs what is confirmed, and stores the
//! federation.

use std::time::Duration;

use fedshield_protocol::manifest::{Draft, SignedManifest};
use tokio_util::sync::CancellationToken;

use super::super::joiner::{Joiner, Next};
use super::super::message::{self, Ask, Gone, Reply, Request};
use super::super::{FoundingError, Invite};
use super::notices::departure_text;
use super::{Founding, State, now_s};
use crate::control::api::{Condition, ExpectedMember, NodeState, Severity};
use crate::durable;
use crate::sealing_keys;

/// The interval between two requests to the owner; the rate is below the network's limit for
/// joiners.
const POLL_INTERVAL: Duration = Duration::from_millis(1200);
/// The longest pause after failures in a row.
const POLL_INTERVAL_MAX: Duration = Duration::from_secs(30);
/// The interval between two checks for founders that have stopped asking.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// The interval between two equal reports to the owner.
const REPORT_INTERVAL_S: u64 = 60;
/// Most requests in one exchange: join again, sign, fetch the result.
const MAX_EXCHANGES: usize = 5;

impl Founding {
    /// Waits until the federation is founded, asking the owner from time to time if this node has
    /// joined a draft.
    ///
    /// # Errors
    /// Errors that waiting cannot resolve, for instance changed terms: show the error to the
    /// operator and call again, which waits for the next command. `Ok(None)` if stopped before.
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
                    // No event reports that a founder has stopped asking.
                    () = tokio::time::sleep(LOOK_INTERVAL) => self.publish(),
                }
            }
        }
    }

    /// Polls the owner, signs if the list is final and confirmed, and stores the federation when it
    /// is complete.
    ///
    /// # Errors
    /// See [`FoundingError`]; also shown in the view.
    pub async fn poll(&self) -> Result<(), FoundingError> {
        self.report().await;
        let result = self.exchange(Ask::Poll).await;
        let result = self.end_joining(result);
        self.lock().last_error = result.as_ref().err().map(ToString::to_string);
        self.publish();
        result
    }

    pub(super) async fn accept(
        &self,
        invite: &Invite,
        draft: &Draft,
        expected: Option<Vec<ExpectedMember>>,
    ) -> Result<(), FoundingError> {
        let path = self.inner.home.joining();
        let own = self.own_entry(&invite.founding_id)?;
        let joiner = Joiner::accept(&path, invite.clone(), draft, own, expected)?;
        let first = joiner.join_request();
        self.begin(|state| state.joiner = Some(joiner));
        let result = self.exchange(first).await;
        // After a lost answer the owner may have admitted this node: polling finds out.
        let result = self.end_joining(result);
        self.publish();
        result
    }

    /// Handles an answer after which this node is no founder any more: it leaves the draft if the
    /// owner has taken it off, or if it is refused before it has signed. A node that has signed and
    /// is refused for another reason stays: its signature may still be used.
    pub(super) fn end_joining(
        &self,
        result: Result<(), FoundingError>,
    ) -> Result<(), FoundingError> {
        let Err(error) = result else { return Ok(()) };
        let mut state = self.lock();
        if let Some(why) = error.parts() {
            self.part(&mut state, why, true)?;
        } else if error.ends_joining()
            && state.joiner.as_ref().is_some_and(|joiner| joiner.joining.signed.is_none())
        {
            sealing_keys::erase_drafts(&self.inner.secrets, None)?;
            durable::erase(&self.inner.home.joining())?;
            state.joiner = None;
        }
        Err(error)
    }

    /// Tells the owner what keeps this node from taking part: when that has changed, and from time
    /// to time, because an owner that was restarted has forgotten it. An owner of an earlier
    /// version declines, which changes nothing.
    async fn report(&self) {
        let now = now_s();
        let due = {
            let mut state = self.lock();
            let Some(joiner) = &state.joiner else { return };
            let invite = joiner.joining.invite.clone();
            let problems = state.problems.clone();
            let known = state.reported.as_ref().is_some_and(|(at, told)| {
                *told == problems && now.saturating_sub(*at) < REPORT_INTERVAL_S
            });
            if known {
                return;
            }
            state.reported = Some((now, problems.clone()));
            (invite, problems)
        };
        let (invite, problems) = due;
        if let Err(error) = self.ask(&invite, Ask::Report { problems }).await {
            tracing::debug!(%error, "the owner was not told the state of this node");
        }
    }

    /// Sends a request, handles the answer, and sends the next one while the answer calls for it.
    pub(super) async fn exchange(&self, first: Ask) -> Result<(), FoundingError> {
        let mut ask = first;
        for _ in 0..MAX_EXCHANGES {
            let asked = {
                let state = self.lock();
                let joining = &state.joiner.as_ref().ok_or(FoundingError::None)?.joining;
                (joining.invite.clone(), joining.own.sealing_key.clone())
            };
            let (invite, attempt) = asked;
            let reply = self.ask(&invite, ask).await?;
            if matches!(reply, Reply::Sign { .. })
                && let Some(draft) = self.about_to_sign()
            {
                // The data may have changed since this node joined.
                self.check_terms(&draft, false).await?;
            }
            let mut state = self.lock();
            if state.leaving {
                return Ok(());
            }
            // The answer may belong to a draft that was left while the request was under way.
            let joiner = match &mut state.joiner {
                Some(joiner) if joiner.joining.own.sealing_key == attempt => joiner,
                _ => return Ok(()),
            };
            match joiner.take(reply, self.inner.identity.signing_key(), now_s())? {
                Next::Wait => return Ok(()),
                Next::Ask(next) => ask = next,
                Next::Founded(signed) => return self.store(&mut state, signed),
                Next::Move(draft, gone) => ask = self.follow(&mut state, &draft, &gone)?,
            }
        }
        Err(FoundingError::Answer("the owner asks for the same again and again".into()))
    }

    /// The draft was opened again under another id: joins it there, with a fresh key; the old one
    /// is erased.
    fn follow(
        &self,
        state: &mut State,
        draft: &Draft,
        gone: &[Gone],
    ) -> Result<Ask, FoundingError> {
        let founding_id = draft.offer.founding_id;
        let own = self.own_entry(&founding_id)?;
        let Some(joiner) = &mut state.joiner else { return Err(FoundingError::None) };
        let before: Vec<String> =
            joiner.joining.members().iter().map(|member| member.name.clone()).collect();
        // Only members that this node has seen in the draft, and each of them once.
        let gone = gone.iter().filter(|gone| before.contains(&gone.name)).take(before.len());
        let gone = gone.map(departure_text);
        let gone: String = gone.map(|words| format!("; {words}")).collect();
        let ask = joiner.follow(draft, own)?;
        let owner = joiner.owner_name();
        tracing::info!(founding_id = %founding_id.short(), "the draft was opened again: joining it anew");
        state.remark = Some(
            Condition::new(
                "draft-reopened",
                Severity::Notice,
                format!(
                    "{owner} has opened the draft again (it had {}{gone}): what was signed is void, and the list is to be \
                     confirmed anew when the draft is frozen",
                    before.join(", ")
                ),
            )
            .with_hint(
                "compare and `federation confirm` the list when it is final again; `federation leave` if you do not agree",
            ),
        );
        self.retire_key(&founding_id);
        Ok(ask)
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

    /// The draft that would be signed without a further confirmation, if this node has not signed
    /// yet.
    fn about_to_sign(&self) -> Option<Draft> {
        let state = self.lock();
        let joining = &state.joiner.as_ref()?.joining;
        let is_agreed = joining.confirmed.is_some() || joining.expected.is_some();
        let (offer, members) = (joining.accepted.clone(), joining.members().to_vec());
        (is_agreed && joining.signed.is_none()).then_some(Draft { offer, members })
    }

    fn has_joined(&self) -> bool {
        self.lock().joiner.is_some()
    }
}
