//! Frames over a stream, with the stall timeout: a timeout on progress, never on the whole.

use std::io;
use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

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

/// Reads the header of the next frame, waiting as long as it takes for its first byte.
pub(crate) async fn read_header_when_it_comes<R: AsyncRead + Unpin>(
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

/// Reads the header of a frame that is due now.
pub(crate) async fn read_header<R: AsyncRead + Unpin>(
    stream: &mut R,
    stall: Duration,
) -> Result<[u8; HEADER_BYTES], WireError> {
    let mut header = [0; HEADER_BYTES];
    progress(stall, stream.read_exact(&mut header)).await?;
    Ok(header)
}

/// Reads a body of `length` bytes, which the caller has bounded. Memory grows with what arrives,
/// not with what was announced.
pub(crate) async fn read_body<R: AsyncRead + Unpin>(
    stream: &mut R,
    length: usize,
    stall: Duration,
) -> Result<Vec<u8>, WireError> {
    let mut body = Vec::new();
    while body.len() < length {
        let part = (length - body.len()).min(PROGRESS_BYTES);
        let mut limited = (&mut *stream).take(part as u64);
        if progress(stall, limited.read_to_end(&mut body)).await? < part {
            return Err(WireError::Closed);
        }
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

async fn progress<T>(
    stall: Duration,
    step: impl Future<Output = io::Result<T>>,
) -> Result<T, WireError> {
    match timeout(stall, step).await {
        Err(_) => Err(WireError::Stalled { after: stall }),
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Err(WireError::Closed),
        Ok(outcome) => Ok(outcome?),
    }
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;

    use super::*;

    const STALL: Duration = Duration::from_secs(30);
    /// How long the trickle waits between two bytes.
    const PAUSE: Duration = Duration::from_millis(20);

    /// Gives one byte after every pause: never silent, never useful.
    struct Trickle(std::pin::Pin<Box<tokio::time::Sleep>>);

    impl AsyncRead for Trickle {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            buf: &mut [u8],
        ) -> std::task::Poll<io::Result<usize>> {
            std::task::ready!(self.0.as_mut().poll(cx));
            let next = tokio::time::Instant::now() + PAUSE;
            self.0.as_mut().reset(next);
            buf[0] = 1;
            std::task::Poll::Ready(Ok(1))
        }
    }

    // On the real clock: tokio's `test-util` feature would give the tests another build of tokio than the demo.
    #[tokio::test]
    async fn a_trickle_is_a_stall() {
        let mut stream = Trickle(Box::pin(tokio::time::sleep(Duration::ZERO)));
        let outcome = read_body(&mut stream, 1 << 20, PAUSE * 5).await;
        assert!(matches!(outcome, Err(WireError::Stalled { .. })), "{outcome:?}");
    }

    #[tokio::test]
    async fn a_short_body_is_a_closed_stream() {
        let outcome = read_body(&mut Cursor::new(vec![0; 9]), 10, STALL).await;
        assert!(matches!(outcome, Err(WireError::Closed)), "{outcome:?}");
        let mut nothing = Cursor::new(vec![]);
        let outcome = read_header_when_it_comes(&mut nothing, STALL).await;
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
