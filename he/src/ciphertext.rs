//! Ciphertexts and aggregates on the wire, read block by block.
//!
//! ```text
//! ciphertext  header (contributor), 8 value count, blocks of words with ceil(log2 q) - l bits
//! aggregate   header (number of contributors), 8 value count, 32 id of the set,
//!             blocks of words with ceil(log2 q) - l + ceil(log2 n) bits
//! ```

use std::io::{BufRead, ErrorKind};

use crate::context::RoundContext;
use crate::error::{Error, Fault};
use crate::kernel::BlockKernel;
use crate::layout::Layout;
use crate::pack::{STRIPE, packed_len};
use crate::set::ContributorSet;
use crate::sharing::ShareIndex;
use crate::wire::{HEADER_LEN, Kind, Parser, header};

/// Bytes before the first block of a ciphertext.
pub(crate) const CIPHERTEXT_HEADER_LEN: usize = HEADER_LEN + 8;
/// Bytes before the first block of an aggregate.
pub(crate) const AGGREGATE_HEADER_LEN: usize = HEADER_LEN + 8 + 32;

pub(crate) fn ciphertext_header(
    context: &RoundContext,
    contributor: ShareIndex,
    value_count: u64,
) -> [u8; CIPHERTEXT_HEADER_LEN] {
    let mut bytes = [0; CIPHERTEXT_HEADER_LEN];
    bytes[..HEADER_LEN].copy_from_slice(&header(context, Kind::Ciphertext, contributor.get()));
    bytes[HEADER_LEN..].copy_from_slice(&value_count.to_le_bytes());
    bytes
}

pub(crate) fn aggregate_header(
    context: &RoundContext,
    set: &ContributorSet,
    value_count: u64,
) -> [u8; AGGREGATE_HEADER_LEN] {
    let mut bytes = [0; AGGREGATE_HEADER_LEN];
    bytes[..HEADER_LEN].copy_from_slice(&header(context, Kind::Aggregate, set.len()));
    bytes[HEADER_LEN..HEADER_LEN + 8].copy_from_slice(&value_count.to_le_bytes());
    bytes[HEADER_LEN + 8..].copy_from_slice(set.id().as_bytes());
    bytes
}

/// Reads one ciphertext or aggregate; checks its header, then each block.
#[derive(Debug)]
pub(crate) struct BlockReader<R> {
    reader: R,
    /// `None` for an aggregate.
    contributor: Option<ShareIndex>,
    layout: Layout,
    bits: u32,
    /// Largest word that can honestly occur.
    largest: u64,
    /// Buffer for a stripe that crosses the end of the reader's own buffer.
    packed: Vec<u8>,
}

impl<R: BufRead> BlockReader<R> {
    /// Opens the ciphertext of `contributor` with exactly `value_count` values.
    pub(crate) fn ciphertext(
        context: &RoundContext,
        contributor: ShareIndex,
        value_count: u64,
        mut reader: R,
    ) -> Result<Self, Error> {
        let mut bytes = [0; CIPHERTEXT_HEADER_LEN];
        let read = reader.read_exact(&mut bytes);
        read.map_err(|e| Error::read(Some(contributor), "ciphertext header", e))?;
        let mut parser = Parser::new(&bytes, contributor);
        parser.header_of(context, Kind::Ciphertext, contributor)?;
        let found = parser.u64("value count")?;
        let bits = context.preset().wire_bits();
        check_count(contributor.into(), found, value_count)?;
        Self::new(context, Some(contributor), 1, value_count, bits, reader)
    }

