//! The owner's side: the draft, its invites, and the answers to founders. No network, no clock.

use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use fedshield_protocol::codec;
use fedshield_protocol::ids::{Digest, IdentityKey};
use fedshield_protocol::limits::MAX_MEMBERS;
use fedshield_protocol::manifest::{
    Manifest, Member, SignedManifest, ValidManifest, sign_founding,
};
use fedshield_protocol::sign::Signature;
use serde::{Deserialize, Serialize};

use super::message::{self, Ask, MessageError, Refusal, Reply, Request};
use super::{FoundingError, Token, terms};
use crate::durable;

/// Invites that may be open at once.
const MAX_INVITES: usize = 256;
/// Manifest, invites and signatures of 100 members.
const MAX_DRAFT_BYTES: usize = 2 << 20;

/// What the owner keeps on disk until the federation is founded, and after it for founders that poll late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Draft {
    /// Members so far, the owner first; resolved once frozen.
    pub(super) manifest: Manifest,
    pub(super) frozen: bool,
    /// In manifest order, once frozen.
    pub(super) signatures: Vec<Option<Signature>>,
    invites: Vec<Issued>,
}

/// One invite that was given out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Issued {
    fingerprint: Digest,
    expires_at_s: u64,
    used_by: Option<IdentityKey>,
}

/// The draft and where it is kept.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) draft: Draft,
    key: IdentityKey,
    path: PathBuf,
}

impl Owner {
    /// Starts a draft with the owner as its only member.
    pub(super) fn start(path: &Path, terms: Manifest, own: Member) -> Result<Self, FoundingError> {
        terms::check_member(&own).map_err(FoundingError::Request)?;
        let key = own.identity_key;
        let manifest = Manifest { members: vec![own], ..terms };
        let draft = Draft { manifest, frozen: false, signatures: Vec::new(), invites: Vec::new() };
        let mut owner = Self { draft: draft.clone(), key, path: path.to_path_buf() };
        owner.save(draft)?;
        Ok(owner)
    }

    /// The draft of an earlier run, if there is one. The owner's own entry is brought up to date while it still can be.
    pub(super) fn load(path: &Path, own: &Member) -> Result<Option<Self>, FoundingError> {
        let Some(bytes) = durable::read_if_present(path, MAX_DRAFT_BYTES as u64)? else {
            return Ok(None);
        };
        let draft: Draft = codec::decode("draft", &bytes, MAX_DRAFT_BYTES).map_err(|error| {
            FoundingError::File { file: path.display().to_string(), reason: error.to_string() }
        })?;
        let mut owner = Self { draft, key: own.identity_key, path: path.to_path_buf() };
        owner.set_own(own)?;
        Ok(Some(owner))
    }

    /// Brings the owner's own entry up to date, if that is still possible.
    pub(super) fn set_own(&mut self, own: &Member) -> Result<(), FoundingError> {
        if !self.draft.frozen && self.draft.manifest.members.first() != Some(own) {
            let mut next = self.draft.clone();
            next.manifest.members.splice(..1.min(next.manifest.members.len()), [own.clone()]);
            self.save(next)?;
        }
        Ok(())
    }

    /// Issues a token that lets one identity in until `expires_at_s`.
    pub(super) fn issue(&mut self, now_s: u64, expires_at_s: u64) -> Result<Token, FoundingError> {
        if self.draft.frozen {
            return Err(FoundingError::Frozen);
        }
        let token = Token::random().map_err(|error| FoundingError::Random(error.to_string()))?;
        let mut next = self.draft.clone();
        next.invites.retain(|issued| issued.used_by.is_some() || issued.expires_at_s > now_s);
        if next.invites.len() >= MAX_INVITES {
            let reason = format!("{MAX_INVITES} invites are open: wait until some expire");
            return Err(FoundingError::Request(reason));
        }
        let fingerprint = token.fingerprint();
        next.invites.push(Issued { fingerprint, expires_at_s, used_by: None });
        self.save(next)?;
        Ok(token)
    }

    /// Freezes the draft and signs it. A second call changes nothing.
    pub(super) fn freeze(&mut self, key: &SigningKey) -> Result<(), FoundingError> {
        if self.draft.frozen {
            return Ok(());
        }
        let count = self.draft.manifest.members.len();
        if count < 3 {
            return Err(FoundingError::TooFewMembers { count });
        }
        let mut next = self.draft.clone();
        next.manifest = terms::resolved(&next.manifest);
        let (member, signature) = sign_founding(&next.manifest, key)?;
        next.frozen = true;
        next.signatures = vec![None; count];
        if let Some(place) = next.signatures.get_mut(member.position()) {
            *place = Some(signature);
        }
        self.save(next)
    }

    /// The signed manifest, once everybody has signed.
    pub(super) fn signed(&self) -> Option<SignedManifest> {
        if !self.draft.frozen {
            return None;
        }
        let signatures: Option<Vec<Signature>> = self.draft.signatures.iter().copied().collect();
        let manifest = self.draft.manifest.clone();
        signatures.map(|signatures| SignedManifest { manifest, signatures })
    }

    /// The answer to a founder's request; an error means that no answer can be made for such bytes.
    pub(super) fn answer(
        &mut self,
        from: &IdentityKey,
        bytes: &[u8],
        now_s: u64,
        key: &SigningKey,
    ) -> Result<Vec<u8>, MessageError> {
        let (request, digest) = message::decode_request(bytes, from)?;
        let reply = match self.consider(request, now_s) {
            Ok(reply) => reply,
            Err(refusal) => Reply::Refused { refusal },
        };
        message::encode_reply(&reply, &digest, key)
    }

