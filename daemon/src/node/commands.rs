//! An operator's commands to a running node.

mod adapter;
mod views;

use std::sync::Arc;

use fedshield_protocol::ids::{FederationId, Round};
use fedshield_protocol::manifest::{SignedManifest, ValidManifest};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::early::held_up;
use super::turn::Node;
use super::{NodeError, doctor, evidence, transport_check};
use crate::control::api::{
    ApiError, DoctorView, Done, ErrorCode, LeaveRequest, LeftView, LiftView, MemberView, Pause,
};
use crate::control::{ControlCommand, Reply};
use crate::durable::DiskError;
use crate::founding::FoundingError;
use crate::store::Ledger;
use adapter::export;
use views::with_connections;

impl Node {
    pub(super) async fn command(
        &mut self,
        command: ControlCommand,
        stop: &CancellationToken,
    ) -> Result<(), NodeError> {
        match command {
            // Founding sends requests to other nodes, so it never runs on this loop.
            ControlCommand::NewFederation(request, reply) => {
                let founding = self.founding.clone();
                spawn(reply, async move { Ok(founding.new_federation(request).await?) });
            }
            ControlCommand::Found(request, reply) => {
                let founding = self.founding.clone();
                spawn(reply, async move { Ok(founding.found(request).await?) });
            }
            ControlCommand::Confirm(request, reply) => {
                let founding = self.founding.clone();
                spawn(reply, async move { Ok(founding.confirm(request).await?) });
            }
            ControlCommand::Invite(request, reply) => {
                let founding = self.founding.clone();
                spawn(reply, async move { Ok(founding.invite(request).await?) });
            }
            ControlCommand::Join(request, reply) => {
                let founding = self.founding.clone();
                spawn(reply, async move { Ok(founding.join(request).await?) });
            }
            ControlCommand::Leave(request, reply) => self.leave(request, reply),
            ControlCommand::Drop(request, reply) => {
                let founding = self.founding.clone();
                spawn(reply, async move { Ok(founding.drop_member(&request.name).await?) });
            }
            ControlCommand::Abandon(reply) => {
                let founding = self.founding.clone();
                spawn(reply, async move { Ok(founding.abandon().await?) });
            }
            ControlCommand::Federation(reply) => {
                answer(reply, self.founding.federation().map_err(ApiError::from));
            }
            ControlCommand::Members(reply) => {
                let (members, net) = (self.members(), self.net.clone());
                spawn(reply, async move { Ok(with_connections(members, &net).await) });
            }
            ControlCommand::PeerAdd(request, reply) => {
                let (peers, net, members) = (self.peers.clone(), self.net.clone(), self.members());
                spawn(reply, async move {
                    let added = peers.add(&request, &members)?;
                    peers.apply(&net).await;
                    Ok(added)
                });
            }
            ControlCommand::PeerRemove(request, reply) => {
                let (peers, net, members) = (self.peers.clone(), self.net.clone(), self.members());
                spawn(reply, async move {
                    let left = peers.remove(&request, &members)?;
                    peers.apply(&net).await;
                    Ok(left)
                });
            }
            ControlCommand::Rounds(reply) => {
                self.with_ledger(reply, |ledger| Ok(ledger.reports()?));
            }
            ControlCommand::Ledger(reply) => {
                self.with_ledger(reply, |ledger| Ok(ledger.bytes()?));
            }
            ControlCommand::Evidence(reply) => {
                let names = self.names();
                self.with_ledger(reply, move |ledger| evidence::list(ledger, &names));
            }
            ControlCommand::EvidenceFile(request, reply) => match self.founding.founded() {
                Some(signed) => {
                    let federation = federation_of(&signed);
                    self.with_ledger(reply, move |ledger| {
                        evidence::file(ledger, federation?, &request.digest)
                    });
                }
                None => answer(reply, Err(not_founded())),
            },
            ControlCommand::Lift(request, by, reply) => {
                self.lift(&request.member, by, reply).await?
            }
            ControlCommand::Export(request, reply) => {
                let ledger = Arc::clone(&self.ledger);
                self.with_pipeline(reply, move |pipeline| export(pipeline, &ledger, request));
            }
            ControlCommand::Evaluate(request, reply) => self.evaluate(request, reply),
            ControlCommand::Pause(by, reply) => self.pause(by, reply).await?,
            ControlCommand::Resume(reply) => self.resume(reply).await?,
            ControlCommand::Doctor(reply) => {
                let (mut view, listen) = (self.doctor(), self.status.borrow().listen.clone());
                let (members, net) = (self.members(), self.net.clone());
                let (told, signed) = (self.founding.announced().addresses, self.founding.founded());
                let (look, looked) = oneshot::channel();
                self.with_ledger(look, move |ledger| {
                    Ok(signed.map(|signed| doctor::ledger(ledger, &signed)))
                });
                spawn(reply, async move {
                    let members = with_connections(members, &net).await;
                    view.checks.push(transport_check::check(&listen, &told, &members));
                    view.checks.extend(looked.await.ok().and_then(Result::ok).flatten());
                    Ok(view)
                });
            }
            ControlCommand::Stop(reply) => {
                answer(reply, Ok(Done {}));
                stop.cancel();
            }
        }
        Ok(())
    }

    async fn pause(&mut self, by: Option<String>, reply: Reply<Pause>) -> Result<(), NodeError> {
        let Some(host) = &mut self.host else {
            answer(reply, Err(self.no_host()));
            return Ok(());
        };
        if let Some(reason) = host.waits_for() {
            answer(reply, Err(waits_for_space(reason)));
            return Ok(());
        }
        let paused = host.pause(by).await?;
        answer(reply, paused.map_err(|error| not_remembered(&error, "pause")));
        Ok(())
    }

