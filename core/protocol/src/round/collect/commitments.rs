//! commit: train, prune, encode, encrypt at the host; then seal the boxes, with the keys of this
//! round that have come by then; then bind to the result. Shares and ciphertext are on disk before
//! the commitment is, and the commitment is in the journal before it is announced: after a restart
//! the same bytes are served, and nothing is encrypted twice under one key. Nobody waits for a
//! sealing key: whoever has none gets no box, and asks for one later (`shares`).
//!
//! What an update of this round looks like is known before anything of one is fetched: layout and
//! lengths follow from mask, preset, manifest and the adapter that the round starts from. A
//! commitment to something else is never fetched, listed or waited for: its author could otherwise
//! have every disk of the committee filled by a few hundred bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::dirty_set::DirtySet;
use crate::context::{Cx, Question, Tag};
use crate::effect::Purpose;
use crate::ids::{CommitmentDigest, MemberIndex};
use crate::job::{Included, Job, UpdateShape};
use crate::members::SealingKeys;
use crate::sign::Signature;
use crate::status::Refusal;
use crate::wire::{Body, CommitmentBody, UpdateSet};

/// A member's commitment to its update.
#[derive(Debug, Clone)]
pub(crate) struct Commitment {
    pub(crate) author: MemberIndex,
    pub(crate) body: Arc<CommitmentBody>,
    pub(crate) signature: Signature,
    /// It comes from the journal: what of it is here has not been served since the start.
    pub(crate) recalled: bool,
}

/// The commitments of the round, the own one among them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Commitments {
    /// What updates look like, once the host has said so.
    shape: Option<UpdateShape>,
    /// The own update is encrypted; its boxes are not sealed yet.
    encrypted: bool,
    own: Option<CommitmentDigest>,
    known: BTreeMap<CommitmentDigest, Commitment>,
    /// The first commitment of each member; only this one is transferred and reported.
    first: BTreeMap<MemberIndex, CommitmentDigest>,
    dirty: DirtySet,
}

impl Commitments {
    pub(crate) fn get(&self, digest: &CommitmentDigest) -> Option<&Commitment> {
        self.known.get(digest)
    }

    /// The digest of the own commitment.
    pub(crate) const fn own(&self) -> Option<CommitmentDigest> {
        self.own
    }

    /// The own commitment, to send it again.
    pub(crate) fn own_message(&self) -> Option<Body> {
        let own = self.known.get(&self.own?)?;
        Some(Body::Commitment(Box::new(own.body.as_ref().clone())))
    }

    /// The first commitment of `member`.
    pub(crate) fn first_of(&self, member: MemberIndex) -> Option<&CommitmentDigest> {
        self.first.get(&member)
    }

    /// The first commitment of each member, in manifest order.
    pub(crate) const fn first(&self) -> &BTreeMap<MemberIndex, CommitmentDigest> {
        &self.first
    }

    /// All commitments of one author: more than one is evidence.
    pub(crate) fn all_of(&self, author: MemberIndex) -> impl Iterator<Item = &Commitment> {
        self.known.values().filter(move |commitment| commitment.author == author)
    }

    /// Notes a commitment of `author` that is not known yet; its first is the one that counts.
    pub(super) fn insert(&mut self, digest: CommitmentDigest, commitment: Commitment) {
        self.first.entry(commitment.author).or_insert(digest);
        self.dirty.insert(digest, &commitment.body);
        self.known.insert(digest, commitment);
    }

    /// The digest, of another member's first commitment or a second one: `None` if it cannot be
    /// computed.
    pub(super) fn digest(
        cx: &Cx,
        author: MemberIndex,
        body: &CommitmentBody,
    ) -> Option<CommitmentDigest> {
        cx.config.roster().scope(cx.round()).commitment(author, body).ok()
    }

    /// Whether the shape of the round's updates is known; the first question asks the host.
    pub(super) fn is_prepared(&self, cx: &mut Cx) -> bool {
        if self.shape.is_none() {
            let start = cx.start;
            cx.start(Tag::Prepare(start.round), Job::PrepareRound { start });
        }
        self.shape.is_some()
    }

    pub(super) const fn has_shape(&self) -> bool {
        self.shape.is_some()
    }

    pub(crate) fn on_prepared(&mut self, cx: &mut Cx, shape: UpdateShape) {
        self.shape = Some(shape);
        for digest in self.known.keys() {
            self.dirty.mark(*digest);
        }
        for digest in self.known.keys() {
            self.count_misshapen(cx, digest);
        }
    }

    /// What is wrong with the commitment to an update, by itself; nothing as long as the round's
    /// shape is not known.
    pub(crate) fn misshape_of(&self, update: &CommitmentDigest) -> Option<Refusal> {
        let (shape, known) = self.shape.as_ref().zip(self.known.get(update))?;
        let body = &known.body;
        if body.layout != shape.layout {
            return Some(Refusal::Layout);
        }
        let fits = body.ciphertext.length == shape.ciphertext_bytes
            && body.boxes.iter().flatten().all(|sealed| sealed.length == shape.box_bytes);
        (!fits).then_some(Refusal::Length)
    }

    /// People see that an update was refused, and why.
    pub(super) fn count_misshapen(&self, cx: &mut Cx, digest: &CommitmentDigest) {
        match self.misshape_of(digest) {
            Some(Refusal::Layout) => cx.dropped("commitment: another layout than the round's"),
            Some(_) => cx.dropped("commitment: another length than the round's updates have"),
            None => {}
        }
    }