    fn consider(&mut self, request: Request, now_s: u64) -> Result<Reply, Refusal> {
        if request.owner != self.key || request.founding_id != self.draft.manifest.founding_id {
            return Err(Refusal::InviteUnknown);
        }
        let place = self.find_invite(&request.token).ok_or(Refusal::InviteUnknown)?;
        let issued = self.draft.invites.get(place).ok_or(Refusal::InviteUnknown)?;
        match issued.used_by {
            Some(user) if user != request.from => return Err(Refusal::InviteUsed),
            Some(_) => {}
            None if self.draft.frozen => return Err(Refusal::Frozen),
            None => {
                if let Some(seconds) = now_s.checked_sub(issued.expires_at_s) {
                    return Err(Refusal::InviteExpired { seconds });
                }
            }
        }
        match request.ask {
            Ask::Terms => Ok(Reply::Terms { draft: self.draft.manifest.clone() }),
            Ask::Join { member, terms, base_model } => {
                self.admit(place, request.from, member, &terms, &base_model)
            }
            Ask::Poll => self.progress(&request.from),
            Ask::Sign { manifest, signature } => {
                self.take_signature(&request.from, &manifest, signature)
            }
        }
    }

    /// Looks at every invite, so that the time says nothing about which one it was.
    fn find_invite(&self, token: &Token) -> Option<usize> {
        let mut found = None;
        for (place, issued) in self.draft.invites.iter().enumerate() {
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
        terms: &Digest,
        base_model: &Digest,
    ) -> Result<Reply, Refusal> {
        if self.draft.frozen {
            return self.progress(&from);
        }
        if *base_model != self.draft.manifest.base_model {
            return Err(Refusal::ModelMismatch { expected: self.draft.manifest.base_model });
        }
        if *terms != terms::terms_digest(&self.draft.manifest) {
            return Err(Refusal::TermsChanged);
        }
        if member.identity_key != from {
            return Err(Refusal::other("the member entry is for another identity"));
        }
        terms::check_member(&member).map_err(Refusal::other)?;
        let mut next = self.draft.clone();
        let members = &mut next.manifest.members;
        if members.iter().any(|other| other.name == member.name && other.identity_key != from) {
            let name = &member.name;
            return Err(Refusal::other(format!("another member is called `{name}`: take another")));
        }
        if from == self.key {
            return Err(Refusal::other("the owner is a member already"));
        }
        let full = members.len() >= usize::from(MAX_MEMBERS);
        let present = members.iter().position(|other| other.identity_key == from);
        match present.and_then(|at| members.get_mut(at)) {
            // It came back with other addresses or a fresh sealing key.
            Some(entry) => *entry = member,
            None if full => {
                return Err(Refusal::other(format!("{MAX_MEMBERS} members are the most")));
            }
            None => members.push(member),
        }
        if let Some(issued) = next.invites.get_mut(place) {
            issued.used_by = Some(from);
        }
        self.save(next).map_err(|error| self.own_fault(&error))?;
        Ok(Reply::Waiting { draft: self.draft.manifest.clone() })
    }

    fn progress(&self, from: &IdentityKey) -> Result<Reply, Refusal> {
        let manifest = &self.draft.manifest;
        let Some(place) = manifest.members.iter().position(|member| member.identity_key == *from)
        else {
            return Err(if self.draft.frozen { Refusal::Frozen } else { Refusal::NotJoined });
        };
        if !self.draft.frozen {
            return Ok(Reply::Waiting { draft: manifest.clone() });
        }
        if let Some(signed) = self.signed() {
            return Ok(Reply::Founded { signed });
        }
        match self.draft.signatures.get(place) {
            Some(Some(_)) => Ok(Reply::Signed { missing: self.missing() }),
            _ => Ok(Reply::Sign { manifest: manifest.clone() }),
        }
    }

    fn take_signature(
        &mut self,
        from: &IdentityKey,
        manifest: &Digest,
        signature: Signature,
    ) -> Result<Reply, Refusal> {
        let expected = ValidManifest::check(self.draft.manifest.clone())
            .ok()
            .filter(|_| self.draft.frozen)
            .ok_or_else(|| Refusal::other("the draft is not frozen yet"))?;
        let place = expected
            .member_by_key(from)
            .ok_or_else(|| Refusal::other("not a member of this manifest"))?
            .position();
        if *manifest != expected.digest()
            || !terms::is_founding_signature(from, manifest, &signature)
        {
            return Err(Refusal::other("the signature is not over the frozen manifest"));
        }
        if self.draft.signatures.get(place) == Some(&None) {
            let mut next = self.draft.clone();
            if let Some(slot) = next.signatures.get_mut(place) {
                *slot = Some(signature);
            }
            self.save(next).map_err(|error| self.own_fault(&error))?;
        }
        self.progress(from)
    }

    /// Names of those who have not signed.
    pub(super) fn missing(&self) -> Vec<String> {
        let members = self.draft.manifest.members.iter().zip(&self.draft.signatures);
        let missing = members.filter(|(_, signature)| signature.is_none());
        missing.map(|(member, _)| member.name.clone()).collect()
    }

    /// On disk first, in force then.
    fn save(&mut self, next: Draft) -> Result<(), FoundingError> {
        let bytes = codec::encode("draft", &next, MAX_DRAFT_BYTES)
            .map_err(|error| FoundingError::Request(error.to_string()))?;
        durable::replace(&self.path, &bytes)?;
        self.draft = next;
        Ok(())
    }

    /// What founders are told when the owner's disk fails; the owner's log says more.
    fn own_fault(&self, error: &FoundingError) -> Refusal {
        tracing::error!(%error, path = %self.path.display(), "the draft cannot be saved");
        Refusal::other("the owner cannot save the draft at the moment; try again later")
    }
}
