//! Detects that two processes use one identity: a home folder that was copied, a machine that was
//! restored from a snapshot while it still runs. Pure: the clock is an argument.
//!
//! * A member that is connected with both detects it: each has answered a hello that was sent after
//!   the other was first seen. A restart after a crash is not a duplicate, because the old process
//!   never answers again.
//! * Each of the two has to learn of it although they are never connected, and no member may be
//!   able to claim it of one that runs a single process. So it is proven: every process has a
//!   [`Challenge`] that it renews; members forward it to other processes that use the same key,
//!   which sign it; the signature returns the same way. A process that finds its own challenge
//!   signed with its own key by another process has the proof, whoever forwarded it.
//! * Members that are each connected with one of the two report to one another what they are
//!   connected with, and forward the proof. They accept it when the process whose challenge was
//!   signed answers once more after that.

mod proofs;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fedshield_protocol::ids::IdentityKey;
use libp2p::identity::Keypair;
use libp2p::swarm::ConnectionId;
use rand::RngExt;
use tokio::time::Instant;

use super::wire::{Challenge, Hello, Instance, Proof, Report};
use crate::limits::{FULL_REPORT_MEMBERS, MAX_HELLO_PROOFS, MAX_HELLO_REPORTS};

/// Reports about our own key in one hello that we sign.
const MAX_SIGNED_PER_HELLO: usize = 2;
/// Processes of one member that are taken from the reports of one other member.
const MAX_REPORTED: usize = 2;

/// Shared by the presence protocol, which reads it, and the driver, which writes it.
#[derive(Clone)]
pub(crate) struct SharedInstances(Arc<Mutex<Instances>>);

