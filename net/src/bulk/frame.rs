//! The frames of the bulk protocol: pure functions that never panic. `docs/NETWORK.md` has the
//! table.
//!
//! A frame is `kind: u8, length: u32 LE, body`. The fetching side writes requests; the holder
//! answers each of them with one frame, in order.

use fedshield_protocol::ids::Digest;
use fedshield_protocol::object::{CHUNK_SIZE_BYTES, ObjectRef};

use crate::limits::MAX_LIST_DIGESTS;

/// Length of a frame's header in bytes.
pub(crate) const HEADER_BYTES: usize = 5;
/// Length of an object's name in a request: root and length.
const OBJECT_BYTES: usize = 40;
/// Length of a chunk index.
const INDEX_BYTES: usize = 4;

const KIND_GET_LIST: u8 = 0x01;
const KIND_GET_CHUNK: u8 = 0x02;
const KIND_LIST: u8 = 0x81;
const KIND_CHUNK: u8 = 0x82;
const KIND_REFUSED: u8 = 0x83;

/// Why bytes are not a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("unknown frame kind {kind:#04x}")]
    Kind { kind: u8 },
    #[error("a frame of kind {kind:#04x} cannot have {length} bytes")]
    Length { kind: u8, length: usize },
    #[error("unknown refusal {code}")]
    Refusal { code: u8 },
}

/// A request of the fetching side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BulkRequest {
    /// The digests of all chunks.
    List(ObjectRef),
    /// One chunk.
    Chunk(ObjectRef, u32),
}

/// An answer of the holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Response {
    List(Vec<Digest>),
    Chunk(u32, Vec<u8>),
    Refused(Refusal),
}

/// Why a holder refuses a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The object is not served, or not to this member. The two are indistinguishable on purpose.
    NotServed,
    /// The object is served, but cannot be read at the moment.
    Unavailable,
}

/// The validated header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    kind: u8,
    /// Length of the body in bytes.
    pub(crate) length: usize,
}

