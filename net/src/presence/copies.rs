//! Finds out whether two processes use one identity: a home that was copied, a machine restored from a snapshot while it
//! still runs. Pure: the clock comes in.
//!
//! * A member that is connected with both sees it: each has answered after the other was first heard. A process that was
//!   started anew after a crash is no copy: the old one never answers again.
//! * Each of the two must learn of it although they never meet, and no member may be able to say so of one that runs
//!   once. So the claim is proven: every process has a [`Challenge`] that it renews; members pass it on to others
//!   that use the same key; those sign it, and the way back is the same. Who finds its own challenge signed with its own key by
//!   another process knows, whoever brought it.
//! * Members that are each connected with one of the two tell one another what they are connected with, and pass the
//!   proof on. They believe it when the process whose challenge was signed answers once more after that.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fedshield_protocol::ids::IdentityKey;
use libp2p::identity::{Keypair, ed25519};
use libp2p::swarm::ConnectionId;
use rand::RngExt;
use tokio::time::Instant;

use super::wire::{Challenge, Hello, Instance, Proof, Report};
use crate::limits::{MAX_HELLO_PROOFS, MAX_HELLO_REPORTS, REPORTS_TO};

/// Claims about ourselves in one hello that we sign.
const MAX_SIGNED_PER_HELLO: usize = 2;
/// Processes of one member that one other member may claim.
const MAX_CLAIMS: usize = 2;

/// Read by the protocol when it answers, written by the network task.
#[derive(Clone)]
pub(crate) struct SharedCopies(Arc<Mutex<Copies>>);