impl SharedInstances {
    pub(crate) fn new(instances: Instances) -> Self {
        Self(Arc::new(Mutex::new(instances)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Instances> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The known processes of all members.
pub(crate) struct Instances {
    pair: Keypair,
    own: IdentityKey,
    instance: Instance,
    /// Time between two hellos.
    interval: Duration,
    /// Whether we subscribe to gossip, and the members whose announcements we receive.
    subscribes: bool,
    received: BTreeSet<IdentityKey>,
    /// Our challenges, the newest first, each with the time at which it was drawn.
    challenges: [(Challenge, Instant); 2],
    seen: HashMap<ConnectionId, Seen>,
    /// What each member reports that it is connected with, and when.
    reported: BTreeMap<IdentityKey, (Vec<Report>, Instant)>,
    /// Proofs to send, by receiver.
    outbox: BTreeMap<IdentityKey, VecDeque<(Proof, Instant)>>,
    /// Until when a duplicate of our own identity counts as running.
    duplicate_until: Option<Instant>,
}

/// A process at the other end of one of our connections.
#[derive(Debug)]
struct Seen {
    member: IdentityKey,
    instance: Instance,
    /// The newest first.
    challenges: [Challenge; 2],
    first_seen: Instant,
    /// When the last hello that it has answered was sent.
    confirmed: Option<Instant>,
    /// When we learned that another process has signed its challenge.
    proof_at: Option<Instant>,
    /// When we learned of the proof that it has answered a hello after.
    proven_at: Option<Instant>,
}

impl Instances {
    pub(crate) fn new(pair: Keypair, own: IdentityKey, interval: Duration, now: Instant) -> Self {
        let first = (rand::random(), now);
        Self {
            pair,
            own,
            instance: Instance(rand::random()),
            interval,
            subscribes: false,
            received: BTreeSet::new(),
            challenges: [first, first],
            seen: HashMap::new(),
            reported: BTreeMap::new(),
            outbox: BTreeMap::new(),
            duplicate_until: None,
        }
    }

    /// Sets whether we subscribe to gossip, and whose announcements we receive.
    pub(crate) fn set_gossip(&mut self, subscribes: bool, received: BTreeSet<IdentityKey>) {
        self.subscribes = subscribes;
        self.received = received;
    }

    /// An announcement or subscription of this member was received.
    pub(crate) fn note_gossip(&mut self, member: IdentityKey) {
        self.received.insert(member);
    }

    /// Drops the reports of, and the proofs for, those that are not `members`.
    pub(crate) fn retain_members(&mut self, members: &[IdentityKey]) {
        self.reported.retain(|key, _| members.contains(key));
        self.outbox.retain(|key, _| members.contains(key));
    }

    /// The hello to send to `peer` now.
    pub(crate) fn hello_to(&mut self, peer: &IdentityKey, now: Instant) -> Hello {
        self.renew(now);
        let lifetime = self.challenge_lifetime();
        self.reported.retain(|_, (_, at)| now.saturating_duration_since(*at) < lifetime);
        for proofs in self.outbox.values_mut() {
            proofs.retain(|(_, at)| now.saturating_duration_since(*at) < lifetime);
        }
        let proofs = self.outbox.get(peer).into_iter().flatten().map(|(proof, _)| *proof);
        Hello {
            instance: self.instance,
            challenge: self.challenges[0].0,
            subscribes: self.subscribes,
            receives_from_you: self.received.contains(peer),
            proofs: proofs.take(MAX_HELLO_PROOFS).collect(),
            reports: self.reports_to(peer),
        }
    }

    /// A hello came over a connection; `sent_at` is set if it answers one of ours that was sent
    /// then. True if it brought news about duplicates that others should get soon.
    pub(crate) fn on_hello(
        &mut self,
        connection: ConnectionId,
        from: IdentityKey,
        hello: &Hello,
        sent_at: Option<Instant>,
        now: Instant,
    ) -> bool {
        let mut is_news = self.see(connection, from, hello, sent_at, now);
        let (own, mut signed) = (self.own, 0);
        for report in &hello.reports {
            if report.member == own && report.instance != self.instance {
                is_news |= signed < MAX_SIGNED_PER_HELLO
                    && self.sign_challenge(from, report.challenge, now);
                signed += 1;
            }
        }
        let reported = hello.reports.iter().filter(|it| it.member != own && it.member != from);
        let reported: Vec<Report> = reported.copied().collect();
        if !reported.is_empty() {
            self.reported.insert(from, (reported, now));
        }
        for proof in &hello.proofs {
            is_news |=
                if proof.member == own { self.check_own(proof) } else { self.forward(proof, now) };
        }
        is_news
    }

    /// A connection was closed.
    pub(crate) fn closed(&mut self, connection: ConnectionId) {
        self.seen.remove(&connection);
    }

    /// The process at the other end, if it has sent a hello.
    pub(crate) fn instance_at(&self, connection: ConnectionId) -> Option<Instance> {
        self.seen.get(&connection).map(|seen| seen.instance)
    }

    /// Whether another process uses our key, by a recent proof.
    pub(crate) fn has_duplicate(&self, now: Instant) -> bool {
        self.duplicate_until.is_some_and(|until| now < until)
    }

    /// The members whose keys are used by two processes.
    pub(crate) fn duplicated(&self, now: Instant) -> BTreeSet<IdentityKey> {
        let lately = |at: Instant, memory| now.saturating_duration_since(at) < memory;
        let proven = self
            .seen
            .values()
            .filter(|seen| seen.proven_at.is_some_and(|at| lately(at, self.challenge_lifetime())));
        let mut duplicated: BTreeSet<_> = proven.map(|seen| seen.member).collect();
        for one in self.seen.values() {
            for other in self.seen.values() {
                let apart = one.member == other.member && one.instance != other.instance;
                let alive =
                    |it: &Seen| it.confirmed.is_some_and(|at| lately(at, 4 * self.interval));
                if apart
                    && alive(one)
                    && alive(other)
                    && outlived(one, other)
                    && outlived(other, one)
                {
                    duplicated.insert(one.member);
                }
            }
        }
        duplicated
    }

    /// How long a signature over one of our challenges is valid: as long as the next one may take
    /// to arrive.
    fn challenge_lifetime(&self) -> Duration {
        10 * self.interval
    }

    fn renew(&mut self, now: Instant) {
        if now.saturating_duration_since(self.challenges[0].1) >= 4 * self.interval {
            self.challenges = [(rand::random(), now), self.challenges[0]];
        }
    }

    /// All known processes with the receiver's key; of other members those that we are connected
    /// with, in a large federation not in every hello.
    fn reports_to(&self, peer: &IdentityKey) -> Vec<Report> {
        let direct = |seen: &Seen| {
            let Seen { member, instance, challenges: [challenge, _], .. } = *seen;
            Report { member, instance, challenge }
        };
        let mut reports: Vec<Report> =
            self.seen.values().filter(|seen| seen.member == *peer).map(direct).collect();
        for (reported, _) in self.reported.values() {
            let about = reported.iter().filter(|report| report.member == *peer);
            reports.extend(about.take(MAX_REPORTED));
        }
        let others = self.seen.values().filter(|seen| seen.member != *peer);
        let count = others.clone().count();
        if count <= FULL_REPORT_MEMBERS || rand::rng().random_range(0..count) < FULL_REPORT_MEMBERS
        {
            reports.extend(others.map(direct));
        }
        reports.truncate(MAX_HELLO_REPORTS);
        reports
    }

    fn see(
        &mut self,
        connection: ConnectionId,
        member: IdentityKey,
        hello: &Hello,
        sent_at: Option<Instant>,
        now: Instant,
    ) -> bool {
        let known = self.seen.get(&connection).is_some_and(|it| it.instance == hello.instance);
        if !known {
            let seen = Seen {
                member,
                instance: hello.instance,
                challenges: [hello.challenge; 2],
                first_seen: now,
                confirmed: None,
                proof_at: None,
                proven_at: None,
            };
            self.seen.insert(connection, seen);
        }
        let Some(seen) = self.seen.get_mut(&connection) else { return false };
        if seen.challenges[0] != hello.challenge {
            seen.challenges = [hello.challenge, seen.challenges[0]];
        }
        if let Some(sent_at) = sent_at {
            seen.confirmed = seen.confirmed.max(Some(sent_at));
            // It drew the challenge, another process signed it, and it is still alive: both ran at
            // the same time.
            if seen.proof_at.is_some_and(|at| sent_at > at) {
                seen.proven_at = seen.proof_at.take();
            }
        }
        let others = self.seen.values().filter(|it| it.member == member);
        !known && others.clone().any(|it| it.instance != hello.instance)
    }
}

/// Whether `one` has answered a hello that was sent after `other` was first seen.
fn outlived(one: &Seen, other: &Seen) -> bool {
    one.confirmed.is_some_and(|at| at > other.first_seen)
}
