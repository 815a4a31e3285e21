//! The encoding of one request and one answer over a stream, for direct messages, joining and peer
//! records.
//!
//! Request: `length: u32 LE, bytes`. Answer: `status: u8, length: u32 LE, bytes`.

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response;

/// Length of a request's header in bytes.
pub(crate) const REQUEST_HEADER_BYTES: usize = 4;
/// Length of an answer's header in bytes.
pub(crate) const ANSWER_HEADER_BYTES: usize = 5;

const STATUS_ACCEPTED: u8 = 0;
const STATUS_BUSY: u8 = 1;
const STATUS_DECLINED: u8 = 2;

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The request was accepted, and this is the reply; empty for direct messages.
    Accepted(Vec<u8>),
    /// The receiver is over a rate limit or its queue is full; a later retry may succeed.
    Busy,
    /// The receiver refuses the request.
    Declined,
}

impl Answer {
    /// Its encoded length in bytes.
    pub(crate) fn wire_length(&self) -> usize {
        match self {
            Self::Accepted(bytes) => ANSWER_HEADER_BYTES + bytes.len(),
            Self::Busy | Self::Declined => ANSWER_HEADER_BYTES,
        }
    }
}

/// Reads and writes messages up to these lengths.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Codec {
    pub(crate) max_request_bytes: usize,
    pub(crate) max_answer_bytes: usize,
}

impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Answer;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read_bytes(io, self.max_request_bytes).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Answer>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut status = [0];
        io.read_exact(&mut status).await?;
        let bytes = read_bytes(io, self.max_answer_bytes).await?;
        match status {
            [STATUS_ACCEPTED] => Ok(Answer::Accepted(bytes)),
            [STATUS_BUSY] => Ok(Answer::Busy),
            [STATUS_DECLINED] => Ok(Answer::Declined),
            [other] => Err(invalid(format!("unknown status {other}"))),
        }
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        request: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write_bytes(io, &request, self.max_request_bytes).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        answer: Answer,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        let (status, bytes) = match answer {
            Answer::Accepted(bytes) => (STATUS_ACCEPTED, bytes),
            Answer::Busy => (STATUS_BUSY, Vec::new()),
            Answer::Declined => (STATUS_DECLINED, Vec::new()),
        };
        io.write_all(&[status]).await?;
        write_bytes(io, &bytes, self.max_answer_bytes).await
    }
}

async fn read_bytes<T: AsyncRead + Unpin + Send>(io: &mut T, max: usize) -> io::Result<Vec<u8>> {
    let mut header = [0; 4];
    io.read_exact(&mut header).await?;
    let length = u32::from_le_bytes(header) as usize;
    if length > max {
        return Err(invalid(format!("a message of {length} bytes is over the limit of {max}")));
    }
    // Memory grows with the bytes that arrive, not with the announced length.
    let mut bytes = Vec::new();
    if io.take(length as u64).read_to_end(&mut bytes).await? < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

async fn write_bytes<T: AsyncWrite + Unpin + Send>(
    io: &mut T,
    bytes: &[u8],
    max: usize,
) -> io::Result<()> {
    let too_long = || invalid(format!("a message of {} bytes is over the limit", bytes.len()));
    if bytes.len() > max {
        return Err(too_long());
    }
    let length = u32::try_from(bytes.len()).map_err(|_| too_long())?;
    io.write_all(&length.to_le_bytes()).await?;
    io.write_all(bytes).await
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::io::Cursor;
    use libp2p::request_response::Codec as _;
    use proptest::prelude::*;

    use super::*;
    use crate::protocols::DIRECT;

    const SMALL: Codec = Codec { max_request_bytes: 16, max_answer_bytes: 16 };

    fn read_request(bytes: &[u8]) -> io::Result<Vec<u8>> {
        block_on(SMALL.clone().read_request(&DIRECT, &mut Cursor::new(bytes)))
    }

    fn read_response(bytes: &[u8]) -> io::Result<Answer> {
        block_on(SMALL.clone().read_response(&DIRECT, &mut Cursor::new(bytes)))
    }

    #[test]
    fn answers_survive_encoding() {
        for answer in [Answer::Accepted(vec![1, 2, 3]), Answer::Busy, Answer::Declined] {
            let mut out = Cursor::new(Vec::new());
            block_on(SMALL.clone().write_response(&DIRECT, &mut out, answer.clone())).unwrap();
            let bytes = out.into_inner();
            assert_eq!(bytes.len(), answer.wire_length());
            assert_eq!(read_response(&bytes).unwrap(), answer);
        }
    }

    #[test]
    fn messages_over_the_limit_are_neither_read_nor_written() {
        assert!(read_request(&[17, 0, 0, 0]).is_err());
        assert!(read_request(&[255, 255, 255, 255]).is_err());
        assert!(read_request(&[2, 0, 0, 0, 9]).is_err());
        assert_eq!(read_request(&[1, 0, 0, 0, 9, 7]).unwrap(), [9]);
        let mut out = Cursor::new(Vec::new());
        let long = block_on(SMALL.clone().write_request(&DIRECT, &mut out, vec![0; 17]));
        assert!(long.is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_make_the_codec_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            if let Ok(request) = read_request(&bytes) {
                prop_assert!(request.len() <= 16);
            }
            let _ = read_response(&bytes);
        }
    }
}
