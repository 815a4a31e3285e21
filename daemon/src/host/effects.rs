//! Executes what the machine asks for, in order.

use fedshield_net::{Audience, Label};
use fedshield_protocol::effect::{Effect, Purpose};
use fedshield_protocol::event::Event;
use fedshield_protocol::ids::{IdentityKey, MemberIndex, Round};
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::journal::Entry;

use super::evidence;
use super::pending::Step;
use super::{Host, HostError};
use crate::conditions::unix_s;
use crate::store::EvidenceEntry;

/// The label under which the network counts the bytes of a purpose.
pub(super) fn label(purpose: Purpose) -> Label {
    let number = match purpose {
        Purpose::Ciphertext => 0,
        Purpose::Share => 1,
        Purpose::Aggregate => 2,
        Purpose::Partial => 3,
        Purpose::Adapter => 4,
        Purpose::Evidence => 5,
        Purpose::Key => 6,
    };
    Label::new(number).unwrap_or_default()
}

impl Host {
    /// Writes a step's data to disk, all of it or nothing; returns a step to be executed next, if
    /// any. Blocks on an fsync.
    pub(super) fn write(&mut self, step: &Step) -> Result<Option<Step>, HostError> {
        match step {
            Step::Effect(Effect::Persist(bytes)) => {
                // The machine encoded these bytes; if they do not decode, they are kept as of no
                // round that may be dropped.
                let round = Entry::decode(bytes).map_or(Round(u64::MAX), |entry| entry.round);
                self.parts.journal.append(round, bytes)?;
            }
            Step::Effect(Effect::Append(record)) => {
                self.parts.ledger.append(record)?;
                self.left_out.round_ended(&record.record);
                // The machine has checked it before it asked for this.
                self.parts.ledger.set_verified(&self.parts.checkpoint, record);
                return Ok(Some(Step::Ended(Box::new(self.round_ended(record)))));
            }
            Step::Effect(Effect::Truncate { before }) => self.parts.journal.truncate(*before)?,
            Step::Effect(Effect::Ban { member, evidence, reason }) => {
                self.keep_evidence(*member, evidence, reason)?;
            }
            Step::Ended(ended) => self.keep_report(ended)?,
            Step::Effect(_) => {}
        }
        Ok(None)
    }

    /// Executes an effect that writes nothing to disk.
    pub(super) async fn act(&mut self, effect: Effect) {
        match effect {
            Effect::ReadRecords { to, from, limit_bytes } => {
                self.read_records(to, from, limit_bytes);
            }
            Effect::Gossip(bytes) => self.gossip(bytes).await,
            Effect::Send { to, bytes } => self.send(to, bytes),
            Effect::SetTimer(id, at) => self.timers.set(id, at),
            Effect::CancelTimer(id) => self.timers.cancel(id),
            Effect::Fetch { object, holders, purpose } => self.fetch(object, &holders, purpose),
            Effect::StopFetch(object) => {
                self.fetches.end(&object);
                self.parts.net.stop_fetch(&object);
            }
            Effect::Serve { object, audience, purpose } => {
                if purpose == Purpose::Evidence {
                    self.unpack_evidence(&object);
                }
                self.collector.serve(&object);
                let audience = match audience {
                    None => Audience::Everyone,
                    Some(members) => Audience::Members(self.keys_of(&members)),
                };
                if let Err(reason) = self.parts.net.serve(object, audience, label(purpose)) {
                    tracing::warn!(object = %object.root.short(), %reason, "cannot serve an object");
                }
            }
            Effect::Unserve(object) => self.drop_object(&object),
            Effect::Start(id, job) => self.jobs.start(id, job),
            Effect::Cancel(id) => {
                self.jobs.cancel(id);
                self.disk_space.job_ended(id);
            }
            Effect::Publish(status) => {
                self.reports.observe(&status);
                self.watch.observe(&status);
                self.left_out.observe(&status);
                self.standing.show_failed_rounds(&status.failed_rounds);
                self.parts.status.send_modify(|node| node.machine = Some((*status).clone()));
                self.standing.publish(*status, self.clock.now(), unix_s());
            }
            // Handled by `write`.
            Effect::Persist(_)
            | Effect::Append(_)
            | Effect::Truncate { .. }
            | Effect::Ban { .. } => {}
        }
    }

    async fn gossip(&self, bytes: Vec<u8>) {
        // It is normal that no member is connected; the machine sends it again.
        if let Err(reason) = self.parts.net.gossip(bytes).await {
            tracing::debug!(%reason, "announcement not sent");
        }
    }

    fn send(&self, to: MemberIndex, bytes: Vec<u8>) {
        let Some(key) = self.key_of(to) else { return };
        let net = self.parts.net.clone();
        // Not awaited here: a slow member must not delay the machine. The network bounds its queue.
        tokio::spawn(async move {
            if let Err(reason) = net.send(key, bytes).await {
                tracing::debug!(%to, %reason, "message not sent");
            }
        });
    }

    fn fetch(&mut self, object: ObjectRef, holders: &[MemberIndex], purpose: Purpose) {
        if self.parts.objects.contains(&object).unwrap_or(false) {
            self.followed.push(Event::ObjectReady(object));
            return;
        }
        if let Err(reason) = self.fetches.begin(object) {
            // The machine asks again after its next status tick, when space may be free.
            self.disk_space.fetch_failed(&reason.to_string());
            self.followed.push(Event::ObjectFailed(object));
            return;
        }
        if let Err(reason) = self.parts.net.fetch(object, self.keys_of(holders), label(purpose)) {
            self.fetches.end(&object);
            // Too many at once, for instance: the machine asks again after its next status tick.
            tracing::debug!(object = %object.root.short(), %reason, "cannot fetch an object yet");
            self.followed.push(Event::ObjectFailed(object));
        }
    }

    /// Stops serving an object and removes its bytes.
    fn drop_object(&mut self, object: &ObjectRef) {
        self.parts.net.stop_serving(object);
        self.collector.stop_serving(object);
        if let Err(reason) = self.parts.objects.remove(object) {
            tracing::warn!(object = %object.root.short(), %reason, "cannot remove an object");
        }
    }

    fn keep_evidence(
        &self,
        member: MemberIndex,
        evidence: &[u8],
        reason: &str,
    ) -> Result<(), HostError> {
        let name = self.parts.names.get(member.position()).map_or("?", String::as_str);
        let evidence = EvidenceEntry::now(name, reason, evidence);
        if self.parts.ledger.put_evidence(&evidence)? {
            tracing::error!(member = name, reason, "misbehaviour proven; evidence kept");
            self.parts.status.send_modify(|status| evidence::show(status, name, reason));
        }
        Ok(())
    }

    fn keys_of(&self, members: &[MemberIndex]) -> Vec<IdentityKey> {
        members.iter().filter_map(|member| self.key_of(*member)).collect()
    }
}
