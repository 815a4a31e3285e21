//! A sum is opened by its key, whoever found it: the key is an object of a few KiB that everyone
//! who has it serves, and whoever has the aggregate can see for itself what it opens. So an opened
//! sum is valid by its content.

use super::Decrypting;
use super::named_keys::{NamedKeys, is_possible, named};
use crate::consensus::Driver;
use crate::context::{Cx, Tag};
use crate::effect::Purpose;
use crate::ids::{MemberIndex, SumDigest};
use crate::job::Job;
use crate::members::Members;
use crate::object::ObjectRef;
use crate::wire::journal::Note;
use crate::wire::{Decided, Value};

/// The key of the decided sum, and those that others name as such.
#[derive(Debug, Clone, Default)]
pub(crate) struct SumKey {
    /// Key and sum that are on this disk: by this member's own combine job, or by a key that
    /// another member named.
    opened: Option<(ObjectRef, SumDigest)>,
    /// It was opened before a restart; that the sum is still on disk is not certain.
    opened_before: bool,
    named: NamedKeys,
}

impl SumKey {
    /// Key and sum, once this member has them.
    pub(crate) const fn opened(&self) -> Option<(ObjectRef, SumDigest)> {
        self.opened
    }

    /// The sum that a key opens, if it was checked and opens one.
    pub(crate) fn opens(&self, key: &ObjectRef) -> Option<SumDigest> {
        self.named.opens(key)
    }

    /// Whether key and sum are on this disk, as far as is known.
    pub(super) fn is_here(&self, cx: &Cx) -> bool {
        self.opened.is_some() && !self.lacks_its_key(cx)
    }

    /// Whether a key that another member named is under check: its result may make this member's
    /// own search superfluous.
    pub(super) fn is_checking(cx: &Cx, of: Decrypting<'_>) -> bool {
        named(cx, of.vote).keys().any(|key| cx.jobs.is_running(Tag::CheckKey(*key)))
    }

    /// Fetches and checks the keys in question that have not been checked.
    pub(super) fn check(&mut self, cx: &mut Cx, of: Decrypting<'_>) {
        self.serve(cx, of.members);
        let named = named(cx, of.vote);
        self.named.forget_unnamed(cx, of.vote, &named, self.opened.map(|(key, _)| key));
        for (key, holders) in named {
            if self.named.is_checked(&key) && !self.is_displaced(of.vote, &key) {
                continue;
            }
            let mut here = super::Decryption::fetch_aggregate(cx, of);
            let holders = |cx: &Cx| with_all_others(cx, of.members, holders);
            here &= cx.request(key, Purpose::Key, holders);
            // Its result may make this one superfluous.
            let combines = cx.jobs.is_running(Tag::Combine(cx.round()));
            if here && !combines {
                let (start, set) = (cx.start, of.decided.set.clone());
                let aggregate = of.decided.aggregate;
                cx.start(Tag::CheckKey(key), Job::CheckKey { start, set, aggregate, key });
            }
        }
    }

    /// Whether `key` is the decided one and the sum of another key is on this disk: a contributor
    /// that chooses its errors can make a ciphertext that two keys open (docs/CRYPTO.md), and the
    /// disk has room for the sum of the last one that was checked.
    fn is_displaced(&self, vote: &Driver, key: &ObjectRef) -> bool {
        let Some(Decided { value: Value::Opened { key: decided, sum }, .. }) = vote.decided()
        else {
            return false;
        };
        decided == *key && self.opens(key) == Some(sum) && self.opened != Some((*key, sum))
    }

    /// What a key opens that another member named.
    pub(crate) fn on_checked(
        &mut self,
        cx: &mut Cx,
        members: &Members,
        key: ObjectRef,
        sum: Option<SumDigest>,
    ) {
        match sum {
            Some(sum) => self.has_opened(cx, members, key, sum),
            None => self.named.note(key, None),
        }
    }

    /// Key and sum are on this disk. They are in the journal before the first vote for them.
    pub(super) fn has_opened(
        &mut self,
        cx: &mut Cx,
        members: &Members,
        key: ObjectRef,
        sum: SumDigest,
    ) {
        if !is_possible(&key) {
            return cx.dropped("job: an impossible key");
        }
        // If it cannot be written the sum is opened again after a restart.
        let _ = cx.persist(Note::Opened { key, sum });
        cx.objects.made(key);
        self.opened_before = false;
        self.note_opened(key, sum);
        self.serve(cx, members);
    }

    fn note_opened(&mut self, key: ObjectRef, sum: SumDigest) {
        self.opened = Some((key, sum));
        self.named.note(key, Some(sum));
    }

    /// The sum was opened before a restart. It counts as opened; whether it is still on this disk
    /// the host finds out.
    pub(crate) fn recall(&mut self, key: ObjectRef, sum: SumDigest) {
        if is_possible(&key) {
            self.opened_before = true;
            self.note_opened(key, sum);
        }
    }

    /// Whoever has opened the sum shows the others how, after a restart too.
    pub(crate) fn serve(&self, cx: &mut Cx, members: &Members) {
        let Some((key, _)) = self.opened else { return };
        if cx.request(key, Purpose::Key, |cx| with_all_others(cx, members, Vec::new())) {
            cx.serve(key, None, Purpose::Key);
        }
    }

    /// Whether the sum was opened before a restart and its key is not here, or not yet.
    fn lacks_its_key(&self, cx: &Cx) -> bool {
        let here = self.opened.and_then(|(key, _)| cx.objects.is_here(&key));
        self.opened_before && here != Some(true)
    }

    /// If the sum was opened before a restart it may be gone from the disk: it is opened again.
    /// Returns whether it is.
    pub(super) fn forget_opened_before(&mut self) -> bool {
        let is_open_again = core::mem::take(&mut self.opened_before);
        if is_open_again {
            self.opened = None;
            self.named = NamedKeys::default();
        }
        is_open_again
    }
}

/// `holders`, then all other members: whoever has fetched an object serves it.
pub(super) fn with_all_others(
    cx: &Cx,
    members: &Members,
    mut holders: Vec<MemberIndex>,
) -> Vec<MemberIndex> {
    let others: Vec<MemberIndex> =
        cx.config.manifest.members().filter(|member| !holders.contains(member)).collect();
    holders.extend(others);
    members.trusted_first(holders)
}