    /// Opens the aggregate of `set` with exactly `value_count` values.
    pub(crate) fn aggregate(
        context: &RoundContext,
        set: &ContributorSet,
        value_count: u64,
        mut reader: R,
    ) -> Result<Self, Error> {
        let mut bytes = [0; AGGREGATE_HEADER_LEN];
        reader.read_exact(&mut bytes).map_err(|e| Error::read(None, "aggregate header", e))?;
        let mut parser = Parser::new(&bytes, None);
        let contributors = parser.header(context, Kind::Aggregate)?;
        let found = parser.u64("value count")?;
        if parser.array::<32>("set")? != *set.id().as_bytes() || contributors != set.len() {
            return Err(Error::remote(None, "set", Fault::WrongSet));
        }
        let bits = context.preset().aggregate_bits();
        check_count(None, found, value_count)?;
        Self::new(context, None, set.len(), value_count, bits, reader)
    }

    fn new(
        context: &RoundContext,
        contributor: Option<ShareIndex>,
        summands: u16,
        value_count: u64,
        bits: u32,
        reader: R,
    ) -> Result<Self, Error> {
        let preset = context.preset();
        let layout = context.layout(value_count)?;
        let largest = ((preset.modulus() - 1) >> preset.dropped_bits()) * u64::from(summands);
        let packed = vec![0; packed_len(STRIPE, bits)];
        Ok(Self { reader, contributor, layout, bits, largest, packed })
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// Reads the next block, which must be `block`, and adds its words to `sum`, whose length is
    /// the one that the layout gives.
    pub(crate) fn add_block(
        &mut self,
        context: &RoundContext,
        block: u64,
        sum: &mut [u64],
    ) -> Result<(), Error> {
        sum.chunks_mut(STRIPE).try_for_each(|stripe| self.add_stripe(context, block, stripe))
    }

    /// Reads the next stripe, which must be of `block`, and adds its words to `sum`: [`STRIPE`]
    /// words, or the rest of a shortened block.
    pub(crate) fn add_stripe(
        &mut self,
        context: &RoundContext,
        block: u64,
        sum: &mut [u64],
    ) -> Result<(), Error> {
        let (kernel, bits) = (context.kernel(), self.bits);
        let len = packed_len(sum.len(), bits);
        // Directly from the reader's buffer if that holds the whole stripe, as a slice always does.
        let buffered = match self.reader.fill_buf() {
            Ok(buffer) => buffer.get(..len).map(|packed| kernel.unpack_add(packed, bits, sum)),
            Err(error) if error.kind() == ErrorKind::Interrupted => None,
            Err(error) => return Err(Error::Io(error)),
        };
        let largest = match buffered {
            Some(largest) => {
                self.reader.consume(len);
                largest
            }
            None => {
                let packed = &mut self.packed[..len];
                let read = self.reader.read_exact(packed);
                read.map_err(|e| Error::read(self.contributor, "blocks", e))?;
                kernel.unpack_add(packed, bits, sum)
            }
        };
        if largest > self.largest {
            return Err(Error::remote(self.contributor, "blocks", Fault::OutOfRange(block)));
        }
        Ok(())
    }

    /// Refuses trailing bytes after the last block.
    pub(crate) fn end(mut self) -> Result<(), Error> {
        loop {
            match self.reader.fill_buf() {
                Ok([]) => return Ok(()),
                Ok(_) => return Err(Error::remote(self.contributor, "blocks", Fault::Oversized)),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::Io(e)),
            }
        }
    }
}

/// Checks that the header announces the agreed number of values.
fn check_count(contributor: Option<ShareIndex>, found: u64, expected: u64) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    Err(Error::remote(contributor, "value count", Fault::Count { found, expected }))
}

/// Checks a whole ciphertext without adding it: header, length, range of every word.
///
/// # Errors
/// [`Error::Remote`] names the contributor and what is wrong.
pub fn check_ciphertext(
    context: &RoundContext,
    contributor: ShareIndex,
    value_count: u64,
    reader: impl BufRead,
) -> Result<(), Error> {
    let mut blocks = BlockReader::ciphertext(context, contributor, value_count, reader)?;
    let mut words = vec![0; context.preset().ring_degree()];
    for block in 0..blocks.layout().blocks() {
        let count = blocks.layout().coefficients(block);
        blocks.add_block(context, block, &mut words[..count])?;
    }
    blocks.end()
}
