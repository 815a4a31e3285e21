//! Framed reads and writes with a stall timeout: it bounds the time without progress, not the whole
//! transfer.

use std::io;
use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use super::frame::{FrameError, HEADER_BYTES};
use crate::limits::PROGRESS_BYTES;

/// Why a stream is given up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("the other side closed the stream")]
    Closed,
    #[error("no progress for {after:?}")]
    Stalled { after: Duration },
    #[error("the answer does not fit the request")]
    Mismatch,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads the header of the next frame; its first byte may take any time, the rest has the stall
/// timeout.
pub(crate) async fn read_first_header<R: AsyncRead + Unpin>(
    stream: &mut R,
    stall: Duration,
) -> Result<[u8; HEADER_BYTES], WireError> {
    let mut header = [0; HEADER_BYTES];
    let (first, rest) = header.split_at_mut(1);
    if stream.read(first).await? == 0 {
        return Err(WireError::Closed);
    }
    progress(stall, stream.read_exact(rest)).await?;
    Ok(header)
}

/// Reads the header of a frame that the other side owes us: all of it has the stall timeout.
pub(crate) async fn read_header<R: AsyncRead + Unpin>(
    stream: &mut R,
    stall: Duration,
) -> Result<[u8; HEADER_BYTES], WireError> {
    let mut header = [0; HEADER_BYTES];
    progress(stall, stream.read_exact(&mut header)).await?;
    Ok(header)
}

/// Reads a body of `length` bytes, which the caller has bounded. Memory grows with what arrives, by
/// at most [`PROGRESS_BYTES`] in advance, not with the length that was announced.
pub(crate) async fn read_body<R: AsyncRead + Unpin>(
    stream: &mut R,
    length: usize,
    stall: Duration,
) -> Result<Vec<u8>, WireError> {
    let (mut body, mut filled) = (Vec::new(), 0);
    let mut deadline = ProgressDeadline::new(stall, Instant::now());
    while filled < length {
        if filled == body.len() {
            body.resize(length.min(filled + PROGRESS_BYTES), 0);
        }
        let Some(buffer) = body.get_mut(filled..) else { break };
        let count = deadline.bound(stream.read(buffer)).await?;
        if count == 0 {
            return Err(WireError::Closed);
        }
        filled += count;
        deadline.on_bytes(count, Instant::now());
    }
    Ok(body)
}

/// Writes a whole frame and flushes it.
pub(crate) async fn write_frame<W: AsyncWrite + Unpin>(
    stream: &mut W,
    frame: &[u8],
    stall: Duration,
) -> Result<(), WireError> {
    for part in frame.chunks(PROGRESS_BYTES) {
        progress(stall, stream.write_all(part)).await?;
    }
    progress(stall, stream.flush()).await
}

/// Runs one operation, whose completion is progress, within the stall timeout.
async fn progress<T>(
    stall: Duration,
    operation: impl Future<Output = io::Result<T>>,
) -> Result<T, WireError> {
    ProgressDeadline::new(stall, Instant::now()).bound(operation).await
}

/// The time by which a transfer must make progress: [`PROGRESS_BYTES`] move the deadline, fewer
/// bytes do not, so that a peer that trickles single bytes is detected.
#[derive(Debug)]
struct ProgressDeadline {
    stall: Duration,
    at: Instant,
    /// Bytes since the deadline was last moved.
    moved: usize,
}

impl ProgressDeadline {
    fn new(stall: Duration, now: Instant) -> Self {
        Self { stall, at: now + stall, moved: 0 }
    }

    fn on_bytes(&mut self, count: usize, now: Instant) {
        self.moved += count;
        if self.moved >= PROGRESS_BYTES {
            self.moved = 0;
            self.at = now + self.stall;
        }
    }

    async fn bound<T>(
        &self,
        operation: impl Future<Output = io::Result<T>>,
    ) -> Result<T, WireError> {
        match timeout_at(self.at, operation).await {
            Err(_) => Err(WireError::Stalled { after: self.stall }),
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(WireError::Closed)
            }
            Ok(outcome) => Ok(outcome?),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;

    use super::*;

    const STALL: Duration = Duration::from_secs(30);
    /// A stream on which no byte ever arrives.
    struct Silent;

    impl AsyncRead for Silent {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &mut [u8],
        ) -> std::task::Poll<io::Result<usize>> {
            std::task::Poll::Pending
        }
    }

    #[test]
    fn a_trickle_does_not_move_the_deadline() {
        let start = Instant::now();
        let mut deadline = ProgressDeadline::new(STALL, start);
        let mut now = start;
        for _ in 1..PROGRESS_BYTES {
            now += STALL / 2;
            deadline.on_bytes(1, now);
            assert_eq!(deadline.at, start + STALL);
        }
        deadline.on_bytes(1, now);
        assert_eq!(deadline.at, now + STALL, "{PROGRESS_BYTES} bytes are progress");
    }

    #[tokio::test]
    async fn a_stream_past_its_deadline_is_stalled() {
        let outcome = read_body(&mut Silent, 1 << 20, Duration::ZERO).await;
        assert!(matches!(outcome, Err(WireError::Stalled { .. })), "{outcome:?}");
        let outcome = read_header(&mut Silent, Duration::ZERO).await;
        assert!(matches!(outcome, Err(WireError::Stalled { .. })), "{outcome:?}");
    }

    #[tokio::test]
    async fn a_short_body_is_a_closed_stream() {
        let outcome = read_body(&mut Cursor::new(vec![0; 9]), 10, STALL).await;
        assert!(matches!(outcome, Err(WireError::Closed)), "{outcome:?}");
        let mut nothing = Cursor::new(vec![]);
        let outcome = read_first_header(&mut nothing, STALL).await;
        assert!(matches!(outcome, Err(WireError::Closed)), "{outcome:?}");
    }

    #[tokio::test]
    async fn a_frame_larger_than_a_step_arrives_whole() {
        let body: Vec<u8> = (0..PROGRESS_BYTES * 3 + 1).map(|i| (i % 251) as u8).collect();
        let mut written = Cursor::new(Vec::new());
        write_frame(&mut written, &body, STALL).await.unwrap();
        let mut stream = Cursor::new(written.into_inner());
        assert_eq!(read_body(&mut stream, body.len(), STALL).await.unwrap(), body);
    }
}
