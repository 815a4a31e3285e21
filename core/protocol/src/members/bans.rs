//! Members against whom there is proof. They are not waited for, their updates are not listed, and
//! nothing is fetched from them that another has; what they vote, answer and sign counts as ever,
//! because quorums are counted over all members.
//!
//! Evidence reaches everybody. A member that has found or checked evidence announces it to all
//! ([`Body::Accusations`]) and serves its bytes; a heartbeat lists against whom its sender holds
//! evidence, and whoever sees that another member lacks some announces it again. So it also reaches
//! members that were away, in later rounds and after restarts. Nothing is accepted unchecked: the
//! evidence is fetched and checked here before anything follows from it. One sender has at most one
//! unchecked claim here at a time; a sender whose claim proved nothing is ignored from then on.
//!
//! A ban may begin at different members in different rounds. That isolates nobody who is honest:
//! only proven members are left out of a sum, so two sums that differ by it differ in updates of
//! proven members alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::context::{Cx, Tag};
use crate::effect::{Effect, Purpose};
use crate::ids::{Digest, MemberIndex, Round};
use crate::job::Job;
use crate::object::ObjectRef;
use crate::wire::evidence::Evidence;
use crate::wire::{Accusation, Bits, Body};

/// What is known of proofs.
#[derive(Debug)]
pub(crate) struct Bans {
    me: MemberIndex,
    /// The proof against each member that others can get here, and the newest round that one is
    /// about.
    proven: BTreeMap<MemberIndex, (Accusation, Round)>,
    /// Through which round people have lifted a member's ban.
    lifted: BTreeMap<MemberIndex, Round>,
    /// What others have announced and is not checked yet, by who did.
    claims: BTreeMap<MemberIndex, Accusation>,
    /// Members that have announced what proves nothing.
    unreliable: BTreeSet<MemberIndex>,
    /// Proofs that have come to hand in this round: the record's attachments name them.
    of_this_round: BTreeMap<MemberIndex, ObjectRef>,
}

impl Bans {
    pub(super) const fn new(me: MemberIndex) -> Self {
        Self {
            me,
            proven: BTreeMap::new(),
            lifted: BTreeMap::new(),
            claims: BTreeMap::new(),
            unreliable: BTreeSet::new(),
            of_this_round: BTreeMap::new(),
        }
    }

    /// Evidence that was checked before a restart and is kept by the host.
    pub(crate) fn recall(&mut self, evidence: &Evidence, object: ObjectRef) {
        let (member, round) = (evidence.member, evidence.round);
        self.note(Accusation { member, round, object });
    }

    /// People have lifted a member's ban, as far as it is for rounds up to `through`.
    pub(crate) fn lift(&mut self, member: MemberIndex, through: Round) {
        let known = self.lifted.entry(member).or_default();
        *known = through.max(*known);
    }

    pub(super) fn is_banned(&self, member: MemberIndex) -> bool {
        member != self.me
            && self.proven.get(&member).is_some_and(|(_, newest)| !self.is_lifted(member, *newest))
    }

    /// The newest round of which something is proven of `member`.
    pub(crate) fn proven_through(&self, member: MemberIndex) -> Option<Round> {
        self.proven.get(&member).map(|(_, newest)| *newest)
    }

    /// Proofs that have come to hand in this round, by member.
    pub(crate) const fn of_this_round(&self) -> &BTreeMap<MemberIndex, ObjectRef> {
        &self.of_this_round
    }

    /// A new round: claims that proved nothing may be made again.
    pub(crate) fn begin_round(&mut self) {
        self.claims.clear();
        self.of_this_round.clear();
    }

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

    /// Gives the kept proofs to whoever asks, after a start.
    pub(crate) fn serve(&self, cx: &mut Cx) {
        for (accusation, _) in self.proven.values() {
            cx.objects.made(accusation.object);
            cx.serve(accusation.object, None, Purpose::Evidence);
        }
    }

    /// Proof that this member has put together itself.
    pub(crate) fn on_evidence(&mut self, cx: &mut Cx, evidence: &Evidence, reason: &str) {
        if self.of_this_round.contains_key(&evidence.member) {
            return;
        }
        match evidence.encode() {
            Ok(bytes) => self.proven(cx, evidence, bytes, reason),
            Err(_) => cx.dropped("evidence: too long"),
        }
    }

