//! What a contributor publishes about its key shares.
//!
//! ```text
//! header (member = sender), 2 members, 2 threshold, 32 digest of the ciphertext,
//! 32 digest of the preimage of each member, 2 * threshold for each of 8 polynomials of the low-degree test
//! ```

use crate::context::RoundContext;
use crate::error::{Error, Fault};
use crate::low_degree::REPETITIONS;
use crate::wire::{HEADER_LEN, Kind, Parser, header, push_elements};

/// Digests of all members' preimages and the answers of the low-degree test. Public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareCommitment {
    pub(crate) sender: u16,
    pub(crate) threshold: u16,
    pub(crate) ciphertext_digest: [u8; 32],
    pub(crate) share_digests: Vec<[u8; 32]>,
    pub(crate) low_degree: Vec<u16>,
    /// The caller's name for it; not on the wire.
    name: Option<[u8; 32]>,
}

impl ShareCommitment {
    pub(crate) fn unproven(
        sender: u16,
        threshold: u16,
        ciphertext_digest: [u8; 32],
        share_digests: Vec<[u8; 32]>,
    ) -> Self {
        Self {
            sender,
            threshold,
            ciphertext_digest,
            share_digests,
            low_degree: Vec::new(),
            name: None,
        }
    }

    /// Share index of the contributor.
    pub fn sender(&self) -> u16 {
        self.sender
    }

    /// The digest by which the ciphertext is committed to.
    pub fn ciphertext_digest(&self) -> &[u8; 32] {
        &self.ciphertext_digest
    }

    /// Digest of the preimage of a member, if there is such a member.
    pub fn share_digest(&self, receiver: u16) -> Option<&[u8; 32]> {
        self.share_digests.get(usize::from(receiver).checked_sub(1)?)
    }

    /// The same commitment under the name that the caller knows it by, for instance the digest of the message that holds
    /// these bytes: a [`ContributorSet`](crate::ContributorSet) lists it by that name, and shares checked against this
    /// commitment answer for a set that does and for no other.
    #[must_use]
    pub fn named(mut self, name: [u8; 32]) -> Self {
        self.name = Some(name);
        self
    }

    /// The name by which a set lists this commitment: the caller's, or else its digest.
    pub fn name(&self, context: &RoundContext) -> [u8; 32] {
        self.name.unwrap_or_else(|| self.digest(context))
    }

    /// The digest of its bytes in this round.
    pub fn digest(&self, context: &RoundContext) -> [u8; 32] {
        let mut hasher = context.hasher("fedshield-he v1 commitment digest");
        hasher.update(&self.to_bytes(context));
        *hasher.finalize().as_bytes()
    }

    /// Bytes of a commitment.
    pub fn len_bytes(members: u16, threshold: u16) -> usize {
        HEADER_LEN + 4 + 32 + 32 * usize::from(members) + 2 * REPETITIONS * usize::from(threshold)
    }

    /// For the wire.
    pub fn to_bytes(&self, context: &RoundContext) -> Vec<u8> {
        let members = self.share_digests.len() as u16;
        let mut bytes = Vec::with_capacity(Self::len_bytes(members, self.threshold));
        bytes.extend_from_slice(&header(context, Kind::Commitment, self.sender));
        bytes.extend_from_slice(&members.to_le_bytes());
        bytes.extend_from_slice(&self.threshold.to_le_bytes());
        bytes.extend_from_slice(&self.ciphertext_digest);
        self.share_digests.iter().for_each(|d| bytes.extend_from_slice(d));
        push_elements(&mut bytes, &self.low_degree);
        bytes
    }

    /// From the wire: the commitment of `sender` in a federation of `members` with this `threshold`.
    ///
    /// # Errors
    /// [`Error::Remote`] names the field; other counts than those agreed are refused, longer
    /// polynomials of the low-degree test with them.
    pub fn from_bytes(
        context: &RoundContext,
        sender: u16,
        (threshold, members): (u16, u16),
        bytes: &[u8],
    ) -> Result<Self, Error> {
        let mut parser = Parser::new(bytes, sender);
        parser.header_of(context, Kind::Commitment, sender)?;
        for (field, expected) in [("members", members), ("threshold", threshold)] {
            let found = parser.u16(field)?;
            if found != expected {
                let (found, expected) = (found.into(), expected.into());
                return Err(Error::remote(sender, field, Fault::Count { found, expected }));
            }
        }
        let ciphertext_digest = parser.array("ciphertext digest")?;
        let share_digests = (0..members)
            .map(|_| parser.array("share digests"))
            .collect::<Result<Vec<[u8; 32]>, _>>()?;
        let count = REPETITIONS * usize::from(threshold);
        let low_degree = parser.elements("low-degree polynomials", count)?.to_vec();
        parser.end("low-degree polynomials")?;
        let name = None;
        Ok(Self { sender, threshold, ciphertext_digest, share_digests, low_degree, name })
    }

    /// The stream of the challenges: bound to the round and to everything in the commitment but the
    /// answers themselves.
    pub(crate) fn challenge_stream(&self, context: &RoundContext) -> blake3::Hasher {
        let mut hasher = context.hasher("fedshield-he v1 low-degree challenge");
        hasher.update(&self.sender.to_le_bytes());
        hasher.update(&(self.share_digests.len() as u16).to_le_bytes());
        hasher.update(&self.threshold.to_le_bytes());
        hasher.update(&self.ciphertext_digest);
        self.share_digests.iter().for_each(|d| {
            hasher.update(d);
        });
        hasher
    }
}