    async fn lift(
        &mut self,
        name: &str,
        by: Option<String>,
        reply: Reply<LiftView>,
    ) -> Result<(), NodeError> {
        let names = self.names();
        let (Some(host), Some(signed)) = (&mut self.host, self.founding.founded()) else {
            answer(reply, Err(self.no_host()));
            return Ok(());
        };
        if let Some(reason) = host.waits_for() {
            answer(reply, Err(waits_for_space(reason)));
            return Ok(());
        }
        match evidence::member(&signed.manifest, name) {
            Ok(member) if !host.is_banned(member) => {
                let error = ApiError::new(
                    ErrorCode::WrongState,
                    format!("{name} is not banned here: there is nothing to lift"),
                );
                let hint = "`fedshield-cli evidence list` shows what was proven of whom";
                answer(reply, Err(error.with_hint(hint)));
            }
            Ok(member) => {
                let lifted = host.lift_ban(member, by).await?;
                let view = lifted.map(|lift| evidence::lift_view(&lift, &names));
                answer(reply, view.map_err(ApiError::from));
            }
            Err(error) => answer(reply, Err(error)),
        }
        Ok(())
    }

    /// The members' names, in the order of the manifest.
    fn names(&self) -> Vec<String> {
        self.founding.members().into_iter().map(|member| member.name).collect()
    }

    async fn resume(&mut self, reply: Reply<Done>) -> Result<(), NodeError> {
        let Some(host) = &mut self.host else {
            answer(reply, Err(self.no_host()));
            return Ok(());
        };
        if let Some(reason) = host.waits_for() {
            answer(reply, Err(waits_for_space(reason)));
            return Ok(());
        }
        let resumed = host.resume().await?.map(|()| Done {});
        answer(reply, resumed.map_err(|error| not_remembered(&error, "resume")));
        Ok(())
    }

    /// Before the founding is complete, only the founding handles it; after it, until a round has
    /// ended, the whole node, which then restarts with an empty home.
    fn leave(&mut self, request: LeaveRequest, reply: Reply<LeftView>) {
        if self.founding.founded().is_none() {
            let founding = self.founding.clone();
            return spawn(reply, async move {
                Ok(if request.rejects {
                    founding.reject().await?
                } else {
                    founding.leave().await?
                })
            });
        }
        let no_round_has_ended = match &self.status.borrow().machine {
            // The journal may still have rounds that a lost ledger lacks.
            Some(machine) => machine.round == Round(0) && machine.journal_round.is_none(),
            // No host runs, because the terms cannot be used here.
            None => self.ledger.count() == 0,
        };
        let left = if no_round_has_ended {
            self.founding.leave_founded()
        } else {
            Err(FoundingError::RoundsEnded)
        };
        self.left = left.is_ok();
        answer(reply, left.map_err(ApiError::from));
    }

    fn members(&self) -> Vec<MemberView> {
        let mut members = self.founding.members();
        let status = self.status.borrow();
        if let Some(machine) = &status.machine {
            for (member, known) in members.iter_mut().zip(&machine.members) {
                member.status = Some(known.clone());
            }
        }
        members
    }

    fn with_ledger<T: Send + 'static>(
        &self,
        reply: Reply<T>,
        work: impl FnOnce(&Ledger) -> Result<T, ApiError> + Send + 'static,
    ) {
        answer_ledger(&self.ledger, reply, work);
    }

    fn doctor(&self) -> DoctorView {
        let (status, told) = (self.status.borrow().clone(), self.founding.announced());
        doctor::checks(&self.home, self.identity.is_protected(), Some(&told), &status)
    }

    /// The error for commands that need a running federation.
    fn no_host(&self) -> ApiError {
        if self.founding.founded().is_none() {
            return not_founded();
        }
        held_up(&self.status.borrow()).unwrap_or_else(|| {
            ApiError::new(ErrorCode::WrongState, "the node is starting: it prepares model and data")
                .with_hint("see `fedshield-cli status`, and try again when it has come up")
        })
    }
}

/// A command whose effect would not outlive a restart is refused.
fn not_remembered(error: &DiskError, wish: &str) -> ApiError {
    let message = format!("cannot {wish}, because a restart would not know of it: {error}");
    ApiError::new(error.code(), message)
        .with_hint("fix the disk of the home folder, then try again")
}

fn federation_of(signed: &SignedManifest) -> Result<FederationId, ApiError> {
    ValidManifest::check(signed.manifest.clone())
        .map(|manifest| manifest.federation())
        .map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))
}

fn not_founded() -> ApiError {
    ApiError::new(ErrorCode::WrongState, "the federation is not founded yet")
        .with_hint("see `fedshield-cli federation show` for what it waits for")
}

fn spawn<T: Send + 'static>(
    reply: Reply<T>,
    work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) {
    tokio::spawn(async move { answer(reply, work.await) });
}

/// Reads the whole ledger or all reports off the loop: they grow while a federation runs, and the
/// loop must not wait.
pub(super) fn answer_ledger<T: Send + 'static>(
    ledger: &Arc<Ledger>,
    reply: Reply<T>,
    work: impl FnOnce(&Ledger) -> Result<T, ApiError> + Send + 'static,
) {
    let ledger = Arc::clone(ledger);
    tokio::task::spawn_blocking(move || answer(reply, work(&ledger)));
}

fn waits_for_space(reason: &str) -> ApiError {
    let message = format!("the node waits until it can write again: {reason}");
    ApiError::new(ErrorCode::DiskFull, message).with_hint(
        "free some space on that disk, or mount it for writing if it is read-only; then ask again",
    )
}

pub(super) fn answer<T>(reply: Reply<T>, result: Result<T, ApiError>) {
    // The client may have disconnected.
    let _ = reply.send(result);
}
