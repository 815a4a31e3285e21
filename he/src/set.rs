//! The contributors of one sum.

use crate::context::RoundContext;
use crate::digest::{CommitmentDigest, SetId};
use crate::error::{Error, Fault};
use crate::sharing::ShareIndex;

/// The set U: which commitments one sum is made of. Two sets that differ in one commitment have
/// different ids, and everything that is made for one set names its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContributorSet {
    /// Contributor and its commitment, ascending.
    entries: Vec<(ShareIndex, CommitmentDigest)>,
    id: SetId,
}

impl ContributorSet {
    /// The set of these contributors with their commitments
    /// ([`ShareCommitment::id`](crate::ShareCommitment::id)), in any order.
    ///
    /// # Errors
    /// [`Error::TooFewContributors`] when the set is smaller than `min_contributors`;
    /// [`Error::Remote`] names a member that is given twice or is beyond the preset's members.
    pub fn new(
        context: &RoundContext,
        min_contributors: u16,
        entries: impl IntoIterator<Item = (ShareIndex, CommitmentDigest)>,
    ) -> Result<Self, Error> {
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort_unstable();
        let members = context.preset().members();
        let (found, needed) = (entries.len(), min_contributors.max(1));
        if found < usize::from(needed) {
            return Err(Error::TooFewContributors { found, needed });
        }
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::remote(pair[0].0, "contributor", Fault::Duplicate));
        }
        if let Some(&(index, _)) = entries.iter().find(|e| e.0.get() > members) {
            return Err(Error::remote(index, "contributor", Fault::WrongMember(index.get())));
        }
        let mut hasher = context.hasher("fedshield-he v1 contributor set");
        for (index, digest) in &entries {
            hasher.update(&index.get().to_le_bytes()).update(digest.as_bytes());
        }
        Ok(Self { entries, id: SetId::new(*hasher.finalize().as_bytes()) })
    }

    /// Number of contributors.
    pub fn len(&self) -> u16 {
        self.entries.len() as u16
    }

    /// Never true; clippy wants it beside `len`.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Names round and set.
    pub fn id(&self) -> SetId {
        self.id
    }

    /// The contributors, ascending.
    pub fn contributors(&self) -> impl Iterator<Item = ShareIndex> + '_ {
        self.entries.iter().map(|e| e.0)
    }

    /// The commitment of a contributor, if it is one.
    pub fn commitment_of(&self, contributor: ShareIndex) -> Option<CommitmentDigest> {
        let at = self.entries.binary_search_by_key(&contributor, |e| e.0).ok()?;
        self.entries.get(at).map(|e| e.1)
    }
}
