//! The event queue: time passes only here.

mod lifecycle;

use std::collections::{BTreeSet, BinaryHeap};
use std::sync::Arc;

use fedshield_protocol::event::{Command, Event, TimerId};
use fedshield_protocol::ids::{MemberIndex, Round, Time};
use fedshield_protocol::job::{Job, JobId};
use fedshield_protocol::object::ObjectRef;

use super::checkers::{Checkers, Fact};
use super::faults::{Absence, Crash, Fault, Plan};
use super::federation::Federation;
use super::loss::Losses;
use super::node::Node;
use super::queue::Scheduled;
use super::random::Random;
use super::run::Bug;
use super::trace::Trace;
use super::triggered_crash::TriggeredCrashes;

/// A scheduled event. Kept small, because the queue moves it: large or rare contents are boxed.
#[derive(Debug, Clone)]
pub(super) enum SimEvent {
    Boot(usize),
    Crash(Box<Crash>),
    Leave(Absence),
    Resume(usize),
    Deliver { to: usize, from: MemberIndex, bytes: Arc<[u8]> },
    ReadRecords { node: usize, incarnation: u64, to: MemberIndex, from: Round, limit_bytes: usize },
    Timer { node: usize, incarnation: u64, timer: TimerId, number: u64 },
    Job { node: usize, incarnation: u64, id: JobId, job: Box<Job> },
    Fetch(Box<Fetch>),
}

/// A node's request for an object.
#[derive(Debug, Clone)]
pub(super) struct Fetch {
    pub(super) node: usize,
    pub(super) incarnation: u64,
    pub(super) object: ObjectRef,
    pub(super) holders: Vec<MemberIndex>,
    /// Number of failed attempts, each at all holders.
    pub(super) tries: u32,
}

/// A whole run.
pub(super) struct World {
    pub(super) federation: Federation,
    pub(super) plan: Plan,
    pub(super) bug: Option<Bug>,
    pub(super) now: u64,
    pub(super) random: Random,
    pub(super) nodes: Vec<Node>,
    pub(super) checkers: Checkers,
    pub(super) losses: Losses,
    pub(super) triggered_crashes: TriggeredCrashes,
    pub(super) trace: Trace,
    pub(super) verbose: bool,
    pub(super) events: u64,
    /// When any node first recorded each round.
    pub(super) ends: Vec<u64>,
    /// Honest members that another honest one has excluded.
    pub(super) excluded: BTreeSet<MemberIndex>,
    queue: BinaryHeap<Scheduled>,
    next: u64,
}

impl World {
    pub(super) fn new(
        federation: Federation,
        plan: Plan,
        seed: u64,
        bug: Option<Bug>,
        verbose: bool,
    ) -> Self {
        let mut nodes = Vec::new();
        let mut twins = Vec::new();
        for member in federation.manifest.members() {
            let fault = plan.fault_of(member);
            let is_twin = fault == Some(Fault::Twins);
            nodes.push(Node::new(member, is_twin.then_some(false), fault));
            if is_twin {
                twins.push(Node::new(member, Some(true), fault));
            }
        }
        nodes.extend(twins);
        // The manifest's sealing keys are those of the first round.
        for node in &mut nodes {
            let members = &federation.manifest.manifest().members;
            let own = members.get(node.member.position()).map(|own| own.sealing_key.clone());
            node.disk.keys.extend(own.map(|key| (Round(0), key)));
        }
        let checkers = Checkers::new(&federation, &plan);
        let triggered_crashes = TriggeredCrashes::new(&plan.triggered_crashes);
        let mut world = Self {
            federation,
            plan,
            bug,
            now: 0,
            random: Random::new(seed, 2),
            nodes,
            checkers,
            losses: Losses::default(),
            triggered_crashes,
            trace: Trace::default(),
            verbose,
            events: 0,
            ends: Vec::new(),
            excluded: BTreeSet::new(),
            queue: BinaryHeap::new(),
            next: 0,
        };
        for node in 0..world.nodes.len() {
            let at = world.random.below(500);
            world.schedule(at, SimEvent::Boot(node));
        }
        for crash in world.plan.crashes.clone() {
            world.schedule(crash.at_ms, SimEvent::Crash(Box::new(crash)));
        }
        for absence in world.plan.absences.clone() {
            world.schedule(absence.from_ms, SimEvent::Leave(absence));
        }
        world
    }

