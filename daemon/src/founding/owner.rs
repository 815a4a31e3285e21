//! The owner's side: the draft, its invites, and the answers to founders. No network, no clock.

mod changes;
mod concerns;
mod confirming;
mod stored;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fedshield_protocol::ids::{Digest, IdentityKey, ManifestDigest};
use fedshield_protocol::limits::MAX_MEMBERS;
use fedshield_protocol::manifest::{
    Member, Offer, SignedManifest, UncheckedDraft, ValidManifest, is_founding_signature,
};
use fedshield_protocol::sign::Signature;

use super::lookalikes::first_lookalikes;
use super::message::{Ask, How, Refusal, Reply, Request};
use super::{FoundingError, Token, look_alike, terms};
pub(super) use changes::Fresh;
use concerns::Seen;
pub(super) use stored::KeptDraft;
use stored::{Ended, FrozenDraft, Issued};

/// Most invites that may be open at once.
const MAX_INVITES: usize = 256;
/// How long an invite that has expired is kept, so that a request with it is refused with the
/// reason.
const EXPIRED_KEPT_S: u64 = 30 * 24 * 3600;

/// The draft and the file that it is stored in.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) kept: KeptDraft,
    key: IdentityKey,
    path: PathBuf,
    /// When founders asked last, and what they reported, since the daemon started.
    seen: BTreeMap<IdentityKey, Seen>,
}

impl Owner {
    /// Starts a draft with the owner as its only member.
    pub(super) fn start(path: &Path, offer: Offer, own: Member) -> Result<Self, FoundingError> {
        let own = terms::own_entry(&offer.terms, own)?;
        let key = own.identity_key;
        let kept = KeptDraft::new(offer.with(vec![own]));
        kept.write(path)?;
        Ok(Self { kept, key, path: path.to_path_buf(), seen: BTreeMap::new() })
    }

    /// Continues with the draft of an earlier run. The owner's own entry is brought up to date
    /// while it still can be.
    pub(super) fn resume(
        path: &Path,
        kept: KeptDraft,
        own: &Member,
    ) -> Result<Self, FoundingError> {
        let mut owner = Self {
            kept: kept.clone(),
            key: own.identity_key,
            path: path.to_path_buf(),
            seen: BTreeMap::new(),
        };
        let own = kept.draft.offer.terms.entry_for(own.clone());
        if kept.frozen.is_none() && kept.draft.members.first() != Some(&own) {
            let mut next = kept;
            next.draft.members.splice(..1.min(next.draft.members.len()), [own]);
            owner.save(next)?;
        }
        Ok(owner)
    }

    /// Brings the addresses in the owner's own entry up to date, if that is still possible.
    pub(super) fn set_addresses(&mut self, addresses: &[String]) -> Result<(), FoundingError> {
        let mut next = self.kept.clone();
        let Some(own) = next.draft.members.first_mut() else { return Ok(()) };
        if next.frozen.is_some() || own.addresses == addresses {
            return Ok(());
        }
        own.addresses = addresses.to_vec();
        self.save(next)
    }

    /// Issues a token that admits one identity until `expires_at_s`, in seconds since 1970.
    pub(super) fn issue(&mut self, now_s: u64, expires_at_s: u64) -> Result<Token, FoundingError> {
        if self.kept.frozen.is_some() {
            return Err(FoundingError::Frozen);
        }
        let token = Token::random()?;
        let mut next = self.kept.clone();
        let of_use = |issued: &Issued, kept_s: u64| {
            issued.used_by.is_some() || issued.expires_at_s.saturating_add(kept_s) > now_s
        };
        next.invites.retain(|issued| of_use(issued, EXPIRED_KEPT_S));
        if next.invites.len() >= MAX_INVITES {
            next.invites.retain(|issued| of_use(issued, 0) && issued.ended.is_none());
        }
        if next.invites.len() >= MAX_INVITES {
            let reason = format!("{MAX_INVITES} invites are open: wait until some expire");
            return Err(FoundingError::Request(reason));
        }
        let fingerprint = token.fingerprint();
        next.invites.push(Issued { fingerprint, expires_at_s, used_by: None, ended: None });
        self.save(next)?;
        Ok(token)
    }

    /// Freezes the draft; nobody has signed it then. A second call changes nothing.
    pub(super) fn freeze(&mut self, now_s: u64) -> Result<(), FoundingError> {
        if self.kept.frozen.is_some() {
            return Ok(());
        }
        if !self.kept.returning.is_empty() {
            let names = self.kept.returning.iter().map(|member| member.name.clone()).collect();
            return Err(FoundingError::Returning { names });
        }
        let count = self.kept.draft.members.len();
        if count < 3 {
            return Err(FoundingError::TooFewMembers { count });
        }
        if let Some((one, other)) = first_lookalikes(&self.kept.draft.members) {
            return Err(FoundingError::Lookalikes { one, other });
        }
        let manifest = self.kept.draft.complete();
        ValidManifest::check(manifest.clone())?;
        let (signatures, at_s) = (vec![None; count], Some(now_s));
        let frozen = Some(FrozenDraft { manifest, signatures, at_s });
        self.save(KeptDraft { frozen, ..self.kept.clone() })
    }

