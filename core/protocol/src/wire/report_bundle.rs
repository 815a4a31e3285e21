//! A proposer's q reports, in one message: a dictionary of all listed updates, a bitmap and a
//! signature for each report.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Bits, Body, UpdateSet};
use crate::ids::{CommitmentDigest, MemberIndex};
use crate::limits::MAX_MEMBERS;
use crate::manifest::Rules;
use crate::roster::Roster;
use crate::sign::Signature;

/// One packed report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundledReport {
    /// Its sender.
    pub member: MemberIndex,
    /// Positions in the dictionary.
    pub listed: Bits,
    /// The sender's signature over the report.
    pub signature: Signature,
}

/// q reports. At 100 members that agree it takes 9 KiB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportBundle {
    dictionary: Vec<(MemberIndex, CommitmentDigest)>,
    reports: Vec<BundledReport>,
}

/// A report and its sender's signature.
pub type SignedReport = (UpdateSet, Signature);

impl ReportBundle {
    /// Packs the `quorum` longest of `reports` (the lower index first among equals); `None` if
    /// there are fewer.
    #[must_use]
    pub fn pack(reports: &BTreeMap<MemberIndex, SignedReport>, quorum: u16) -> Option<Self> {
        let quorum = usize::from(quorum);
        let mut chosen: Vec<_> = reports.iter().collect();
        chosen.sort_by_key(|(member, (set, _))| (core::cmp::Reverse(set.len()), **member));
        chosen.truncate(quorum);
        if chosen.len() < quorum {
            return None;
        }
        chosen.sort_by_key(|(member, _)| **member);
        let dictionary: BTreeSet<_> =
            chosen.iter().flat_map(|(_, (set, _))| set.iter().copied()).collect();
        let dictionary: Vec<_> = dictionary.into_iter().collect();
        let reports = chosen
            .into_iter()
            .map(|(member, (set, signature))| {
                let mut listed = Bits::empty(dictionary.len());
                for entry in set {
                    if let Ok(position) = dictionary.binary_search(entry) {
                        listed.set(position);
                    }
                }
                BundledReport { member: *member, listed, signature: *signature }
            })
            .collect();
        Some(Self { dictionary, reports })
    }

    /// The reports, unpacked: reporter, listed updates, signature. One that lists two updates of
    /// one contributor is none: its reporter cannot have signed it.
    pub fn reports(&self) -> impl Iterator<Item = (MemberIndex, UpdateSet, Signature)> + '_ {
        self.reports.iter().filter_map(|report| {
            let dictionary = self.dictionary.iter().enumerate();
            let listed = dictionary.filter(|(position, _)| report.listed.get(*position));
            let listed: Vec<_> = listed.map(|(_, entry)| *entry).collect();
            Some((report.member, UpdateSet::try_from(listed).ok()?, report.signature))
        })
    }

    /// U: the updates listed in at least q - f of the reports; of two of one contributor, neither.
    #[must_use]
    pub fn set(&self, rules: &Rules) -> UpdateSet {
        let threshold = usize::from(rules.inclusion_threshold());
        let mut by_contributor: BTreeMap<MemberIndex, Vec<CommitmentDigest>> = BTreeMap::new();
        for (position, (contributor, digest)) in self.dictionary.iter().enumerate() {
            let count = self.reports.iter().filter(|r| r.listed.get(position)).count();
            if count >= threshold {
                by_contributor.entry(*contributor).or_default().push(*digest);
            }
        }
        by_contributor
            .into_iter()
            .filter_map(|(contributor, digests)| match digests.as_slice() {
                [only] => Some((contributor, *only)),
                _ => None,
            })
            .collect()
    }

    /// Whether these are exactly q reports by different members, each signed by its sender.
    #[must_use]
    pub fn is_valid(&self, roster: &Roster<'_>, round: crate::ids::Round) -> bool {
        self.reports.len() == usize::from(roster.rules().quorum)
            && self.reports.is_sorted_by(|a, b| a.member < b.member)
            && self.reports().count() == self.reports.len()
            && self.reports().all(|(member, set, signature)| {
                roster.is_signed_by(round, member, &Body::Report(set), &signature)
            })
    }

    /// Bounds that hold for every honest collection, checked before anything else is computed from
    /// it.
    pub(super) fn is_within_bounds(&self, member_count: u16) -> bool {
        let n = usize::from(member_count.min(MAX_MEMBERS));
        self.reports.len() <= n
            && self.dictionary.len() <= n * n
            && self.dictionary.is_sorted_by(|a, b| a < b)
            && self.dictionary.iter().all(|(contributor, _)| contributor.0 < member_count)
            && self.reports.iter().all(|r| r.listed.fits(self.dictionary.len()))
            && (0..self.dictionary.len()).all(|i| self.reports.iter().any(|r| r.listed.get(i)))
    }
}