impl SharedCopies {
    pub(crate) fn new(copies: Copies) -> Self {
        Self(Arc::new(Mutex::new(copies)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Copies> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of the processes behind the keys.
pub(crate) struct Copies {
    pair: Keypair,
    own: IdentityKey,
    instance: Instance,
    /// Between two hellos.
    interval: Duration,
    listens: bool,
    heard: BTreeSet<IdentityKey>,
    /// The newest first, with the time when it was drawn.
    challenges: [(Challenge, Instant); 2],
    seen: HashMap<ConnectionId, Seen>,
    /// By who said so: what it is connected with.
    told: BTreeMap<IdentityKey, (Vec<Report>, Instant)>,
    /// By who it is for.
    outbox: BTreeMap<IdentityKey, VecDeque<(Proof, Instant)>>,
    second_until: Option<Instant>,
}

/// A process at the other end of one of our connections.
#[derive(Debug)]
struct Seen {
    member: IdentityKey,
    instance: Instance,
    /// The newest first.
    challenges: [Challenge; 2],
    first: Instant,
    /// The time of the last question that it has answered.
    confirmed: Option<Instant>,
    /// Another process signed its challenge, as we learned at this time.
    proof_at: Option<Instant>,
    /// It answered after that.
    proven_at: Option<Instant>,
}

impl Copies {
    pub(crate) fn new(pair: Keypair, own: IdentityKey, interval: Duration, now: Instant) -> Self {
        let first = (rand::random(), now);
        Self {
            pair,
            own,
            instance: Instance(rand::random()),
            interval,
            listens: false,
            heard: BTreeSet::new(),
            challenges: [first, first],
            seen: HashMap::new(),
            told: BTreeMap::new(),
            outbox: BTreeMap::new(),
            second_until: None,
        }
    }

    /// Whether we take part in gossip, and whose announcements we hear.
    pub(crate) fn set_hearing(&mut self, listens: bool, heard: BTreeSet<IdentityKey>) {
        self.listens = listens;
        self.heard = heard;
    }

    /// The announcements of this member come.
    pub(crate) fn hear(&mut self, member: IdentityKey) {
        self.heard.insert(member);
    }

    /// Forgets what others have said, but `members`.
    pub(crate) fn retain_members(&mut self, members: &[IdentityKey]) {
        self.told.retain(|key, _| members.contains(key));
        self.outbox.retain(|key, _| members.contains(key));
    }

    /// What we say to `peer` now.
    pub(crate) fn hello_to(&mut self, peer: &IdentityKey, now: Instant) -> Hello {
        self.renew(now);
        let forgotten = self.challenge_life();
        self.told.retain(|_, (_, at)| now.saturating_duration_since(*at) < forgotten);
        for proofs in self.outbox.values_mut() {
            proofs.retain(|(_, at)| now.saturating_duration_since(*at) < forgotten);
        }
        let proofs = self.outbox.get(peer).into_iter().flatten().map(|(proof, _)| *proof);
        Hello {
            instance: self.instance,
            challenge: self.challenges[0].0,
            listens: self.listens,
            hears_you: self.heard.contains(peer),
            proofs: proofs.take(MAX_HELLO_PROOFS).collect(),
            reports: self.reports_to(peer),
        }
    }

    /// What was said over a connection; `asked_at` if it answers a question of that time. True if something new about
    /// copies came of it that others should hear soon.
    pub(crate) fn on_hello(
        &mut self,
        connection: ConnectionId,
        from: IdentityKey,
        hello: &Hello,
        asked_at: Option<Instant>,
        now: Instant,
    ) -> bool {
        let mut news = self.see(connection, from, hello, asked_at, now);
        let (own, mut signed) = (self.own, 0);
        for report in &hello.reports {
            if report.member == own && report.instance != self.instance {
                news |= signed < MAX_SIGNED_PER_HELLO && self.sign(from, report.challenge, now);
                signed += 1;
            }
        }
        let told = hello.reports.iter().filter(|it| it.member != own && it.member != from);
        let told: Vec<Report> = told.copied().collect();
        if !told.is_empty() {
            self.told.insert(from, (told, now));
        }
        for proof in &hello.proofs {
            news |=
                if proof.member == own { self.check_own(proof) } else { self.pass_on(proof, now) };
        }
        news
    }

    /// A connection is gone.
    pub(crate) fn closed(&mut self, connection: ConnectionId) {
        self.seen.remove(&connection);
    }

    /// The process at the other end, once it has said hello.
    pub(crate) fn instance_at(&self, connection: ConnectionId) -> Option<Instance> {
        self.seen.get(&connection).map(|seen| seen.instance)
    }

    /// Whether another process uses our key, proven not long ago.
    pub(crate) fn has_second(&self, now: Instant) -> bool {
        self.second_until.is_some_and(|until| now < until)
    }

    /// The members whose keys are used by two processes.
    pub(crate) fn doubled(&self, now: Instant) -> BTreeSet<IdentityKey> {
        let lately = |at: Instant, memory| now.saturating_duration_since(at) < memory;
        let proven = self
            .seen
            .values()
            .filter(|seen| seen.proven_at.is_some_and(|at| lately(at, self.challenge_life())));
        let mut doubled: BTreeSet<_> = proven.map(|seen| seen.member).collect();
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
                    doubled.insert(one.member);
                }
            }
        }
        doubled
    }

    /// How long a signature under one of our challenges counts: as long as the next one may take to come.
    fn challenge_life(&self) -> Duration {
        10 * self.interval
    }

    fn renew(&mut self, now: Instant) {
        if now.saturating_duration_since(self.challenges[0].1) >= 4 * self.interval {
            self.challenges = [(rand::random(), now), self.challenges[0]];
        }
    }

    /// About the listener's own key all that is known; of others what we are connected with, in a large federation not
    /// in every hello.
    fn reports_to(&self, peer: &IdentityKey) -> Vec<Report> {
        let direct = |seen: &Seen| {
            let Seen { member, instance, challenges: [challenge, _], .. } = *seen;
            Report { member, instance, challenge }
        };
        let mut reports: Vec<Report> =
            self.seen.values().filter(|seen| seen.member == *peer).map(direct).collect();
        for (told, _) in self.told.values() {
            let about = told.iter().filter(|report| report.member == *peer);
            reports.extend(about.take(MAX_CLAIMS));
        }
        let others = self.seen.values().filter(|seen| seen.member != *peer);
        let count = others.clone().count();
        if count <= REPORTS_TO || rand::rng().random_range(0..count) < REPORTS_TO {
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
        asked_at: Option<Instant>,
        now: Instant,
    ) -> bool {
        let known = self.seen.get(&connection).is_some_and(|it| it.instance == hello.instance);
        if !known {
            let seen = Seen {
                member,
                instance: hello.instance,
                challenges: [hello.challenge; 2],
                first: now,
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
        if let Some(asked_at) = asked_at {
            seen.confirmed = seen.confirmed.max(Some(asked_at));
            // Alive when it drew the challenge, alive after another has signed it: at the same time.
            if seen.proof_at.is_some_and(|at| asked_at > at) {
                seen.proven_at = seen.proof_at.take();
            }
        }
        let others = self.seen.values().filter(|it| it.member == member);
        !known && others.clone().any(|it| it.instance != hello.instance)
    }

    /// `from` says that another process uses our key: our signature shows it that there are two.
    fn sign(&mut self, from: IdentityKey, challenge: Challenge, now: Instant) -> bool {
        let (member, instance) = (self.own, self.instance);
        let made = |proof: &Proof| proof.member == member && proof.challenge == challenge;
        if self.outbox.get(&from).is_some_and(|sent| sent.iter().any(|(proof, _)| made(proof))) {
            return false;
        }
        let bytes = Proof::signed_bytes(&challenge, &instance);
        let signature = self.pair.sign(&bytes).ok().and_then(|it| it.try_into().ok());
        // Ed25519 signs everything, in 64 bytes.
        let Some(signature) = signature else { return false };
        self.put(from, Proof { member, challenge, instance, signature }, now);
        true
    }

    fn check_own(&mut self, proof: &Proof) -> bool {
        let issued = self.challenges.iter().find(|(challenge, _)| *challenge == proof.challenge);
        let Some((_, issued)) = issued.copied() else { return false };
        if proof.instance == self.instance || !is_signed(proof) {
            return false;
        }
        let news = self.second_until.is_none();
        self.second_until = self.second_until.max(Some(issued + self.challenge_life()));
        news
    }

    /// A proof about another member: towards the process whose challenge it is.
    fn pass_on(&mut self, proof: &Proof, now: Instant) -> bool {
        let fits = |seen: &Seen| {
            seen.member == proof.member
                && seen.instance != proof.instance
                && seen.challenges.contains(&proof.challenge)
        };
        let via = if self.seen.values().any(fits) {
            proof.member
        } else {
            let fits = |report: &Report| {
                report.member == proof.member
                    && report.instance != proof.instance
                    && report.challenge == proof.challenge
            };
            let told = self.told.iter().find(|(_, (reports, _))| reports.iter().any(fits));
            let Some((via, _)) = told else { return false };
            *via
        };
        let held = self.outbox.get(&via).is_some_and(|it| it.iter().any(|(held, _)| held == proof));
        if held || !is_signed(proof) {
            return false;
        }
        for seen in self.seen.values_mut().filter(|seen| fits(seen)) {
            seen.proof_at = Some(now);
        }
        self.put(via, *proof, now);
        true
    }

    fn put(&mut self, to: IdentityKey, proof: Proof, now: Instant) {
        let outbox = self.outbox.entry(to).or_default();
        outbox.push_front((proof, now));
        outbox.truncate(MAX_HELLO_PROOFS);
    }
}

/// Whether `one` has answered a question that was asked after `other` was first heard.
fn outlived(one: &Seen, other: &Seen) -> bool {
    one.confirmed.is_some_and(|at| at > other.first)
}

fn is_signed(proof: &Proof) -> bool {
    let bytes = Proof::signed_bytes(&proof.challenge, &proof.instance);
    ed25519::PublicKey::try_from_bytes(proof.member.as_bytes())
        .is_ok_and(|key| key.verify(&bytes, &proof.signature))
}

#[cfg(test)]
#[path = "copies_tests.rs"]
mod tests;