    pub(super) fn schedule(&mut self, at: u64, event: SimEvent) {
        self.next += 1;
        self.queue.push(Scheduled { at, number: self.next, event });
    }

    /// Executes the next event; false if none is left.
    pub(super) fn step(&mut self) -> bool {
        let Some(Scheduled { at, event, .. }) = self.queue.pop() else { return false };
        self.now = self.now.max(at);
        self.events += 1;
        match event {
            SimEvent::Boot(node) => self.boot(node),
            SimEvent::Crash(crash) => {
                let node = self.nodes.get_mut(crash.node).filter(|n| n.machine.is_some());
                if let Some(node) = node {
                    node.pending_crash = Some(*crash);
                }
            }
            SimEvent::Leave(absence) => self.leave(absence),
            SimEvent::Resume(node) => {
                let paused = self.nodes.get_mut(node).filter(|n| n.pauses > 0);
                if let Some(paused) = paused {
                    paused.pauses -= 1;
                    if paused.pauses == 0 {
                        self.handle(node, Event::Operator(Command::Resume));
                    }
                }
            }
            SimEvent::Deliver { to, from, bytes } => {
                self.replay(to, &bytes);
                self.record_report(to, &bytes);
                self.handle(to, Event::Message { from, bytes: bytes.to_vec() });
            }
            SimEvent::ReadRecords { node, incarnation, to, from, limit_bytes } => {
                if self.is_alive(node, incarnation) {
                    self.read_records(node, to, from, limit_bytes);
                }
            }
            SimEvent::Timer { node, incarnation, timer, number } => {
                let current = self.nodes.get(node).and_then(|n| n.timers.get(&timer));
                if self.is_alive(node, incarnation) && current == Some(&number) {
                    self.handle(node, Event::Tick(timer));
                }
            }
            SimEvent::Job { node, incarnation, id, job } => {
                if self.is_alive(node, incarnation) {
                    self.end_job(node, id, &job);
                }
            }
            SimEvent::Fetch(fetch) => {
                if self.is_alive(fetch.node, fetch.incarnation) {
                    self.try_fetch(fetch);
                }
            }
        }
        true
    }

    pub(super) fn is_alive(&self, node: usize, incarnation: u64) -> bool {
        self.nodes.get(node).is_some_and(|n| n.incarnation == incarnation && n.machine.is_some())
    }

    /// Delivers an event to a machine and executes its effects in order.
    pub(super) fn handle(&mut self, index: usize, event: Event) {
        let Some(node) = self.nodes.get_mut(index) else { return };
        let (pending_crash, incarnation) = (node.pending_crash, node.incarnation);
        let Some(machine) = node.machine.as_mut() else { return };
        let text = if self.verbose { format!("{event:?}") } else { String::new() };
        let effects = machine.handle(Time(self.now), event);
        if self.verbose && !text.starts_with("Message") {
            self.note(index, &text, &[]);
        }
        let count = effects.len();
        // A crash comes between any two effects: what was not persisted before is lost.
        let cut = match pending_crash {
            Some(_) => self.random.below(count as u64 + 1) as usize,
            None => count,
        };
        for effect in effects.into_iter().take(cut) {
            self.crash_if_triggered();
            if !self.is_alive(index, incarnation) {
                return;
            }
            self.execute(index, effect);
        }
        if let Some(crash) = pending_crash {
            self.crash(index, crash);
        }
    }

    pub(super) fn observe(&mut self, index: usize, fact: &Fact<'_>) {
        if let Some(node) = self.nodes.get(index).filter(|node| node.is_honest()) {
            self.checkers.observe(&self.federation, node, fact);
            self.triggered_crashes.observe(index, fact);
        }
    }

    /// Adds to the trace: the same seed gives the same trace.
    pub(super) fn note(&mut self, index: usize, what: &str, bytes: &[u8]) {
        self.trace.note(self.now, index, what, bytes);
        if self.verbose && what != "send" && what != "persist" {
            let mut line = format!("{:>7} node {index}: {what}", self.now);
            line.truncate(160);
            eprintln!("{line}");
        }
    }
}
