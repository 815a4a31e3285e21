//! A sum is opened by its key, whoever found it: the key is an object of a few KiB that everyone who has it serves, and whoever
//! has the aggregate can see for itself what it opens. So an opened sum is valid by its content. A member that cannot open it
//! by answers (it got other ones, or too few) fetches the key that a proposal names, checks it, and has opened it as well.
//!
//! A proposer that names a wrong key costs each member one fetch and one check, which fails at the first block of the sum:
//! only keys of proposals in the window of views and of locked or decided values are looked at, each by itself.

use std::collections::BTreeMap;

use crate::effect::Purpose;
use crate::ids::{Digest, MemberIndex};
use crate::job::Job;
use crate::machine::{Machine, Tag};
use crate::object::ObjectRef;
use crate::wire::journal::Note;
use crate::wire::{Body, Decision, Value};

/// What the keys that were named open.
#[derive(Debug, Clone, Default)]
pub(crate) struct NamedKeys(BTreeMap<ObjectRef, Option<Digest>>);

impl NamedKeys {
    /// The sum that `key` opens; `None` if it opens none, or has not been checked.
    pub(crate) fn opens(&self, key: &ObjectRef) -> Option<Digest> {
        self.0.get(key).copied().flatten()
    }

    fn is_checked(&self, key: &ObjectRef) -> bool {
        self.0.contains_key(key)
    }

    fn note(&mut self, key: ObjectRef, sum: Option<Digest>) {
        self.0.insert(key, sum);
    }

    /// Verdicts are kept for a while, so that one that names the same wrong key again costs nothing; not without end.
    fn forget_over(&mut self, most: usize, named: &BTreeMap<ObjectRef, Vec<MemberIndex>>) {
        if self.0.len() > most {
            self.0.retain(|key, sum| sum.is_some() || named.contains_key(key));
        }
    }
}

impl Machine {
    /// Fetches and checks the keys in question that have not been checked.
    pub(super) fn check_keys(&mut self) {
        let Some((set, aggregate)) = self.round.decided.clone() else { return };
        self.serve_opened_key();
        let named = self.named_keys();
        self.forget_keys(&named);
        let of_set = crate::wire::set_digest(&set);
        for (key, holders) in named {
            if self.round.keys.is_checked(&key) {
                continue;
            }
            let mut here =
                self.want(aggregate, Purpose::Aggregate, |it| it.attesters_of(&of_set, &aggregate));
            here &= self.want(key, Purpose::Key, |it| it.with_all_others(holders));
            // Its result may make this one superfluous.
            let combines = self.jobs.is_running(Tag::Combine(self.round.number));
            if here && !combines {
                let (start, set) = (self.round.start, set.clone());
                self.start(Tag::CheckKey(key), Job::CheckKey { start, set, aggregate, key });
            }
        }
    }

    /// The keys in question, with those that named them: of the decision, or else of the proposals of this view and later
    /// ones, and of what this member is bound to.
    fn named_keys(&self) -> BTreeMap<ObjectRef, Vec<MemberIndex>> {
        let mut named: BTreeMap<ObjectRef, Vec<MemberIndex>> = BTreeMap::new();
        let mut name = |value: &Value, by: Option<MemberIndex>| {
            if let Value::Opened { key, .. } = value
                && Self::is_possible_key(key)
            {
                named.entry(*key).or_default().extend(by);
            }
        };
        if let Some(decided) = self.decided_value(Decision::Outcome) {
            name(&decided.value, None);
            return named;
        }
        let vote = &self.round.outcome_vote;
        for ((decision, view), (body, _)) in &self.round.offered {
            if let Body::Proposal(proposal) = body
                && *decision == Decision::Outcome
                && *view >= vote.view()
            {
                name(&proposal.value, Some(self.round.election.proposer(*view)));
            }
        }
        let state = vote.state();
        for bound in [&state.locked, &state.valid].into_iter().flatten() {
            if let Some(value) = self.round.values.get(&bound.value) {
                name(value, None);
            }
        }
        named
    }

    /// What nobody names any more is neither fetched nor checked.
    fn forget_keys(&mut self, named: &BTreeMap<ObjectRef, Vec<MemberIndex>>) {
        let values = self.round.values.values();
        let keys = values.filter_map(|value| match value {
            Value::Opened { key, .. } => Some(*key),
            _ => None,
        });
        let own = self.round.opened.map(|(key, _)| key);
        let gone: Vec<ObjectRef> =
            keys.filter(|key| !named.contains_key(key) && own != Some(*key)).collect();
        for key in gone {
            self.no_longer_wanted(&key);
            self.cancel(Tag::CheckKey(key));
        }
        let most = usize::from(self.config.rules().member_count);
        self.round.keys.forget_over(most, named);
    }

    fn with_all_others(&self, mut holders: Vec<MemberIndex>) -> Vec<MemberIndex> {
        let others = self.config.manifest.members().filter(|member| !holders.contains(member));
        let others: Vec<MemberIndex> = others.collect();
        holders.extend(others);
        holders
    }

    /// Whether a key that another member named is under check: its result may make the own search superfluous.
    pub(super) fn checks_a_key(&self) -> bool {
        self.named_keys().keys().any(|key| self.jobs.is_running(Tag::CheckKey(*key)))
    }

    /// What a key opens that another member named.
    pub(crate) fn key_checked(&mut self, key: ObjectRef, sum: Option<Digest>) {
        match sum {
            Some(sum) => self.has_opened(key, sum),
            None => self.round.keys.note(key, None),
        }
    }

    /// Key and sum are on this disk: it is in the journal before the first vote that says so.
    pub(super) fn has_opened(&mut self, key: ObjectRef, sum: Digest) {
        if !Self::is_possible_key(&key) {
            return self.dropped("job: an impossible key");
        }
        // If it cannot be written the sum is opened again after a restart.
        let _ = self.persist(Note::Opened { key, sum });
        self.objects.made(key);
        self.round.opened_before = false;
        self.note_open(key, sum);
        self.serve_opened_key();
    }

    fn is_possible_key(key: &ObjectRef) -> bool {
        (1..=crate::limits::MAX_KEY_BYTES).contains(&key.length)
    }

    fn note_open(&mut self, key: ObjectRef, sum: Digest) {
        self.round.opened = Some((key, sum));
        self.round.keys.note(key, Some(sum));
    }

    /// An earlier life has opened the sum. It counts as opened; whether it is still on this disk the host finds out.
    pub(crate) fn note_opened(&mut self, key: ObjectRef, sum: Digest) {
        if Self::is_possible_key(&key) {
            self.round.opened_before = true;
            self.note_open(key, sum);
        }
    }

    /// Whoever has opened the sum shows the others how, after a restart too.
    pub(super) fn serve_opened_key(&mut self) {
        let Some((key, _)) = self.round.opened else { return };
        if self.want(key, Purpose::Key, |it| it.with_all_others(Vec::new())) {
            self.serve(key, None, Purpose::Key);
        }
    }

    /// Whether an earlier life opened the sum and its key is not here, or not yet.
    pub(super) fn lacks_its_key(&self) -> bool {
        let here = self.round.opened.and_then(|(key, _)| self.objects.is_here(&key));
        self.round.opened_before && here != Some(true)
    }
}
