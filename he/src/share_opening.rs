//! What one member gets from one dealer: the opening of its share commitment.
//!
//! ```text
//! header (dealer), 2 receiver, 32 salt, 2 N share, 16 mask shares
//! ```

use std::fmt;

use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::commitment::ShareCommitment;
use crate::context::RoundContext;
use crate::digest::ShareDigest;
use crate::error::{Error, Fault};
use crate::low_degree::{self, REPETITIONS};
use crate::share::KeyShare;
use crate::sharing::ShareIndex;
use crate::wire::{HEADER_LEN, Kind, Parser, header, push_elements};

/// The opening of one member's share commitment: its salt, its share and its mask shares.
///
/// # Security
///
/// A secret of dealer and receiver; erased on drop. It MUST be sent only sealed to the receiver
/// ([`seal_share`](crate::seal_share)), or in the clear by its dealer to answer a complaint of that
/// receiver.
pub struct ShareOpening {
    dealer: ShareIndex,
    receiver: ShareIndex,
    salt: Zeroizing<[u8; 32]>,
    /// N values of the key polynomials.
    values: Zeroizing<Vec<u16>>,
    /// 8 values of the mask polynomials.
    masks: Zeroizing<Vec<u16>>,
}

impl ZeroizeOnDrop for ShareOpening {}

impl ShareOpening {
    /// `values` are those of the `degree` key polynomials and then of the mask polynomials.
    pub(crate) fn new(
        dealer: ShareIndex,
        receiver: ShareIndex,
        salt: Zeroizing<[u8; 32]>,
        mut values: Zeroizing<Vec<u16>>,
        degree: usize,
    ) -> Self {
        let masks = Zeroizing::new(values.iter().skip(degree).copied().collect());
        values.truncate(degree);
        Self { dealer, receiver, salt, values, masks }
    }

    /// The contributor that dealt it.
    pub fn dealer(&self) -> ShareIndex {
        self.dealer
    }

    /// The member it is for.
    pub fn receiver(&self) -> ShareIndex {
        self.receiver
    }

    /// Bytes of an opening: 74 + 2 N.
    pub(crate) fn len_bytes(context: &RoundContext) -> usize {
        HEADER_LEN + 2 + 32 + 2 * (context.preset().ring_degree() + REPETITIONS)
    }

    /// The secret bytes: to be sealed, or encrypted at rest.
    pub fn to_bytes(&self, context: &RoundContext) -> Zeroizing<Vec<u8>> {
        // The exact capacity, so that no copy of the secret is left behind by growing.
        let mut bytes = Zeroizing::new(Vec::with_capacity(Self::len_bytes(context)));
        bytes.extend_from_slice(&header(context, Kind::ShareOpening, self.dealer.get()));
        bytes.extend_from_slice(&self.receiver.get().to_le_bytes());
        bytes.extend_from_slice(self.salt.as_slice());
        push_elements(&mut bytes, &self.values);
        push_elements(&mut bytes, &self.masks);
        bytes
    }

    /// Reads what the dealer of `commitment` dealt to `receiver`. It still has to be verified
    /// against the commitment.
    ///
    /// # Errors
    /// [`Error::Remote`] names the dealer and the field.
    pub fn from_bytes(
        context: &RoundContext,
        commitment: &ShareCommitment,
        receiver: ShareIndex,
        bytes: &[u8],
    ) -> Result<Self, Error> {
        let dealer = commitment.dealer;
        let mut parser = Parser::new(bytes, dealer);
        parser.header_of(context, Kind::ShareOpening, dealer)?;
        let found = parser.u16("receiver")?;
        if found != receiver.get() {
            return Err(Error::remote(dealer, "receiver", Fault::WrongMember(found)));
        }
        let salt = Zeroizing::new(parser.array("salt")?);
        let values = parser.elements("share", context.preset().ring_degree())?;
        let masks = parser.elements("mask shares", REPETITIONS)?;
        parser.end("mask shares")?;
        Ok(Self { dealer, receiver, salt, values, masks })
    }

    /// H(m, salt_m, share_m, mask shares_m), bound to the round and the dealer.
    pub(crate) fn digest(&self, context: &RoundContext) -> ShareDigest {
        let mut hasher = context.hasher("fedshield-he v1 share digest");
        hasher.update(&self.to_bytes(context));
        ShareDigest::new(*hasher.finalize().as_bytes())
    }

    /// Verifies this opening against the commitment: its digest, then the low-degree test. Any
    /// member can run it on an opening that the dealer published: if it succeeds, the complaint is
    /// answered and the share is valid.
    ///
    /// # Errors
    /// [`Error::Remote`] with [`Fault::Digest`] or [`Fault::LowDegree`] names the dealer.
    pub fn verify(
        &self,
        context: &RoundContext,
        commitment: &ShareCommitment,
    ) -> Result<KeyShare, Error> {
        let fail = |fault| Err(Error::remote(self.dealer, "share", fault));
        if commitment.dealer != self.dealer {
            return fail(Fault::WrongMember(commitment.dealer.get()));
        }
        let hash = |digest: ShareDigest| blake3::Hash::from(*digest.as_bytes());
        // blake3::Hash compares in constant time.
        if commitment.share_digest(self.receiver).map(hash) != Some(hash(self.digest(context))) {
            return fail(Fault::Digest);
        }
        let challenge = commitment.challenge_stream(context);
        let (point, values) = (self.receiver.get(), &self.values);
        if !low_degree::check(&challenge, &commitment.low_degree, point, values, &self.masks) {
            return fail(Fault::LowDegree);
        }
        Ok(KeyShare {
            dealer: self.dealer,
            receiver: self.receiver,
            commitment: commitment.id(context),
            round_tag: *context.tag(),
            values: Zeroizing::new(values.to_vec()),
        })
    }
}

impl fmt::Debug for ShareOpening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShareOpening({} -> {}, ..)", self.dealer, self.receiver)
    }
}
