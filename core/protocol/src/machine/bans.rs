//! Members against whom there is proof. They are not waited for, their updates are not listed, and nothing is fetched from
//! them that another has; what they vote, answer and sign counts as ever, because quorums are counted over all members.
//!
//! Proof reaches everybody. Who has found or checked some says so to all ([`Body::Accusations`]) and gives the bytes to
//! whoever asks; a heartbeat says against whom its author holds proof, and who sees that another lacks one tells it again:
//! so it also reaches members that were away, in later rounds and after restarts. Nothing is believed unchecked: the proof
//! is fetched and checked here before anything follows from it. One sender has one unchecked proof here at a time and none
//! more in a round; a sender that has announced what proves nothing is not listened to any more.
//!
//! A ban may begin at different members in different rounds. That isolates nobody who is honest: only proven members are
//! left out of a sum, so two sums that differ by it differ in updates of proven members alone.

use std::collections::{BTreeMap, BTreeSet};

use super::{Machine, Tag};
use crate::effect::{Effect, Purpose};
use crate::ids::{Digest, MemberIndex, Round};
use crate::job::Job;
use crate::object::ObjectRef;
use crate::sign::Signature;
use crate::wire::evidence::Evidence;
use crate::wire::{Accusation, Bits, Body};

/// What is known of proofs.
#[derive(Debug, Default)]
pub(crate) struct Bans {
    /// The proof against each member that others can get here, and the newest round that one is about.
    proven: BTreeMap<MemberIndex, (Accusation, Round)>,
    /// Through which round people have lifted a member's ban.
    lifted: BTreeMap<MemberIndex, Round>,
    /// What others have announced and is not checked yet, by who did.
    claims: BTreeMap<MemberIndex, Accusation>,
    /// Members that have announced what proves nothing.
    unreliable: BTreeSet<MemberIndex>,
}

impl Bans {
    fn note(&mut self, accusation: Accusation) {
        let known = self.proven.entry(accusation.member).or_insert((accusation, accusation.round));
        known.1 = known.1.max(accusation.round);
    }

    fn is_lifted(&self, member: MemberIndex, round: Round) -> bool {
        self.lifted.get(&member).is_some_and(|through| round <= *through)
    }

    /// Whether proof of something in `round` would change anything.
    fn is_news(&self, member: MemberIndex, round: Round) -> bool {
        let known = self.proven.get(&member);
        !self.is_lifted(member, round)
            && known.is_none_or(|(_, newest)| self.is_lifted(member, *newest))
    }

    /// A new round: claims that came to nothing may be made again.
    pub(crate) fn round_ended(&mut self) {
        self.claims.clear();
    }
}

impl Machine {
    /// Takes note of evidence that an earlier life has checked and the host has kept; before [`Event::Boot`](crate::event::Event::Boot).
    pub fn recall_evidence(&mut self, evidence: &Evidence, object: ObjectRef) {
        let (member, round) = (evidence.member, evidence.round);
        self.bans.note(Accusation { member, round, object });
    }

    /// Takes note of a ban that people have lifted, through `through`; before [`Event::Boot`](crate::event::Event::Boot).
    pub fn recall_lift(&mut self, member: MemberIndex, through: Round) {
        let known = self.bans.lifted.entry(member).or_default();
        *known = through.max(*known);
    }

    /// Whether there is proof against another member, and nobody has lifted its ban.
    #[must_use]
    pub fn is_banned(&self, member: MemberIndex) -> bool {
        member != self.config.me
            && self
                .bans
                .proven
                .get(&member)
                .is_some_and(|(_, newest)| !self.bans.is_lifted(member, *newest))
    }

    /// The newest round of which something is proven of `member`.
    #[must_use]
    pub fn proven_through(&self, member: MemberIndex) -> Option<Round> {
        self.bans.proven.get(&member).map(|(_, newest)| *newest)
    }

    /// Gives the kept proofs to whoever asks, after a start.
    pub(super) fn serve_evidence(&mut self) {
        let kept: Vec<ObjectRef> = self.bans.proven.values().map(|(it, _)| it.object).collect();
        for object in kept {
            self.objects.made(object);
            self.serve(object, None, Purpose::Evidence);
        }
    }

    /// Proof that this member has put together itself.
    pub(crate) fn ban(&mut self, evidence: &Evidence, reason: &str) {
        if self.round.banned.contains_key(&evidence.member) {
            return;
        }
        match evidence.encode() {
            Ok(bytes) => self.proven(evidence, bytes, reason),
            Err(_) => self.dropped("evidence: too long"),
        }
    }

