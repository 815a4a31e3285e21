//! commit: the host trains, prunes, encodes and encrypts, then seals the shares to the sealing keys
//! of this round that have arrived by then; then this member commits to the result. Shares and
//! ciphertext are on disk before the commitment is, and the commitment is in the journal before it
//! is announced: after a restart the same bytes are served, and nothing is encrypted twice under
//! one key. Nobody waits for a sealing key: a member whose key is late gets no sealed share and
//! asks for one later (`shares`).
//!
//! The shape of the round's updates is known before anything of one is fetched: layout and lengths
//! follow from mask, preset, manifest and the adapter that the round starts from. A commitment to
//! another shape is never fetched, listed or waited for: otherwise its contributor could fill the
//! disks of the committee with a message of a few hundred bytes.

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
    pub(crate) contributor: MemberIndex,
    pub(crate) body: Arc<CommitmentBody>,
    pub(crate) signature: Signature,
    /// It was restored from the journal: its objects on this disk have not been served since the
    /// start.
    pub(crate) recalled: bool,
}

/// The commitments of the round, this member's own among them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Commitments {
    /// The shape of the round's updates, once the host has computed it.
    shape: Option<UpdateShape>,
    /// This member's own update is encrypted; its shares are not sealed yet.
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

    /// The digest of this member's own commitment.
    pub(crate) const fn own(&self) -> Option<CommitmentDigest> {
        self.own
    }

    /// This member's own commitment, to send it again.
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

    /// All commitments of one contributor: more than one is evidence.
    pub(crate) fn all_of(&self, contributor: MemberIndex) -> impl Iterator<Item = &Commitment> {
        self.known.values().filter(move |commitment| commitment.contributor == contributor)
    }

    /// Notes a new commitment; the first one of its contributor counts.
    pub(super) fn insert(&mut self, digest: CommitmentDigest, commitment: Commitment) {
        self.first.entry(commitment.contributor).or_insert(digest);
        self.dirty.insert(digest, &commitment.body);
        self.known.insert(digest, commitment);
    }

    /// The digest, of another member's first commitment or a second one: `None` if it cannot be
    /// computed.
    pub(super) fn digest(
        cx: &Cx,
        contributor: MemberIndex,
        body: &CommitmentBody,
    ) -> Option<CommitmentDigest> {
        cx.config.roster().scope(cx.round()).commitment(contributor, body).ok()
    }

    /// Whether the shape of the round's updates is known; the first question asks the host.
    pub(crate) fn is_prepared(&self, cx: &mut Cx) -> bool {
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
        if body.layout != shape.layout && shape.stalled != Some(body.layout) {
            return Some(Refusal::Layout);
        }
        let fits = body.ciphertext.length == shape.ciphertext_bytes
            && body
                .sealed_shares
                .iter()
                .flatten()
                .all(|sealed| sealed.length == shape.sealed_share_bytes);
        (!fits).then_some(Refusal::Length)
    }

    /// How many updates of `set` say that their members have stopped improving; 0 as long as the
    /// round's shape is not known.
    pub(crate) fn stalled_in(&self, set: &UpdateSet) -> usize {
        let Some(stalled) = self.shape.as_ref().and_then(|shape| shape.stalled) else { return 0 };
        let known = set.commitments().filter_map(|digest| self.known.get(&digest));
        known.filter(|known| known.body.layout == stalled).count()
    }

    /// Counts an update of another shape among what operators see as dropped.
    pub(super) fn count_misshapen(&self, cx: &mut Cx, digest: &CommitmentDigest) {
        match self.misshape_of(digest) {
            Some(Refusal::Layout) => cx.dropped("commitment: another layout than the round's"),
            Some(_) => cx.dropped("commitment: another length than the round's updates have"),
            None => {}
        }
    }

    /// Encrypts this member's own update while `may_begin`, then seals its shares.
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

    /// The host has encrypted this member's own update.
    pub(crate) const fn on_encrypted(&mut self) {
        self.encrypted = true;
    }

    /// This member's own commitment, fresh or from the journal; what it names is served.
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
        for object in body.sealed_shares.iter().flatten().chain([&body.ciphertext]) {
            cx.objects.made(*object);
        }
        Self::serve_update(cx, &body);
        self.own = Some(digest);
        self.first.insert(me, digest);
        let body = Arc::new(body);
        self.insert(digest, Commitment { contributor: me, body, signature, recalled: false });
        Some(digest)
    }

    /// Serves a ciphertext to the committee, and each sealed share to its receiver and the
    /// committee.
    pub(super) fn serve_update(cx: &mut Cx, body: &CommitmentBody) {
        let committee = cx.election.committee().to_vec();
        cx.serve(body.ciphertext, Some(committee.clone()), Purpose::Ciphertext);
        let members: Vec<MemberIndex> = cx.config.manifest.members().collect();
        for (receiver, object) in members.into_iter().zip(&body.sealed_shares) {
            if let Some(object) = object {
                cx.serve(*object, Some(audience(&committee, receiver)), Purpose::Share);
            }
        }
    }

    /// Late in a round the committee serves again what it served of the decided set before a
    /// restart: a member that lacks its sealed share may have nobody else to ask. Only what is on
    /// this disk is served; nothing is fetched for it.
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
            // This member's own sealed share is fetched where it is needed (`Shares::fetch`), from
            // others if need be.
            for (receiver, object) in members.into_iter().zip(&body.sealed_shares) {
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
                self.known.get(digest).filter(|known| known.contributor == *member)?;
                self.update(digest)
            })
            .collect()
    }

    /// One update as jobs need it.
    pub(crate) fn update(&self, digest: &CommitmentDigest) -> Option<Included> {
        let known = self.known.get(digest)?;
        let body = known.body.as_ref().clone();
        Some(Included { member: known.contributor, commitment: *digest, body })
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

    /// Forwards commitments with their contributors' signatures.
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
            let (contributor, signature) = (known.contributor, known.signature);
            let body = Body::Commitment(Box::new(known.body.as_ref().clone()));
            let bytes = postcard::experimental::serialized_size(&body).unwrap_or(usize::MAX);
            if cx.may_send(to, Question::GetCommitments, bytes) {
                cx.forward(to, contributor, body, signature);
            }
        }
    }
}

/// The members to which the sealed share of `receiver` is served.
fn audience(committee: &[MemberIndex], receiver: MemberIndex) -> Vec<MemberIndex> {
    let mut audience = committee.to_vec();
    if !audience.contains(&receiver) {
        audience.push(receiver);
    }
    audience
}
