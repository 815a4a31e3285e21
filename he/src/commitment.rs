//! What a dealer publishes about its key shares: a commitment to each of them.
//!
//! ```text
//! header (dealer), 2 members, 2 threshold, 32 digest of the ciphertext,
//! 32 digest of the opening of each member, 2 * threshold for each of 8 polynomials h_r
//! ```

use crate::context::RoundContext;
use crate::digest::{CiphertextDigest, CommitmentDigest, ShareDigest};
use crate::error::{Error, Fault};
use crate::low_degree::REPETITIONS;
use crate::sharing::{ShareIndex, Sharing};
use crate::wire::{HEADER_LEN, Kind, Parser, header, push_elements};

/// The published part of a sharing: a digest of each member's opening, and the answers of the
/// low-degree test. What the dealer keeps is a [`SecretPackage`](crate::SecretPackage).
///
/// A commitment by hash, of 32 bytes a member, in place of one in a group: it binds and hides by
/// BLAKE3 alone. That the committed values are shares of one key is proven by the low-degree test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareCommitment {
    pub(crate) dealer: ShareIndex,
    pub(crate) sharing: Sharing,
    pub(crate) ciphertext: CiphertextDigest,
    pub(crate) share_digests: Vec<ShareDigest>,
    /// `threshold` coefficients of each polynomial h_r.
    pub(crate) low_degree: Vec<u16>,
    /// Set by [`identified_by`](Self::identified_by); not on the wire.
    id: Option<CommitmentDigest>,
}

impl ShareCommitment {
    /// Without the answers of the low-degree test, whose challenges are drawn from the rest.
    pub(crate) fn unproven(
        dealer: ShareIndex,
        sharing: Sharing,
        ciphertext: CiphertextDigest,
        share_digests: Vec<ShareDigest>,
    ) -> Self {
        let low_degree = Vec::new();
        Self { dealer, sharing, ciphertext, share_digests, low_degree, id: None }
    }

    /// The contributor that dealt the shares.
    pub fn dealer(&self) -> ShareIndex {
        self.dealer
    }

    /// The digest by which the ciphertext is committed to.
    pub fn ciphertext(&self) -> CiphertextDigest {
        self.ciphertext
    }

    /// Digest of the opening of a member, if there is such a member.
    pub fn share_digest(&self, receiver: ShareIndex) -> Option<ShareDigest> {
        self.share_digests.get(usize::from(receiver.position())).copied()
    }

    /// The same commitment, identified by a digest that the caller chooses, for instance that of
    /// the message that carries these bytes. A [`ContributorSet`](crate::ContributorSet) lists the
    /// commitment by this digest, and shares checked against this commitment are accepted only for
    /// a set that lists it by the same digest.
    #[must_use]
    pub fn identified_by(mut self, id: CommitmentDigest) -> Self {
        self.id = Some(id);
        self
    }

    /// The digest by which a set lists this commitment: the caller's, or else that of its bytes.
    pub fn id(&self, context: &RoundContext) -> CommitmentDigest {
        self.id.unwrap_or_else(|| {
            let mut hasher = context.hasher("fedshield-he v1 commitment digest");
            hasher.update(&self.to_bytes(context));
            CommitmentDigest::new(*hasher.finalize().as_bytes())
        })
    }

    /// For the wire: 60 + 32 n + 16 t bytes.
    pub fn to_bytes(&self, context: &RoundContext) -> Vec<u8> {
        let (members, threshold) = (self.sharing.members(), self.sharing.threshold());
        let lists = 32 * self.share_digests.len() + 2 * self.low_degree.len();
        let mut bytes = Vec::with_capacity(HEADER_LEN + 4 + 32 + lists);
        bytes.extend_from_slice(&header(context, Kind::Commitment, self.dealer.get()));
        bytes.extend_from_slice(&members.to_le_bytes());
        bytes.extend_from_slice(&threshold.to_le_bytes());
        bytes.extend_from_slice(self.ciphertext.as_bytes());
        self.share_digests.iter().for_each(|d| bytes.extend_from_slice(d.as_bytes()));
        push_elements(&mut bytes, &self.low_degree);
        bytes
    }

    /// From the wire: the commitment of `dealer` in a federation with this sharing.
    ///
    /// # Errors
    /// [`Error::Remote`] names the field. Counts other than those agreed are refused, and so are
    /// longer polynomials of the low-degree test.
    pub fn from_bytes(
        context: &RoundContext,
        dealer: ShareIndex,
        sharing: Sharing,
        bytes: &[u8],
    ) -> Result<Self, Error> {
        let mut parser = Parser::new(bytes, dealer);
        parser.header_of(context, Kind::Commitment, dealer)?;
        for (field, expected) in
            [("members", sharing.members()), ("threshold", sharing.threshold())]
        {
            let found = parser.u16(field)?;
            if found != expected {
                let (found, expected) = (found.into(), expected.into());
                return Err(Error::remote(dealer, field, Fault::Count { found, expected }));
            }
        }
        let ciphertext = CiphertextDigest::new(parser.array("ciphertext digest")?);
        let share_digests = (0..sharing.members())
            .map(|_| parser.array("share digests").map(ShareDigest::new))
            .collect::<Result<Vec<_>, _>>()?;
        let count = REPETITIONS * usize::from(sharing.threshold());
        let low_degree = parser.elements("low-degree polynomials", count)?.to_vec();
        parser.end("low-degree polynomials")?;
        Ok(Self { dealer, sharing, ciphertext, share_digests, low_degree, id: None })
    }

    /// The stream of the challenges: bound to the round and to everything in the commitment but the
    /// answers themselves (Fiat and Shamir, Crypto 1986, doi:10.1007/3-540-47721-7_12).
    pub(crate) fn challenge_stream(&self, context: &RoundContext) -> blake3::Hasher {
        let mut hasher = context.hasher("fedshield-he v1 low-degree challenge");
        hasher.update(&self.dealer.get().to_le_bytes());
        hasher.update(&self.sharing.members().to_le_bytes());
        hasher.update(&self.sharing.threshold().to_le_bytes());
        hasher.update(self.ciphertext.as_bytes());
        self.share_digests.iter().for_each(|d| {
            hasher.update(d.as_bytes());
        });
        hasher
    }
}
