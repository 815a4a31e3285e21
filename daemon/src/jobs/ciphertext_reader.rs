//! Reading ciphertexts, which is slow: with read-ahead, and only until the job is cancelled.

use std::io::{BufRead, Read};

use tokio_util::sync::CancellationToken;

/// Bytes read ahead from each ciphertext.
pub(super) const READ_AHEAD_BYTES: usize = 256 * 1024;

/// A reader that stops when the job is cancelled.
pub(super) struct Cancellable<'a, R> {
    pub(super) reader: R,
    pub(super) cancel: &'a CancellationToken,
}

impl<R: Read> Read for Cancellable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(std::io::Error::other("cancelled"));
        }
        self.reader.read(buffer)
    }
}

impl<R: BufRead> BufRead for Cancellable<'_, R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.cancel.is_cancelled() {
            return Err(std::io::Error::other("cancelled"));
        }
        self.reader.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.reader.consume(amount);
    }
}
