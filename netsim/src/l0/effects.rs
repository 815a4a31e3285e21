//! Executes the effects of a machine and ends its jobs and fetches. Effects on the network are in
//! `network`.
//!
//! This is a second implementation of the contract of `fedshield_protocol::effect`: the daemon's
//! host runs on threads, sockets and the disk, whereas a run must be a function of its seed. So the
//! daemon's own host, files and connections are not simulated; `tests/tests/storm.rs` and
//! `tests/tests/kill.rs` crash real daemons. Here an effect is on disk once it is executed, and a
//! crash happens between two effects.

use std::sync::Arc;

use fedshield_protocol::effect::Effect;
use fedshield_protocol::event::Event;
use fedshield_protocol::ids::{MemberIndex, Round};
use fedshield_protocol::job::{Job, JobId};
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::journal::Entry;

use super::checkers::Fact;
use super::evidence;
use super::node::Node;
use super::run::Bug;
use super::world::{SimEvent, World};

impl World {
    pub(super) fn execute(&mut self, index: usize, effect: Effect) {
        let Some(node) = self.nodes.get_mut(index) else { return };
        let incarnation = node.incarnation;
        match effect {
            Effect::Persist(bytes) => {
                self.note(index, "persist", &bytes);
                let Ok(entry) = Entry::decode(&bytes) else { return };
                let round = entry.round;
                self.observe(index, &Fact::Noted(entry));
                if let Some(node) = self.nodes.get_mut(index) {
                    node.disk.journal.push((round, bytes));
                }
            }
            Effect::Append(record) => {
                self.note(index, "append", record.record.beacon.as_bytes());
                self.observe(index, &Fact::Recorded(&record));
                if record.record.round.0 == self.ends.len() as u64 {
                    let began_ms = self.ends.last().copied().unwrap_or_default();
                    self.checkers.round_ended(began_ms, &record.record);
                    self.ends.push(self.now);
                }
                if let Some(node) = self.nodes.get_mut(index) {
                    node.disk.records.push(*record);
                }
            }
            Effect::ReadRecords { to, from, limit_bytes } => {
                let read =
                    SimEvent::ReadRecords { node: index, incarnation, to, from, limit_bytes };
                self.schedule(self.now + 1, read);
            }
            Effect::Truncate { before } => {
                node.disk.journal.retain(|(round, _)| *round >= before);
            }
            Effect::SetTimer(timer, at) => {
                let number = node.timers.entry(timer).or_default();
                *number += 1;
                let number = *number;
                let at = at.0.max(self.now + 1);
                self.schedule(at, SimEvent::Timer { node: index, incarnation, timer, number });
            }
            Effect::CancelTimer(timer) => *node.timers.entry(timer).or_default() += 1,
            Effect::Start(id, job) => {
                node.jobs.insert(id.0);
                self.observe(index, &Fact::Started(&job));
                let ms = match &job {
                    Job::Contribute { .. } => self.random.between(200, 1500),
                    _ => self.random.between(1, 200),
                };
                let job = Box::new(job);
                self.schedule(self.now + ms, SimEvent::Job { node: index, incarnation, id, job });
            }
            Effect::Cancel(id) => {
                node.jobs.remove(&id.0);
            }
            Effect::Ban { member, evidence, reason } => {
                if self.verbose {
                    self.note(index, &format!("evidence against {member}: {reason}"), &[]);
                }
                self.observe(index, &Fact::Banned(member, &evidence));
                if let Some(node) = self.nodes.get_mut(index) {
                    node.disk.objects.insert(ObjectRef::of(&evidence), evidence.as_slice().into());
                    node.disk.evidence.push(evidence);
                }
            }
            Effect::Publish(status) => {
                if self.nodes.get(index).is_some_and(Node::is_honest) {
                    let members = self.federation.manifest.members().zip(&status.members);
                    let out = members.filter(|(_, it)| it.excluded_until.is_some());
                    let honest = out.filter(|(m, _)| self.plan.fault_of(*m).is_none());
                    self.excluded.extend(honest.map(|(m, _)| m));
                }
                if self.verbose {
                    let text = format!("{} {:?} view {}", status.round, status.phase, status.view);
                    self.note(index, &text, &[]);
                }
            }
            other => {
                if let Effect::Gossip(bytes) | Effect::Send { bytes, .. } = &other {
                    self.note(index, "send", bytes);
                }
                if let Effect::Fetch { object, purpose, .. } = &other {
                    self.observe(index, &Fact::Fetched(*object, *purpose));
                }
                self.execute_network(index, other);
            }
        }
    }

    pub(super) fn end_job(&mut self, index: usize, id: JobId, job: &Job) {
        let rules = self.federation.rules();
        let used_threshold = self.federation.used.rules().threshold.min(rules.threshold);
        let resend_spent = self.bug == Some(Bug::SpentResent);
        let Some(node) = self.nodes.get_mut(index) else { return };
        if !node.jobs.remove(&id.0) {
            return;
        }
        let failures = self.plan.job_failures;
        let fails = self.now < self.plan.heal_ms && failures > 0 && self.random.chance(failures);
        let output = match fails {
            true => Err("injected failure".to_owned()),
            false => evidence::run_job(&self.federation, &node.disk.objects, job)
                .unwrap_or_else(|| node.run_job(job, used_threshold, resend_spent)),
        };
        match output {
            Ok(output) => {
                if let Some(node) = self.nodes.get(index) {
                    self.checkers.contributed(&self.federation, node, job, &output);
                }
                self.observe(index, &Fact::Ended(job, &output));
                self.handle(index, Event::JobDone(id, output));
            }
            Err(reason) => self.handle(index, Event::JobFailed(id, reason)),
        }
    }

    pub(super) fn read_records(
        &mut self,
        index: usize,
        to: MemberIndex,
        from: Round,
        limit_bytes: usize,
    ) {
        let Some(node) = self.nodes.get(index) else { return };
        let start = usize::try_from(from.0).unwrap_or(usize::MAX);
        // The machine sends no more than fit; this only avoids the copy of a long ledger.
        let most = limit_bytes / 256;
        let records = node.disk.records.get(start..).unwrap_or_default().iter().take(most).cloned();
        let records = records.collect();
        self.handle(index, Event::Records { to, records });
    }

    pub(super) fn fetched(&mut self, index: usize, object: ObjectRef, bytes: Option<Arc<[u8]>>) {
        let Some(node) = self.nodes.get_mut(index) else { return };
        node.fetching.remove(&object);
        match bytes {
            Some(bytes) => {
                node.disk.objects.insert(object, bytes);
                self.handle(index, Event::ObjectReady(object));
            }
            None => self.handle(index, Event::ObjectFailed(object)),
        }
    }
}