    /// Hands checked proof to the host, once for each member and round, and to the others, if it is
    /// news.
    fn proven(&mut self, cx: &mut Cx, evidence: &Evidence, bytes: Vec<u8>, reason: &str) {
        let (member, round) = (evidence.member, evidence.round);
        let object = ObjectRef::of(&bytes);
        self.of_this_round.insert(member, object);
        let reason = format!("round {round}: {reason}");
        cx.push(Effect::Ban { member, evidence: bytes, reason });
        let is_news = self.is_news(member, round);
        let accusation = Accusation { member, round, object };
        self.note(accusation);
        self.claims.retain(|_, claim| claim.member != member);
        let is_first = self.proven.get(&member).is_some_and(|(it, _)| *it == accusation);
        if is_first {
            cx.objects.made(object);
            cx.serve(object, None, Purpose::Evidence);
        }
        if is_first && is_news {
            cx.broadcast(Body::Accusations(vec![accusation]));
        }
    }

    /// Members against whom this one holds proof, for heartbeats.
    pub(crate) fn accused(&self, member_count: u16) -> Bits {
        Bits::of(member_count, self.proven.keys().copied())
    }

    /// Announces to `to` the evidence that it lacks.
    pub(crate) fn accuse_again(&self, cx: &mut Cx, to: MemberIndex, theirs: &Bits) {
        let lacking: Vec<Accusation> = self
            .proven
            .values()
            .map(|(accusation, _)| *accusation)
            .filter(|accusation| !theirs.contains(accusation.member))
            .collect();
        if !lacking.is_empty() {
            cx.send(to, Body::Accusations(lacking));
        }
    }

    /// Others announce evidence.
    pub(crate) fn on_accusations(&mut self, cx: &mut Cx, sender: MemberIndex, list: &[Accusation]) {
        if self.unreliable.contains(&sender) {
            return cx.dropped("accusation: its sender announced before what proves nothing");
        }
        if self.claims.contains_key(&sender) {
            return;
        }
        // A sender in a later round announces it again once this member is there.
        let current = cx.round();
        let is_news = |it: &&Accusation| it.round <= current && self.is_news(it.member, it.round);
        if let Some(accusation) = list.iter().find(is_news) {
            self.claims.insert(sender, *accusation);
        }
    }

    /// Fetches and checks what others have announced.
    pub(crate) fn advance(&mut self, cx: &mut Cx) {
        let claims: Vec<Accusation> = self.claims.values().copied().collect();
        for claim in claims {
            let Accusation { member, round, object } = claim;
            if cx.objects.is_other(&object) {
                self.refute(cx, claim);
                continue;
            }
            let holders = |_: &Cx| {
                let claims = self.claims.iter().filter(|(_, claim)| claim.object == object);
                let mut holders: Vec<MemberIndex> = claims.map(|(sender, _)| *sender).collect();
                holders.sort_by_key(|member| self.is_banned(*member));
                holders
            };
            if cx.request(object, Purpose::Evidence, holders) {
                let job = Job::CheckEvidence { member, round, object };
                cx.start(Tag::CheckEvidence(object.root, member), job);
            }
        }
    }

    /// The host has checked announced evidence; `bytes` are its bytes if it proves its claim.
    pub(crate) fn on_checked(
        &mut self,
        cx: &mut Cx,
        root: Digest,
        member: MemberIndex,
        bytes: Option<&[u8]>,
    ) {
        let announced =
            self.claims.values().find(|claim| claim.object.root == root && claim.member == member);
        let Some(claim) = announced.copied() else { return };
        let evidence = bytes.and_then(|bytes| Some((Evidence::decode(bytes).ok()?, bytes)));
        let matching = evidence.filter(|(it, bytes)| {
            (it.member, it.round) == (claim.member, claim.round)
                && ObjectRef::of(bytes) == claim.object
        });
        match matching {
            Some((evidence, bytes)) => {
                self.proven(cx, &evidence, bytes.to_vec(), &evidence.description());
            }
            None => self.refute(cx, claim),
        }
    }

    /// What was announced proves nothing, or is something else. Its bytes are not touched: they may
    /// be of use for something else, and go with the objects that no round needs.
    fn refute(&mut self, cx: &mut Cx, claim: Accusation) {
        let by = self.claims.iter().filter(|(_, it)| **it == claim).map(|(m, _)| *m);
        let by: Vec<MemberIndex> = by.collect();
        self.unreliable.extend(by);
        self.claims.retain(|_, it| *it != claim);
        cx.dropped("accusation: it proves nothing");
    }

    /// Evidence about an opened sum, which the host has put together.
    pub(crate) fn on_proven(&mut self, cx: &mut Cx, list: &[Vec<u8>]) {
        for bytes in list {
            match Evidence::decode(bytes) {
                Ok(evidence) => self.on_evidence(cx, &evidence, &evidence.description()),
                Err(_) => cx.dropped("job: what is no evidence"),
            }
        }
    }
}