    /// Encrypts the own update while `may_begin`, then seals its boxes.
    pub(super) fn contribute(&self, cx: &mut Cx, keys: &SealingKeys, may_begin: bool) {
        let round = cx.round();
        if self.own.is_some() {
            return;
        }
        if self.encrypted {
            let members = cx.config.manifest.members();
            let sealing_keys = members.map(|member| keys.of(member, round).cloned()).collect();
            cx.start(Tag::SealShares(round), Job::SealShares { round, sealing_keys });
        } else if may_begin {
            cx.start(Tag::Contribute(round), Job::Contribute { start: cx.start });
        }
    }

    /// The host has encrypted the own update.
    pub(crate) const fn on_encrypted(&mut self) {
        self.encrypted = true;
    }

    /// The own commitment, fresh or from the journal; what it names is served.
    pub(super) fn insert_own(
        &mut self,
        cx: &mut Cx,
        body: CommitmentBody,
    ) -> Option<CommitmentDigest> {
        let me = cx.me();
        let message = Body::Commitment(Box::new(body.clone()));
        let digest = Self::digest(cx, me, &body);
        let signature = cx.sign(cx.round(), &message);
        let (digest, signature) = (digest?, signature?);
        for object in body.boxes.iter().flatten().chain([&body.ciphertext]) {
            cx.objects.made(*object);
        }
        Self::serve_update(cx, &body);
        self.own = Some(digest);
        self.first.insert(me, digest);
        let body = Arc::new(body);
        self.insert(digest, Commitment { author: me, body, signature, recalled: false });
        Some(digest)
    }

    /// Gives a ciphertext to the committee, and each sealed box to its receiver and the committee.
    pub(super) fn serve_update(cx: &mut Cx, body: &CommitmentBody) {
        let committee = cx.election.committee().to_vec();
        cx.serve(body.ciphertext, Some(committee.clone()), Purpose::Ciphertext);
        let members: Vec<MemberIndex> = cx.config.manifest.members().collect();
        for (receiver, object) in members.into_iter().zip(&body.boxes) {
            if let Some(object) = object {
                cx.serve(*object, Some(audience(&committee, receiver)), Purpose::Share);
            }
        }
    }

    /// Late in a round the committee gives again what it gave of the decided set before a restart:
    /// a member that has not got its box may have nobody else to ask. Only what is on this disk:
    /// nothing more is fetched for it.
    pub(crate) fn serve_again(&mut self, cx: &mut Cx, set: &UpdateSet) {
        let me = cx.me();
        if !cx.election.in_committee(me) {
            return;
        }
        let dirty = self.dirty.take();
        let committee = cx.election.committee().to_vec();
        for (_, digest) in set.iter().filter(|(_, digest)| dirty.contains(digest)) {
            let known = self.known.get(digest).filter(|known| known.recalled);
            let Some(body) = known.map(|known| Arc::clone(&known.body)) else { continue };
            if cx.request(body.ciphertext, Purpose::Ciphertext, |_| Vec::new()) {
                cx.serve(body.ciphertext, Some(committee.clone()), Purpose::Ciphertext);
            }
            let members: Vec<MemberIndex> = cx.config.manifest.members().collect();
            // The own box is asked for by whoever opens it (`Shares::fetch`), from others if need
            // be.
            for (receiver, object) in members.into_iter().zip(&body.boxes) {
                let Some(object) = object.as_ref().filter(|_| receiver != me) else { continue };
                if cx.request(*object, Purpose::Share, |_| Vec::new()) {
                    cx.serve(*object, Some(audience(&committee, receiver)), Purpose::Share);
                }
            }
        }
    }

    /// The updates of `set` as jobs need them; `None` while a commitment is missing.
    pub(crate) fn included(&self, set: &UpdateSet) -> Option<Vec<Included>> {
        set.iter()
            .map(|(member, digest)| {
                self.known.get(digest).filter(|known| known.author == *member)?;
                self.update(digest)
            })
            .collect()
    }

    /// One update as jobs need it.
    pub(crate) fn update(&self, digest: &CommitmentDigest) -> Option<Included> {
        let known = self.known.get(digest)?;
        let body = known.body.as_ref().clone();
        Some(Included { member: known.author, commitment: *digest, body })
    }

    /// Updates that have changed since this was last asked.
    pub(super) fn take_dirty(&mut self) -> std::collections::BTreeSet<CommitmentDigest> {
        self.dirty.take()
    }

    /// Something has changed for an update.
    pub(super) fn mark(&mut self, digest: CommitmentDigest) {
        self.dirty.mark(digest);
    }

    /// An object has arrived.
    pub(crate) fn object_arrived(&mut self, object: &crate::object::ObjectRef) {
        self.dirty.object_arrived(object);
    }

    /// Hands on commitments with their authors' signatures.
    pub(crate) fn on_get_commitments(
        &self,
        cx: &mut Cx,
        to: MemberIndex,
        wanted: &[CommitmentDigest],
    ) {
        let mut wanted = wanted.to_vec();
        wanted.retain(|digest| self.known.contains_key(digest));
        wanted.sort_unstable();
        wanted.dedup();
        if wanted.is_empty() || !cx.may_answer(to, Question::GetCommitments) {
            return;
        }
        for digest in wanted {
            let Some(known) = self.known.get(&digest) else { continue };
            let (author, signature) = (known.author, known.signature);
            let body = Body::Commitment(Box::new(known.body.as_ref().clone()));
            let bytes = postcard::experimental::serialized_size(&body).unwrap_or(usize::MAX);
            if cx.may_send(to, Question::GetCommitments, bytes) {
                cx.forward(to, author, body, signature);
            }
        }
    }
}

/// Who is given the sealed box of `receiver`.
fn audience(committee: &[MemberIndex], receiver: MemberIndex) -> Vec<MemberIndex> {
    let mut audience = committee.to_vec();
    if !audience.contains(&receiver) {
        audience.push(receiver);
    }
    audience
}