    /// The signed manifest, once everybody has signed.
    pub(super) fn signed(&self) -> Option<SignedManifest> {
        let frozen = self.kept.frozen.as_ref()?;
        let signatures: Option<Vec<Signature>> = frozen.signatures.iter().copied().collect();
        let manifest = frozen.manifest.clone();
        signatures.map(|signatures| SignedManifest { manifest, signatures })
    }

    /// Whether the draft has, or had, this founding id.
    pub(super) fn knows(&self, founding_id: &Digest) -> bool {
        self.kept.founding_id() == *founding_id || self.kept.former.contains(founding_id)
    }

    /// The answer to a founder's request about this draft. `fresh` is asked for when the draft is
    /// to be opened again.
    pub(super) fn consider(
        &mut self,
        request: Request,
        now_s: u64,
        fresh: impl FnOnce() -> Result<Fresh, FoundingError>,
    ) -> Result<Reply, Refusal> {
        if request.owner != self.key || !self.knows(&request.founding_id) {
            return Err(Refusal::InviteUnknown);
        }
        let place = self.find_invite(&request.token).ok_or(Refusal::InviteUnknown)?;
        let issued = self.kept.invites.get(place).ok_or(Refusal::InviteUnknown)?;
        if issued.used_by.is_some_and(|user| user != request.from) {
            return Err(Refusal::InviteUsed);
        }
        if request.ask == Ask::Clock {
            return Ok(Reply::Clock { now_s });
        }
        if issued.used_by.is_none() {
            if self.kept.frozen.is_some() {
                return Err(Refusal::Frozen);
            }
            if let Some(seconds) = now_s.checked_sub(issued.expires_at_s) {
                return Err(Refusal::InviteExpired { seconds });
            }
        }
        let ended = issued.ended.clone();
        self.note_request(&request.from, now_s);
        match (&ended, &request.ask) {
            (Some(Ended::Dropped), _) => return Err(Refusal::Dropped),
            (Some(Ended::Left { .. }), Ask::Leave { .. }) => return Ok(Reply::Left),
            (Some(Ended::Left { .. }), Ask::Terms) | (None, _) => {}
            // A founder that has left may come back, with another sealing key. Its earlier requests
            // that arrive late do not make it a member again.
            (Some(Ended::Left { sealing_key }), Ask::Join { member, .. })
                if member.sealing_key != *sealing_key => {}
            (Some(Ended::Left { .. }), _) => return Err(Refusal::Left),
        }
        let moved = request.founding_id != self.kept.founding_id();
        match request.ask {
            Ask::Leave { sealing_key, rejects, .. } => {
                let how = if rejects { How::Rejected } else { How::Left };
                self.release(place, &request.from, (sealing_key, how), fresh)
            }
            // The draft has another founding id now: no request for the former one has any effect.
            _ if moved => {
                Ok(Reply::Moved { draft: self.draft_form(), gone: self.kept.departed.clone() })
            }
            Ask::Terms => Ok(Reply::Terms { draft: self.draft_form() }),
            Ask::Join { member, terms, base_model } => {
                self.admit(place, request.from, member, (&terms, &base_model), now_s)
            }
            Ask::Poll => self.progress(&request.from),
            Ask::Sign { manifest, signature } => {
                self.take_signature(&request.from, &manifest, signature)
            }
            Ask::Report { problems } => {
                self.note(&request.from, problems);
                Ok(Reply::Noted)
            }
            Ask::Clock => Ok(Reply::Clock { now_s }),
        }
    }

    /// Compares with every invite, so that the time taken does not reveal which one matched.
    fn find_invite(&self, token: &Token) -> Option<usize> {
        let mut found = None;
        for (place, issued) in self.kept.invites.iter().enumerate() {
            if token.has_fingerprint(&issued.fingerprint) {
                found = Some(place);
            }
        }
        found
    }