impl BulkRequest {
    /// The requested object.
    pub(crate) fn object(&self) -> &ObjectRef {
        match self {
            Self::List(object) | Self::Chunk(object, _) => object,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(OBJECT_BYTES + INDEX_BYTES);
        body.extend_from_slice(self.object().root.as_bytes());
        body.extend_from_slice(&self.object().length.to_le_bytes());
        match self {
            Self::List(_) => frame(KIND_GET_LIST, &body),
            Self::Chunk(_, index) => {
                body.extend_from_slice(&index.to_le_bytes());
                frame(KIND_GET_CHUNK, &body)
            }
        }
    }

    /// Validates the header of a request before its body is read.
    pub(crate) fn header(bytes: [u8; HEADER_BYTES]) -> Result<Header, FrameError> {
        let header = split_header(bytes);
        match (header.kind, header.length) {
            (KIND_GET_LIST, OBJECT_BYTES) => Ok(header),
            (KIND_GET_CHUNK, length) if length == OBJECT_BYTES + INDEX_BYTES => Ok(header),
            (KIND_GET_LIST | KIND_GET_CHUNK, _) => Err(header.wrong_length()),
            (kind, _) => Err(FrameError::Kind { kind }),
        }
    }

    pub(crate) fn decode(header: Header, body: &[u8]) -> Result<Self, FrameError> {
        let wrong = || header.wrong_length();
        let (root, rest) = body.split_first_chunk::<32>().ok_or_else(wrong)?;
        let (length, rest) = rest.split_first_chunk::<8>().ok_or_else(wrong)?;
        let object = ObjectRef { root: Digest(*root), length: u64::from_le_bytes(*length) };
        match (header.kind, <[u8; INDEX_BYTES]>::try_from(rest)) {
            (KIND_GET_LIST, _) if rest.is_empty() => Ok(Self::List(object)),
            (KIND_GET_CHUNK, Ok(index)) => Ok(Self::Chunk(object, u32::from_le_bytes(index))),
            _ => Err(wrong()),
        }
    }
}

impl Response {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::List(digests) => {
                let mut body = Vec::with_capacity(digests.len() * 32);
                for digest in digests {
                    body.extend_from_slice(digest.as_bytes());
                }
                frame(KIND_LIST, &body)
            }
            Self::Chunk(index, bytes) => {
                let mut out = Vec::with_capacity(HEADER_BYTES + INDEX_BYTES + bytes.len());
                put_header(&mut out, KIND_CHUNK, INDEX_BYTES + bytes.len());
                out.extend_from_slice(&index.to_le_bytes());
                out.extend_from_slice(bytes);
                out
            }
            Self::Refused(refusal) => {
                let code = match refusal {
                    Refusal::NotServed => 1,
                    Refusal::Unavailable => 2,
                };
                frame(KIND_REFUSED, &[code])
            }
        }
    }

    /// Validates the header of a response before its body is read.
    pub(crate) fn header(bytes: [u8; HEADER_BYTES]) -> Result<Header, FrameError> {
        let header = split_header(bytes);
        let length = header.length;
        let fits = match header.kind {
            KIND_LIST => length.is_multiple_of(32) && length / 32 <= MAX_LIST_DIGESTS,
            KIND_CHUNK => length > INDEX_BYTES && length <= INDEX_BYTES + CHUNK_SIZE_BYTES,
            KIND_REFUSED => length == 1,
            kind => return Err(FrameError::Kind { kind }),
        };
        if fits { Ok(header) } else { Err(header.wrong_length()) }
    }

    pub(crate) fn decode(header: Header, body: Vec<u8>) -> Result<Self, FrameError> {
        match header.kind {
            KIND_LIST => {
                let (digests, rest) = body.as_chunks::<32>();
                if !rest.is_empty() {
                    return Err(header.wrong_length());
                }
                Ok(Self::List(digests.iter().map(|digest| Digest(*digest)).collect()))
            }
            KIND_CHUNK => {
                let index = body.first_chunk::<INDEX_BYTES>().copied();
                let index = index.ok_or_else(|| header.wrong_length())?;
                let mut bytes = body;
                bytes.drain(..INDEX_BYTES);
                Ok(Self::Chunk(u32::from_le_bytes(index), bytes))
            }
            KIND_REFUSED => match body.as_slice() {
                [1] => Ok(Self::Refused(Refusal::NotServed)),
                [2] => Ok(Self::Refused(Refusal::Unavailable)),
                [code] => Err(FrameError::Refusal { code: *code }),
                _ => Err(header.wrong_length()),
            },
            kind => Err(FrameError::Kind { kind }),
        }
    }

    /// Whether the form of this answer matches `request`; its bytes are verified later.
    pub(crate) fn answers(&self, request: &BulkRequest) -> bool {
        match (self, request) {
            (Self::Refused(_), _) => true,
            (Self::List(digests), BulkRequest::List(object)) => {
                digests.len() == object.chunk_count() as usize
            }
            (Self::Chunk(index, bytes), BulkRequest::Chunk(object, asked)) => {
                index == asked && bytes.len() == object.chunk_length(*asked)
            }
            _ => false,
        }
    }
}

impl Header {
    fn wrong_length(&self) -> FrameError {
        FrameError::Length { kind: self.kind, length: self.length }
    }
}

fn split_header(bytes: [u8; HEADER_BYTES]) -> Header {
    let [kind, length @ ..] = bytes;
    Header { kind, length: u32::from_le_bytes(length) as usize }
}

