//! The contributors of one sum.

use crate::context::RoundContext;
use crate::error::{Error, Fault};

/// The set U: which commitments one sum is made of. Two sets that differ in one commitment have
/// different ids, and everything that is made for one set names its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContributorSet {
    /// Share index and name of the commitment, in ascending order of the index.
    entries: Vec<(u16, [u8; 32])>,
    id: [u8; 32],
}

impl ContributorSet {
    /// The set of these (share index, name of the commitment), in any order. What names a commitment must bind all of it,
    /// and its ciphertext ([`ShareCommitment::name`](crate::ShareCommitment::name)).
    ///
    /// # Errors
    /// [`Error::TooFewContributors`] when the set is smaller than `min_contributors`; [`Error::Remote`] names the member that it holds
    /// twice, or that the preset has no place for.
    pub fn new(
        context: &RoundContext,
        min_contributors: u16,
        entries: impl IntoIterator<Item = (u16, [u8; 32])>,
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
        if let Some(&(index, _)) = entries.iter().find(|e| e.0 == 0 || e.0 > members) {
            return Err(Error::remote(index, "contributor", Fault::WrongMember(index)));
        }
        let mut hasher = context.hasher("fedshield-he v1 contributor set");
        for (index, digest) in &entries {
            hasher.update(&index.to_le_bytes()).update(digest);
        }
        Ok(Self { entries, id: *hasher.finalize().as_bytes() })
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
    pub fn id(&self) -> &[u8; 32] {
        &self.id
    }

    /// Share indices, ascending.
    pub fn indices(&self) -> impl Iterator<Item = u16> + '_ {
        self.entries.iter().map(|e| e.0)
    }

    /// Name of the commitment of a contributor.
    pub fn commitment_of(&self, index: u16) -> Option<&[u8; 32]> {
        let at = self.entries.binary_search_by_key(&index, |e| e.0).ok()?;
        self.entries.get(at).map(|e| &e.1)
    }
}
