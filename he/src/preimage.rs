//! What one member gets from one contributor: what its digest in the commitment is the digest of.
//!
//! ```text
//! header (member = sender), 2 receiver, 32 salt, 2 N share, 16 mask shares
//! ```

use std::fmt;

use zeroize::Zeroizing;

use crate::commitment::ShareCommitment;
use crate::context::RoundContext;
use crate::error::{Error, Fault};
use crate::low_degree::{self, REPETITIONS};
use crate::share::Share;
use crate::wire::{HEADER_LEN, Kind, Parser, header, push_elements};

/// Salt, share and mask shares of one member. A secret of dealer and receiver; erased on drop. The dealer
/// shows it in clear to answer a complaint of the receiver, and only then.
pub struct Preimage {
    sender: u16,
    receiver: u16,
    salt: Zeroizing<[u8; 32]>,
    /// N values of the key polynomials.
    values: Zeroizing<Vec<u16>>,
    /// 8 values of the mask polynomials.
    masks: Zeroizing<Vec<u16>>,
}

impl Preimage {
    pub(crate) fn new(
        sender: u16,
        receiver: u16,
        salt: &[u8; 32],
        mut values: Zeroizing<Vec<u16>>,
        degree: usize,
    ) -> Self {
        let masks = Zeroizing::new(values.iter().skip(degree).copied().collect());
        values.truncate(degree);
        Self { sender, receiver, salt: Zeroizing::new(*salt), values, masks }
    }

    /// Share index of the contributor.
    pub fn sender(&self) -> u16 {
        self.sender
    }

    /// Share index of the member it is for.
    pub fn receiver(&self) -> u16 {
        self.receiver
    }

    /// Bytes of a preimage.
    pub fn len_bytes(context: &RoundContext) -> usize {
        HEADER_LEN + 2 + 32 + 2 * (context.preset().ring_degree() + REPETITIONS)
    }

    /// The secret bytes: to be sealed, or to be stored in sealed storage.
    pub fn to_bytes(&self, context: &RoundContext) -> Zeroizing<Vec<u8>> {
        // The exact capacity, so that no copy of the secret is left behind by growing.
        let mut bytes = Zeroizing::new(Vec::with_capacity(Self::len_bytes(context)));
        bytes.extend_from_slice(&header(context, Kind::Preimage, self.sender));
        bytes.extend_from_slice(&self.receiver.to_le_bytes());
        bytes.extend_from_slice(self.salt.as_slice());
        push_elements(&mut bytes, &self.values);
        push_elements(&mut bytes, &self.masks);
        bytes
    }

    /// Reads what `sender` dealt to `receiver`.
    ///
    /// # Errors
    /// [`Error::Remote`] names the field.
    pub fn from_bytes(
        context: &RoundContext,
        sender: u16,
        receiver: u16,
        bytes: &[u8],
    ) -> Result<Self, Error> {
        let mut parser = Parser::new(bytes, sender);
        parser.header_of(context, Kind::Preimage, sender)?;
        let found = parser.u16("receiver")?;
        if found != receiver {
            return Err(Error::remote(sender, "receiver", Fault::WrongMember(found)));
        }
        let salt = Zeroizing::new(parser.array("salt")?);
        let values = parser.elements("share", context.preset().ring_degree())?;
        let masks = parser.elements("mask shares", REPETITIONS)?;
        parser.end("mask shares")?;
        Ok(Self { sender, receiver, salt, values, masks })
    }

    /// H(m, salt_m, share_m, mask shares_m), bound to the round and the sender.
    pub(crate) fn digest(&self, context: &RoundContext) -> [u8; 32] {
        let mut hasher = context.hasher("fedshield-he v1 share digest");
        hasher.update(&self.to_bytes(context));
        *hasher.finalize().as_bytes()
    }

    /// Checks this preimage against the commitment: its digest, then the low-degree test.
    ///
    /// # Errors
    /// [`Error::Remote`] with [`Fault::Digest`] or [`Fault::LowDegree`] names the dealer.
    pub fn check(
        &self,
        context: &RoundContext,
        commitment: &ShareCommitment,
    ) -> Result<Share, Error> {
        let fail = |fault| Err(Error::remote(self.sender, "share", fault));
        if commitment.sender != self.sender {
            return fail(Fault::WrongMember(commitment.sender));
        }
        let expected = commitment.share_digest(self.receiver).copied().map(blake3::Hash::from);
        // blake3::Hash compares in constant time.
        if expected != Some(blake3::Hash::from(self.digest(context))) {
            return fail(Fault::Digest);
        }
        let challenge = commitment.challenge_stream(context);
        let (values, masks) = (&self.values, &self.masks);
        if !low_degree::check(&challenge, &commitment.low_degree, self.receiver, values, masks) {
            return fail(Fault::LowDegree);
        }
        Ok(Share {
            sender: self.sender,
            receiver: self.receiver,
            commitment: commitment.name(context),
            round_tag: *context.tag(),
            values: Zeroizing::new(values.to_vec()),
        })
    }
}

impl fmt::Debug for Preimage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Preimage({} -> {}, ..)", self.sender, self.receiver)
    }
}

/// Checks a preimage that the dealer showed in clear to answer the complaint of `receiver`. Everyone can
/// run this; when it succeeds, the complaint is answered and the share is valid.
///
/// # Errors
/// [`Error::Remote`] names the dealer: the complaint stands.
pub fn check_preimage(
    context: &RoundContext,
    commitment: &ShareCommitment,
    receiver: u16,
    bytes: &[u8],
) -> Result<Share, Error> {
    Preimage::from_bytes(context, commitment.sender, receiver, bytes)?.check(context, commitment)
}