fn put_header(out: &mut Vec<u8>, kind: u8, length: usize) {
    out.push(kind);
    // Bodies have at most 2 MiB, so the length always fits.
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + body.len());
    put_header(&mut out, kind, body.len());
    out.extend_from_slice(body);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn object() -> impl Strategy<Value = ObjectRef> {
        (any::<[u8; 32]>(), any::<u64>())
            .prop_map(|(root, length)| ObjectRef { root: Digest(root), length })
    }

    fn request() -> impl Strategy<Value = BulkRequest> {
        prop_oneof![
            object().prop_map(BulkRequest::List),
            (object(), any::<u32>()).prop_map(|(object, index)| BulkRequest::Chunk(object, index)),
        ]
    }

    fn response() -> impl Strategy<Value = Response> {
        prop_oneof![
            prop::collection::vec(any::<[u8; 32]>().prop_map(Digest), 0..20)
                .prop_map(Response::List),
            (any::<u32>(), prop::collection::vec(any::<u8>(), 1..2000))
                .prop_map(|(index, bytes)| Response::Chunk(index, bytes)),
            Just(Response::Refused(Refusal::NotServed)),
            Just(Response::Refused(Refusal::Unavailable)),
        ]
    }

    fn split(bytes: &[u8]) -> ([u8; HEADER_BYTES], &[u8]) {
        let (header, body) = bytes.split_first_chunk().unwrap();
        (*header, body)
    }

    proptest! {
        #[test]
        fn requests_survive_encoding(request in request()) {
            let bytes = request.encode();
            let (header, body) = split(&bytes);
            let header = BulkRequest::header(header).unwrap();
            prop_assert_eq!(header.length, body.len());
            prop_assert_eq!(BulkRequest::decode(header, body).unwrap(), request);
        }

        #[test]
        fn responses_survive_encoding(response in response()) {
            let bytes = response.encode();
            let (header, body) = split(&bytes);
            let header = Response::header(header).unwrap();
            prop_assert_eq!(header.length, body.len());
            prop_assert_eq!(Response::decode(header, body.to_vec()).unwrap(), response);
        }

        // Kinds are drawn close to the valid ones; otherwise nearly every case would stop at the
        // first byte.
        #[test]
        fn arbitrary_bytes_do_not_make_the_decoder_panic_or_allocate_too_much(
            kind in prop_oneof![0u8..4, 0x80u8..0x85, any::<u8>()],
            length in prop_oneof![0u32..100, any::<u32>()],
            body in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut header = [0; HEADER_BYTES];
            header[0] = kind;
            header[1..].copy_from_slice(&length.to_le_bytes());
            if let Ok(header) = BulkRequest::header(header) {
                prop_assert!(header.length <= OBJECT_BYTES + INDEX_BYTES);
                let _ = BulkRequest::decode(header, &body);
            }
            if let Ok(header) = Response::header(header) {
                prop_assert!(header.length <= MAX_LIST_DIGESTS * 32);
                let _ = Response::decode(header, body);
            }
        }
    }

    #[test]
    fn the_encoding_is_pinned() {
        let object = ObjectRef { root: Digest([7; 32]), length: 0x0102 };
        let mut expected = vec![0x02, 44, 0, 0, 0];
        expected.extend([7; 32]);
        expected.extend([0x02, 0x01, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0]);
        assert_eq!(BulkRequest::Chunk(object, 3).encode(), expected);
        assert_eq!(Response::Refused(Refusal::NotServed).encode(), [0x83, 1, 0, 0, 0, 1]);
        assert_eq!(Response::Chunk(9, vec![5]).encode(), [0x82, 5, 0, 0, 0, 9, 0, 0, 0, 5]);
    }

    #[test]
    fn an_answer_must_match_its_request() {
        let object = ObjectRef { root: Digest([7; 32]), length: CHUNK_SIZE_BYTES as u64 + 1 };
        let last = BulkRequest::Chunk(object, 1);
        assert!(Response::Chunk(1, vec![0]).answers(&last));
        assert!(!Response::Chunk(0, vec![0]).answers(&last));
        assert!(!Response::Chunk(1, vec![0, 0]).answers(&last));
        assert!(!Response::List(vec![]).answers(&last));
        assert!(Response::Refused(Refusal::NotServed).answers(&last));
        assert!(!Response::List(vec![object.root]).answers(&BulkRequest::List(object)));
    }
}