    /// Hands checked proof to the host, once for each member and round, and to the others, if it is news.
    fn proven(&mut self, evidence: &Evidence, bytes: Vec<u8>, reason: &str) {
        let (member, round) = (evidence.member, evidence.round);
        let object = ObjectRef::of(&bytes);
        self.round.banned.insert(member, object);
        let reason = format!("round {round}: {reason}");
        self.out.push(Effect::Ban { member, evidence: bytes, reason });
        let is_news = self.bans.is_news(member, round);
        let accusation = Accusation { member, round, object };
        self.bans.note(accusation);
        self.bans.claims.retain(|_, claim| claim.member != member);
        let is_first = self.bans.proven.get(&member).is_some_and(|(it, _)| *it == accusation);
        if is_first {
            self.objects.made(object);
            self.serve(object, None, Purpose::Evidence);
        }
        if is_first && is_news {
            self.say(Body::Accusations(vec![accusation]));
        }
    }

    /// Two statements that no honest member makes both.
    pub(crate) fn equivocated(
        &mut self,
        member: MemberIndex,
        first: (Body, Signature),
        second: (Body, Signature),
    ) {
        let evidence = Evidence::equivocation(member, self.round.number, first, second);
        self.ban(&evidence, &evidence.description());
    }

    /// Members against whom this one holds proof, for heartbeats.
    pub(super) fn accused(&self) -> Bits {
        Bits::of(self.config.rules().member_count, self.bans.proven.keys().copied())
    }

    /// Tells `to` of the proofs that it lacks.
    pub(super) fn accuse_again(&mut self, to: MemberIndex, theirs: &Bits) {
        let lacking: Vec<Accusation> = self
            .bans
            .proven
            .values()
            .map(|(accusation, _)| *accusation)
            .filter(|accusation| !theirs.contains(accusation.member))
            .collect();
        if !lacking.is_empty() {
            self.tell(to, Body::Accusations(lacking));
        }
    }

    /// Others have proof.
    pub(super) fn take_accusations(&mut self, sender: MemberIndex, list: &[Accusation]) {
        if self.bans.unreliable.contains(&sender) {
            return self.dropped("accusation: its sender announced before what proves nothing");
        }
        if self.bans.claims.contains_key(&sender) {
            return;
        }
        // Who is in a later round than this member is told again when this one is there.
        let current = self.round.number;
        let is_news =
            |it: &&Accusation| it.round <= current && self.bans.is_news(it.member, it.round);
        let news = list.iter().find(is_news);
        if let Some(accusation) = news {
            self.bans.claims.insert(sender, *accusation);
        }
    }

    /// Fetches and checks what others have announced.
    pub(crate) fn check_claims(&mut self) {
        if self.bans.claims.is_empty() {
            return;
        }
        let claims: Vec<Accusation> = self.bans.claims.values().copied().collect();
        for claim in claims {
            let Accusation { member, round, object } = claim;
            if self.objects.is_other(&object) {
                self.refute(claim);
                continue;
            }
            let holders = |it: &Self| {
                let claims = it.bans.claims.iter();
                claims.filter(|(_, c)| c.object == object).map(|(sender, _)| *sender).collect()
            };
            if self.want(object, Purpose::Evidence, holders) {
                let job = Job::CheckEvidence { member, round, object };
                self.start(Tag::CheckEvidence(object.root, member), job);
            }
        }
    }

    /// The host has checked announced evidence.
    pub(super) fn evidence_checked(
        &mut self,
        root: Digest,
        member: MemberIndex,
        bytes: Option<&[u8]>,
    ) {
        let announced = self
            .bans
            .claims
            .iter()
            .find(|(_, claim)| claim.object.root == root && claim.member == member);
        let Some((_, claim)) = announced.map(|(sender, claim)| (*sender, *claim)) else { return };
        let evidence = bytes.and_then(|bytes| Some((Evidence::decode(bytes).ok()?, bytes)));
        let matching = evidence.filter(|(it, bytes)| {
            (it.member, it.round) == (claim.member, claim.round)
                && ObjectRef::of(bytes) == claim.object
        });
        match matching {
            Some((evidence, bytes)) => {
                self.proven(&evidence, bytes.to_vec(), &evidence.description());
            }
            None => self.refute(claim),
        }
    }

    /// What was announced proves nothing, or is something else. Its bytes are not touched: they may be of use for something
    /// else, and go with the objects that no round needs.
    fn refute(&mut self, claim: Accusation) {
        let by = self.bans.claims.iter().filter(|(_, it)| **it == claim).map(|(m, _)| *m);
        let by: Vec<MemberIndex> = by.collect();
        self.bans.unreliable.extend(by);
        self.bans.claims.retain(|_, it| *it != claim);
        self.dropped("accusation: it proves nothing");
    }

    /// Evidence about an opened sum, which the host has put together.
    pub(super) fn answers_proven(&mut self, list: &[Vec<u8>]) {
        for bytes in list {
            match Evidence::decode(bytes) {
                Ok(evidence) => self.ban(&evidence, &evidence.description()),
                Err(_) => self.dropped("job: what is no evidence"),
            }
        }
    }

    /// People have lifted a ban.
    pub(super) fn lift(&mut self, member: MemberIndex, through: Round) {
        self.recall_lift(member, through);
    }
}
