//! Messages and objects between nodes: delays, losses, duplicates, cuts.

use std::sync::Arc;

use fedshield_protocol::effect::Effect;
use fedshield_protocol::ids::MemberIndex;
use fedshield_protocol::object::ObjectRef;

use super::byzantine::equivocation::conflicting_vote;
use super::byzantine::false_accusations::false_accusation;
use super::byzantine::split_outcome;
use super::content::Content;
use super::faults::Fault;
use super::world::{Fetch, SimEvent, World};

/// Retries of a fetch, each at all of its holders, before the host gives up.
const FETCH_TRIES: u32 = 4;

impl World {
    /// Sends to everyone.
    pub(super) fn gossip(&mut self, from: usize, bytes: &Arc<[u8]>) {
        self.accuse_falsely(from, bytes);
        for member in 0..self.federation.rules().member_count {
            self.send(from, MemberIndex(member), bytes);
        }
    }

    fn accuse_falsely(&mut self, from: usize, bytes: &[u8]) {
        let Some(node) = self.nodes.get_mut(from) else { return };
        if node.fault != Some(Fault::FalseAccusations) {
            return;
        }
        let accusation = false_accusation(bytes, &self.federation, &node.disk.objects);
        if let Some((message, object, evidence)) = accusation {
            node.disk.objects.insert(object, evidence.into());
            node.served.insert(object, None);
            let message = message.into();
            for member in 0..self.federation.rules().member_count {
                self.send(from, MemberIndex(member), &message);
            }
        }
    }

    /// Sends to one member: to the twin that the sender talks to, if there are two.
    pub(super) fn send(&mut self, from: usize, to: MemberIndex, bytes: &Arc<[u8]>) {
        let Some(sender) = self.nodes.get(from) else { return };
        let (member, side, fault) = (sender.member, sender.side, sender.fault);
        let talks_to = |m: MemberIndex| self.plan.split.get(m.position()).copied();
        if member == to || fault == Some(Fault::Silent) {
            return;
        }
        if side.is_some() && talks_to(to) != side {
            return;
        }
        if fault == Some(Fault::FloodsSets) {
            for bytes in self.instead(from, to, bytes) {
                self.transmit(member, to, &bytes);
            }
            return;
        }
        let conflicting = (fault == Some(Fault::Equivocating) && to.0 % 2 == 1)
            .then(|| conflicting_vote(bytes, &self.federation))
            .flatten();
        let mut bytes = conflicting.map_or_else(|| Arc::clone(bytes), Arc::from);
        if fault == Some(Fault::SplitsOutcome) {
            let other = |object: &ObjectRef| {
                let content = sender.disk.objects.get(object).and_then(|b| Content::read(b))?;
                split_outcome::other_answer(&content).map(|content| content.object())
            };
            match split_outcome::outgoing(&bytes, (member, to), &self.federation, other) {
                Some(other) => bytes = other.into(),
                None => return,
            }
        }
        self.transmit(member, to, &bytes);
    }

    /// Sends bytes through the network, which loses some messages and duplicates others.
    fn transmit(&mut self, member: MemberIndex, to: MemberIndex, bytes: &Arc<[u8]>) {
        let talks_to = |m: MemberIndex| self.plan.split.get(m.position()).copied();
        let receiver = self.nodes.iter().position(|node| {
            node.member == to && node.side.is_none_or(|side| talks_to(member) == Some(side))
        });
        let Some(receiver) = receiver else { return };
        let unstable = self.now < self.plan.heal_ms;
        if self.plan.is_partitioned(member, to, self.now)
            || unstable && self.random.chance(self.plan.loss)
        {
            return;
        }
        let copies = 1 + u64::from(unstable && self.random.chance(self.plan.duplicates));
        for _ in 0..copies {
            let at = self.now + self.random.between(1, self.plan.delay_ms);
            let bytes = Arc::clone(bytes);
            self.schedule(at, SimEvent::Deliver { to: receiver, from: member, bytes });
        }
    }

    /// Takes an object from the node's own disk or a reachable holder; retries later if none has
    /// it.
    pub(super) fn try_fetch(&mut self, mut fetch: Box<Fetch>) {
        let (node, object) = (fetch.node, fetch.object);
        let Some(asker) = self.nodes.get(node) else { return };
        let member = asker.member;
        if !asker.fetching.contains(&object) {
            return;
        }
        let bytes = asker.disk.objects.get(&object).cloned().or_else(|| {
            self.nodes.iter().find_map(|other| {
                let reachable = fetch.holders.contains(&other.member)
                    && other.gives(&object, member)
                    && other.fault != Some(Fault::Silent)
                    && !self.plan.is_partitioned(member, other.member, self.now);
                reachable.then(|| other.disk.objects.get(&object).cloned()).flatten()
            })
        });
        if bytes.is_some() || fetch.tries >= FETCH_TRIES {
            return self.fetched(node, object, bytes);
        }
        let at = self.now + self.random.between(100, 600);
        fetch.tries += 1;
        self.schedule(at, SimEvent::Fetch(fetch));
    }

    /// Executes an effect on the network.
    pub(super) fn execute_network(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::Gossip(bytes) => self.gossip(node, &bytes.into()),
            Effect::Send { to, bytes } => self.send(node, to, &bytes.into()),
            Effect::Fetch { object, holders, .. } => {
                let at = self.now + self.random.between(1, self.plan.delay_ms);
                if let Some(asker) = self.nodes.get_mut(node) {
                    asker.fetching.insert(object);
                    let incarnation = asker.incarnation;
                    let fetch = Box::new(Fetch { node, incarnation, object, holders, tries: 0 });
                    self.schedule(at, SimEvent::Fetch(fetch));
                }
            }
            Effect::StopFetch(object) => {
                if let Some(asker) = self.nodes.get_mut(node) {
                    asker.fetching.remove(&object);
                }
            }
            Effect::Serve { object, audience, .. } => {
                if let Some(server) = self.nodes.get_mut(node) {
                    server.served.insert(object, audience);
                }
            }
            Effect::Unserve(object) => {
                if let Some(server) = self.nodes.get_mut(node) {
                    server.served.remove(&object);
                    server.disk.objects.remove(&object);
                }
            }
            _ => {}
        }
    }
}