    fn admit(
        &mut self,
        place: usize,
        from: IdentityKey,
        member: Member,
        (terms, base_model): (&Digest, &Digest),
        now_s: u64,
    ) -> Result<Reply, Refusal> {
        if self.kept.frozen.is_some() {
            return self.progress(&from);
        }
        let offer = &self.kept.draft.offer;
        if *base_model != offer.base_model {
            return Err(Refusal::ModelMismatch { expected: offer.base_model });
        }
        if *terms != terms::terms_digest(offer) {
            return Err(Refusal::TermsChanged);
        }
        if member.identity_key != from {
            return Err(Refusal::other("the member entry is for another identity"));
        }
        member.check().map_err(|error| Refusal::other(error.to_string()))?;
        terms::check_weight(&offer.terms, &member)
            .map_err(|error| Refusal::other(error.to_string()))?;
        let mut next = self.kept.clone();
        let members = &mut next.draft.members;
        let mut others = members.iter().chain(&next.returning);
        let is_taken =
            |other: &&Member| other.identity_key != from && look_alike(&other.name, &member.name);
        if let Some(other) = others.find(is_taken) {
            let (name, taken) = (&member.name, &other.name);
            let reason = if name == taken {
                format!("another member is called `{name}`: take another")
            } else {
                format!("`{name}` looks like another member's name, `{taken}`: take another")
            };
            return Err(Refusal::other(reason));
        }
        if from == self.key {
            return Err(Refusal::other("the owner is a member already"));
        }
        let full = members.len() >= usize::from(MAX_MEMBERS);
        let present = members.iter().position(|other| other.identity_key == from);
        match present.and_then(|at| members.get_mut(at)) {
            // The member rejoined with other addresses or a fresh sealing key.
            Some(entry) => *entry = member,
            None if full => {
                return Err(Refusal::other(format!("{MAX_MEMBERS} members are the most")));
            }
            None => members.push(member),
        }
        next.returning.retain(|other| other.identity_key != from);
        if let Some(issued) = next.invites.get_mut(place) {
            issued.used_by = Some(from);
            issued.ended = None;
        }
        self.save(next).map_err(|error| self.own_fault(&error))?;
        self.note_request(&from, now_s);
        Ok(Reply::Waiting { draft: self.draft_form() })
    }

    fn progress(&self, from: &IdentityKey) -> Result<Reply, Refusal> {
        let mut members = self.kept.draft.members.iter();
        let place = members.position(|member| member.identity_key == *from);
        let (place, frozen) = match (place, &self.kept.frozen) {
            (Some(_), None) => return Ok(Reply::Waiting { draft: self.draft_form() }),
            (None, None) => return Err(Refusal::NotJoined),
            (None, Some(_)) => return Err(Refusal::Frozen),
            (Some(place), Some(frozen)) => (place, frozen),
        };
        if let Some(signed) = self.signed() {
            return Ok(Reply::Founded { signed });
        }
        let missing = self.missing();
        match frozen.signatures.get(place) {
            Some(Some(_)) => Ok(Reply::Signed { missing }),
            _ => Ok(Reply::Sign { manifest: frozen.manifest.clone(), missing }),
        }
    }

    fn take_signature(
        &mut self,
        from: &IdentityKey,
        manifest: &ManifestDigest,
        signature: Signature,
    ) -> Result<Reply, Refusal> {
        let frozen = self.kept.frozen.as_ref();
        let expected = frozen
            .and_then(|frozen| ValidManifest::check(frozen.manifest.clone()).ok())
            .ok_or_else(|| Refusal::other("the draft is not frozen yet"))?;
        let place = expected
            .member_by_key(from)
            .ok_or_else(|| Refusal::other("not a member of this manifest"))?
            .position();
        if *manifest != expected.digest() || !is_founding_signature(from, manifest, &signature) {
            return Err(Refusal::other("the signature is not over the frozen manifest"));
        }
        let mut next = self.kept.clone();
        let slot = next.frozen.as_mut().and_then(|frozen| frozen.signatures.get_mut(place));
        if let Some(slot) = slot.filter(|slot| slot.is_none()) {
            *slot = Some(signature);
            self.save(next).map_err(|error| self.own_fault(&error))?;
        }
        self.progress(from)
    }

    fn draft_form(&self) -> UncheckedDraft {
        UncheckedDraft::from(&self.kept.draft)
    }

    /// Names of the members that have not signed.
    pub(super) fn missing(&self) -> Vec<String> {
        let missing = self.kept.signatures().filter(|(_, signature)| signature.is_none());
        missing.map(|(member, _)| member.name.clone()).collect()
    }

    /// Writes the new state to disk before it takes effect.
    fn save(&mut self, next: KeptDraft) -> Result<(), FoundingError> {
        next.write(&self.path)?;
        self.kept = next;
        Ok(())
    }

    /// The refusal that founders get when the owner's disk fails; the details are in the owner's
    /// log.
    fn own_fault(&self, error: &FoundingError) -> Refusal {
        tracing::error!(%error, path = %self.path.display(), "the draft cannot be saved");
        Refusal::Later { reason: "its disk cannot store the draft".into() }
    }
}
