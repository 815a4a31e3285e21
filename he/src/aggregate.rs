//! aggregate: C = sum of the ciphertexts of a set, from packed bytes to packed bytes.
//!
//! Integer additions only: the order of the contributors does not matter, and two committee members
//! write the same bytes.

use std::io::{BufRead, Write};

use crate::ciphertext::{AGGREGATE_HEADER_LEN, BlockReader, aggregate_header};
use crate::context::RoundContext;
use crate::error::{Error, Fault};
use crate::kernel::BlockKernel;
use crate::pack::{STRIPE, packed_len};
use crate::set::ContributorSet;
use crate::sharing::ShareIndex;

/// Adds the ciphertexts of exactly the contributors of the set and writes the aggregate. Noise of a
/// sum of n ciphertexts: an error with standard deviation 6.4 sqrt(n) and a truncation of 0 ..= n
/// (2^l - 1); the words grow by ceil(log2 n) bits. `value_count` is fixed by the round, and every
/// ciphertext must have it. Returns the number of bytes written.
///
/// # Errors
/// [`Error::Remote`] names the contributor whose ciphertext is missing, given twice, truncated,
/// oversized, of another round or preset, or out of range.
pub fn aggregate<R: BufRead>(
    context: &RoundContext,
    set: &ContributorSet,
    value_count: u64,
    ciphertexts: impl IntoIterator<Item = (ShareIndex, R)>,
    out: &mut impl Write,
) -> Result<u64, Error> {
    let mut inputs: Vec<(ShareIndex, R)> = ciphertexts.into_iter().collect();
    inputs.sort_by_key(|input| input.0);
    check_contributors(set, inputs.iter().map(|input| input.0))?;
    let preset = context.preset();
    let layout = context.layout(value_count)?;
    let mut readers = inputs
        .into_iter()
        .map(|(from, reader)| BlockReader::ciphertext(context, from, value_count, reader))
        .collect::<Result<Vec<_>, _>>()?;

    out.write_all(&aggregate_header(context, set, value_count))?;
    let bits = preset.aggregate_bits();
    let mut sum = [0; STRIPE];
    let mut packed = vec![0; layout.block_len(0, bits)];
    for block in 0..layout.blocks() {
        let packed = &mut packed[..layout.block_len(block, bits)];
        let mut left = layout.coefficients(block);
        for packed in packed.chunks_mut(packed_len(STRIPE, bits)) {
            let sum = &mut sum[..left.min(STRIPE)];
            left -= sum.len();
            sum.fill(0);
            for reader in &mut readers {
                reader.add_stripe(context, block, sum)?;
            }
            context.kernel().pack(sum, bits, packed);
        }
        out.write_all(packed)?;
    }
    readers.into_iter().try_for_each(BlockReader::end)?;
    Ok(AGGREGATE_HEADER_LEN as u64 + layout.blocks_len(bits))
}

/// Checks that these members, in ascending order, are exactly the contributors of the set.
pub(crate) fn check_contributors(
    set: &ContributorSet,
    found: impl Iterator<Item = ShareIndex>,
) -> Result<(), Error> {
    let mut expected = set.contributors();
    let mut previous = None;
    for member in found {
        if Some(member) == previous {
            return Err(Error::remote(member, "contributor", Fault::Duplicate));
        }
        previous = Some(member);
        match expected.next() {
            Some(contributor) if contributor == member => {}
            Some(contributor) if contributor < member => {
                return Err(Error::remote(contributor, "contributor", Fault::Missing));
            }
            _ => return Err(Error::remote(member, "contributor", Fault::WrongSet)),
        }
    }
    match expected.next() {
        Some(contributor) => Err(Error::remote(contributor, "contributor", Fault::Missing)),
        None => Ok(()),
    }
}
