//! Members that leave before the founding is complete. While the draft is open they are taken off
//! its list. A frozen draft is opened again under a fresh founding id: what was signed under the
//! old one is void, and the other members rejoin automatically, with fresh sealing keys, at their
//! next request.

use fedshield_protocol::ids::{Digest, IdentityKey};
use fedshield_protocol::manifest::Member;

use super::super::message::{Gone, How, Refusal, Reply};
use super::super::partings::Abandoned;
use super::super::{FoundingError, terms};
use super::Owner;
use super::stored::{Ended, KeptDraft};

/// Most former founding ids of a draft that are still recognised.
const MAX_FORMER: usize = 64;
/// Most departed members that are remembered by name.
const MAX_DEPARTED: usize = 16;

/// What a reopened draft starts with.
#[derive(Debug, Clone)]
pub(in super::super) struct Fresh {
    pub(in super::super) founding_id: Digest,
    /// The owner's own entry, with a sealing key of its own.
    pub(in super::super) own: Member,
}

impl Owner {
    /// Takes the member called `name` off the list, for good: it needs a fresh invite to come back.
    /// True if the draft was frozen and is now open again.
    pub(in super::super) fn drop_member(
        &mut self,
        name: &str,
        fresh: impl FnOnce() -> Result<Fresh, FoundingError>,
    ) -> Result<bool, FoundingError> {
        if self.signed().is_some() {
            return Err(FoundingError::Complete);
        }
        let others = self.kept.draft.members.iter().chain(&self.kept.returning);
        let Some(member) = others.clone().find(|member| member.name == name).cloned() else {
            let known = others.filter(|it| it.identity_key != self.key).map(|it| it.name.clone());
            return Err(FoundingError::NoSuchMember {
                name: name.to_owned(),
                known: known.collect(),
            });
        };
        if member.identity_key == self.key {
            return Err(FoundingError::OwnDraft);
        }
        let mut next = self.kept.clone();
        for issued in &mut next.invites {
            if issued.used_by == Some(member.identity_key) {
                issued.ended = Some(Ended::Dropped);
            }
        }
        let was_frozen = next.frozen.is_some();
        self.without(next, &member, How::Dropped, fresh)?;
        Ok(was_frozen)
    }

    /// Handles a member's request to leave.
    pub(super) fn release(
        &mut self,
        place: usize,
        from: &IdentityKey,
        (sealing_key, how): (Vec<u8>, How),
        fresh: impl FnOnce() -> Result<Fresh, FoundingError>,
    ) -> Result<Reply, Refusal> {
        if let Some(signed) = self.signed() {
            return Ok(Reply::Founded { signed });
        }
        let mut next = self.kept.clone();
        let mut others = next.draft.members.iter().chain(&next.returning);
        let entry = others.find(|member| member.identity_key == *from).cloned();
        if entry.as_ref().is_some_and(|entry| entry.sealing_key != sealing_key) {
            // The member has rejoined since it sent this.
            return Ok(Reply::Left);
        }
        if let Some(issued) = next.invites.get_mut(place) {
            issued.used_by = Some(*from);
            issued.ended = Some(Ended::Left { sealing_key });
        }
        let saved = match entry {
            Some(member) => self.without(next, &member, how, fresh),
            None => self.save(next),
        };
        saved.map_err(|error| self.own_fault(&error))?;
        Ok(Reply::Left)
    }

    /// What is kept of the draft once it is abandoned.
    pub(in super::super) fn tombstone(&self) -> Abandoned {
        let kept = &self.kept;
        let mut founding_ids = kept.former.clone();
        founding_ids.push(kept.founding_id());
        let fingerprints = kept.invites.iter().map(|issued| issued.fingerprint).collect();
        let federation = kept.draft.offer.terms.name.clone();
        Abandoned { founding_ids, federation, fingerprints }
    }

    fn without(
        &mut self,
        mut next: KeptDraft,
        member: &Member,
        how: How,
        fresh: impl FnOnce() -> Result<Fresh, FoundingError>,
    ) -> Result<(), FoundingError> {
        let is_other = |other: &Member| other.identity_key != member.identity_key;
        next.draft.members.retain(is_other);
        next.returning.retain(is_other);
        next.departed.push(Gone { name: member.name.clone(), how });
        let excess = next.departed.len().saturating_sub(MAX_DEPARTED);
        next.departed.drain(..excess);
        if next.frozen.take().is_some() {
            let Fresh { founding_id, own } = fresh()?;
            let own = terms::own_entry(&next.draft.offer.terms, own)?;
            next.former.push(next.founding_id());
            let excess = next.former.len().saturating_sub(MAX_FORMER);
            next.former.drain(..excess);
            next.draft.offer.founding_id = founding_id;
            let before = std::mem::replace(&mut next.draft.members, vec![own]);
            next.returning = before.into_iter().filter(|it| it.identity_key != self.key).collect();
        }
        self.save(next)
    }
}
