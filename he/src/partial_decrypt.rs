//! partial_decrypt: a member's answer, the sum of its key shares of the set.
//!
//! ```text
//! header (member), 32 id of the set, 2 N values
//! ```

use zeroize::Zeroizing;

use crate::aggregate::check_contributors;
use crate::context::RoundContext;
use crate::digest::SetId;
use crate::error::{Error, Fault};
use crate::field::{F65521, Field};
use crate::set::ContributorSet;
use crate::share::KeyShare;
use crate::sharing::ShareIndex;
use crate::wire::{HEADER_LEN, Kind, Parser, header, push_elements};

/// S_m, the sum of one member's shares over a set, N values below 65521: released once per round
/// and public from then on.
///
/// The noise that hides a partial decryption elsewhere (smudging) is not needed here: the answer is
/// a share of K, which is published, and not of a key that is used again (docs/CRYPTO.md, "Why K
/// may be published").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialDecryption {
    pub(crate) member: ShareIndex,
    pub(crate) set: SetId,
    pub(crate) values: Vec<u16>,
}

impl PartialDecryption {
    /// The member whose answer it is.
    pub fn member(&self) -> ShareIndex {
        self.member
    }

    /// The set it answers for.
    pub fn set(&self) -> SetId {
        self.set
    }

    /// For the wire: 56 + 2 N bytes.
    pub fn to_bytes(&self, context: &RoundContext) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LEN + 32 + 2 * self.values.len());
        bytes.extend_from_slice(&header(context, Kind::PartialDecryption, self.member.get()));
        bytes.extend_from_slice(self.set.as_bytes());
        push_elements(&mut bytes, &self.values);
        bytes
    }

    /// From the wire: what `member` released for `set`.
    ///
    /// # Errors
    /// [`Error::Remote`] names the member and the field.
    pub fn from_bytes(
        context: &RoundContext,
        member: ShareIndex,
        set: SetId,
        bytes: &[u8],
    ) -> Result<Self, Error> {
        let mut parser = Parser::new(bytes, member);
        parser.header_of(context, Kind::PartialDecryption, member)?;
        if SetId::new(parser.array("set")?) != set {
            return Err(Error::remote(member, "set", Fault::WrongSet));
        }
        let values = parser.elements("values", context.preset().ring_degree())?.to_vec();
        parser.end("values")?;
        Ok(Self { member, set, values })
    }
}

/// Sums the shares that `member` holds of exactly the contributors of `set`, each checked against
/// exactly the commitment in the set.
///
/// # Errors
/// [`Error::Remote`] names the contributor whose share is missing, given twice, of another round,
/// for another member, or of another commitment. Nothing is released then.
pub fn partial_decrypt(
    context: &RoundContext,
    set: &ContributorSet,
    member: ShareIndex,
    shares: &[KeyShare],
) -> Result<PartialDecryption, Error> {
    let mut ordered: Vec<&KeyShare> = shares.iter().collect();
    ordered.sort_by_key(|share| share.dealer);
    check_contributors(set, ordered.iter().map(|share| share.dealer))?;
    let mut sum = Zeroizing::new(vec![0u32; context.preset().ring_degree()]);
    for share in ordered {
        let fail = |fault| Err(Error::remote(share.dealer, "share", fault));
        if share.round_tag != *context.tag() {
            return fail(Fault::WrongRound);
        }
        if share.receiver != member {
            return fail(Fault::WrongMember(share.receiver.get()));
        }
        if set.commitment_of(share.dealer) != Some(share.commitment) {
            return fail(Fault::WrongSet);
        }
        for (s, &value) in sum.iter_mut().zip(share.values.iter()) {
            *s += u32::from(value);
        }
    }
    // At most 700 summands below 2^16: no overflow before this reduction.
    let values = sum.iter().map(|&s| F65521::reduce(s) as u16).collect();
    Ok(PartialDecryption { member, set: set.id(), values })
}
