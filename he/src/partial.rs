//! decrypt, a member's part: the sum of its key shares of the set.
//!
//! ```text
//! header (member = share index), 32 id of the set, 2 N values
//! ```

use zeroize::Zeroizing;

use crate::aggregate::check_senders;
use crate::context::RoundContext;
use crate::error::{Error, Fault};
use crate::field::{F65521, Field};
use crate::set::ContributorSet;
use crate::share::Share;
use crate::wire::{HEADER_LEN, Kind, Parser, header, push_elements};

/// S_m, the sum of one member's shares over a set: released once per round and public from then on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialDecryption {
    pub(crate) share_index: u16,
    pub(crate) set: [u8; 32],
    pub(crate) values: Vec<u16>,
}

impl PartialDecryption {
    /// Share index of the member.
    pub fn share_index(&self) -> u16 {
        self.share_index
    }

    /// Id of the set it answers for.
    pub fn set(&self) -> &[u8; 32] {
        &self.set
    }

    /// Bytes of a partial decryption.
    pub fn len_bytes(context: &RoundContext) -> usize {
        HEADER_LEN + 32 + 2 * context.preset().ring_degree()
    }

    /// For the wire.
    pub fn to_bytes(&self, context: &RoundContext) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::len_bytes(context));
        bytes.extend_from_slice(&header(context, Kind::PartialDecryption, self.share_index));
        bytes.extend_from_slice(&self.set);
        push_elements(&mut bytes, &self.values);
        bytes
    }

    /// From the wire: what `member` released for `set`.
    ///
    /// # Errors
    /// [`Error::Remote`] names the member and the field.
    pub fn from_bytes(
        context: &RoundContext,
        member: u16,
        set: &ContributorSet,
        bytes: &[u8],
    ) -> Result<Self, Error> {
        let mut parser = Parser::new(bytes, member);
        parser.header_of(context, Kind::PartialDecryption, member)?;
        let found = parser.array("set")?;
        if found != *set.id() {
            return Err(Error::remote(member, "set", Fault::WrongSet));
        }
        let values = parser.elements("values", context.preset().ring_degree())?.to_vec();
        parser.end("values")?;
        Ok(Self { share_index: member, set: found, values })
    }
}

/// Sums the shares that member `share_index` holds of exactly the contributors of `set`, each checked
/// against exactly the commitment in the set.
///
/// # Errors
/// [`Error::Remote`] names the contributor whose share is missing, given twice, of another round, for
/// another member, or of another commitment. Nothing is released then.
pub fn partial_decrypt(
    context: &RoundContext,
    set: &ContributorSet,
    share_index: u16,
    shares: &[Share],
) -> Result<PartialDecryption, Error> {
    let mut ordered: Vec<&Share> = shares.iter().collect();
    ordered.sort_by_key(|share| share.sender);
    check_senders(set, ordered.iter().map(|share| share.sender))?;
    let mut sum = Zeroizing::new(vec![0u32; context.preset().ring_degree()]);
    for share in ordered {
        let fail = |fault| Err(Error::remote(share.sender, "share", fault));
        if share.round_tag != *context.tag() {
            return fail(Fault::WrongRound);
        }
        if share.receiver != share_index {
            return fail(Fault::WrongMember(share.receiver));
        }
        if set.commitment_of(share.sender) != Some(&share.commitment) {
            return fail(Fault::WrongSet);
        }
        for (s, &value) in sum.iter_mut().zip(share.values.iter()) {
            *s += u32::from(value);
        }
    }
    // At most 700 summands below 2^16: no overflow before this reduction.
    let values = sum.iter().map(|&s| F65521::reduce(s) as u16).collect();
    Ok(PartialDecryption { share_index, set: *set.id(), values })
}
