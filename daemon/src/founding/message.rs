//! Requests of founders and replies of the owner. Both sides sign; every decoding is bounded.

use ed25519_dalek::SigningKey;
use fedshield_protocol::ids::{Digest, IdentityKey, ManifestDigest};
use fedshield_protocol::manifest::{Manifest, Member, SignedManifest, UncheckedDraft};
use fedshield_protocol::sign::{Ed25519, Signature, Signatures, verify_ed25519};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Token;

/// The longest request, in bytes.
pub const MAX_REQUEST_BYTES: usize = 64 << 10;
/// The longest answer, in bytes.
pub const MAX_REPLY_BYTES: usize = 1 << 20;
/// Format of requests and replies. In version 1 founders signed what they were shown.
const VERSION: u8 = 2;
const MAX_REASON_BYTES: usize = 500;

/// A founder's request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Request {
    /// The draft.
    pub(super) founding_id: Digest,
    /// The receiver: nobody else accepts the request.
    pub(super) owner: IdentityKey,
    /// The founder that asks.
    pub(super) from: IdentityKey,
    /// The token from the invite.
    pub(super) token: Token,
    /// What is asked for.
    pub(super) ask: Ask,
}

/// What a founder asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Ask {
    /// The terms, without joining.
    Terms,
    /// To be a member under these terms; again with other addresses until the draft is frozen.
    Join { member: Member, terms: Digest, base_model: Digest },
    /// The present state of the draft.
    Poll,
    /// Here is a signature on the frozen manifest.
    Sign { manifest: ManifestDigest, signature: Signature },
    /// To be taken off the draft, with the entry that has this sealing key. `parted`: the asker has
    /// left already, whatever the answer; this is also sent to members other than the owner.
    /// `rejects`: because the list is wrong.
    Leave { sealing_key: Vec<u8>, parted: bool, rejects: bool },
    /// The owner's time, to compare clocks.
    Clock,
    /// What keeps the asker from taking part, by the names of its conditions; empty if nothing
    /// does.
    Report { problems: Vec<String> },
}

/// Most problems of one founder that are kept, and the longest name of one.
pub(super) const MAX_PROBLEMS: usize = 8;
pub(super) const MAX_PROBLEM_BYTES: usize = 64;

/// The owner's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reply {
    /// The draft as it is.
    Terms { draft: UncheckedDraft },
    /// You are in; the draft is still open.
    Waiting { draft: UncheckedDraft },
    /// Frozen: confirm and sign this. These members' signatures are not here yet.
    Sign { manifest: Manifest, missing: Vec<String> },
    /// Your signature is here; these members' are not yet.
    Signed { missing: Vec<String> },
    /// Everybody has signed.
    Founded { signed: SignedManifest },
    /// The request is refused.
    Refused { refusal: Refusal },
    /// You are no longer a member.
    Left,
    /// The owner's clock, in seconds since 1970.
    Clock { now_s: u64 },
    /// Your report was received.
    Noted,
    /// The draft was opened again under another founding id: what was signed is void, join this
    /// one. `gone` lists the members that have left since the draft began.
    Moved { draft: UncheckedDraft, gone: Vec<Gone> },
}

/// A former founder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Gone {
    pub(super) name: String,
    pub(super) how: How,
}

/// How a founder left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum How {
    /// The owner took it off the list.
    Dropped,
    /// It left.
    Left,
    /// It left because the list is wrong.
    Rejected,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Refusal {
    InviteUnknown,
    InviteExpired {
        seconds: u64,
    },
    InviteUsed,
    Frozen,
    /// The invite is good, but nobody has joined with it yet.
    NotJoined,
    TermsChanged,
    ModelMismatch {
        expected: Digest,
    },
    Other {
        reason: String,
    },
    /// The owner has abandoned the draft of this name.
    Abandoned {
        federation: String,
    },
    /// The owner has taken the asker off the list.
    Dropped,
    /// The asker has left.
    Left,
    /// Not possible at the moment: ask again later.
    Later {
        reason: String,
    },
}

impl Refusal {
    pub(super) fn other(reason: impl Into<String>) -> Self {
        let reason: String = reason.into();
        Self::Other { reason: reason.chars().take(MAX_REASON_BYTES).collect() }
    }
}

/// Bytes that cannot be decoded, or lack the expected signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum MessageError {
    #[error("{length} bytes are over the limit of {limit}")]
    TooLong { length: usize, limit: usize },
    #[error("version {0} of these messages is not supported here")]
    Version(u8),
    #[error("the bytes are not a message")]
    Malformed,
    #[error("the signature does not verify")]
    Signature,
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    body: Vec<u8>,
    signature: Signature,
}

/// A signed request, and the digest that its answer must name.
pub(super) fn encode_request(
    request: &Request,
    key: &SigningKey,
) -> Result<(Vec<u8>, Digest), MessageError> {
    let bytes = sign_and_encode(request, key, b"request", &[], MAX_REQUEST_BYTES)?;
    let digest = digest_of(&bytes);
    Ok((bytes, digest))
}

/// Decodes a request received over a connection with `from`; also returns the digest that the
/// answer must name.
pub(super) fn decode_request(
    bytes: &[u8],
    from: &IdentityKey,
) -> Result<(Request, Digest), MessageError> {
    let request: Request = decode_verified(bytes, from, b"request", &[], MAX_REQUEST_BYTES)?;
    if request.from != *from {
        return Err(MessageError::Signature);
    }
    Ok((request, digest_of(bytes)))
}

/// A signed answer to the request with the digest `to`.
pub(super) fn encode_reply(
    reply: &Reply,
    to: &Digest,
    key: &SigningKey,
) -> Result<Vec<u8>, MessageError> {
    sign_and_encode(reply, key, b"reply", to.as_bytes(), MAX_REPLY_BYTES)
}

/// Reads the owner's answer to the request with the digest `to`.
pub(super) fn decode_reply(
    bytes: &[u8],
    to: &Digest,
    owner: &IdentityKey,
) -> Result<Reply, MessageError> {
    decode_verified(bytes, owner, b"reply", to.as_bytes(), MAX_REPLY_BYTES)
}

fn sign_and_encode<T: Serialize>(
    value: &T,
    key: &SigningKey,
    kind: &[u8],
    context: &[u8],
    limit: usize,
) -> Result<Vec<u8>, MessageError> {
    let body = postcard::to_allocvec(value).map_err(|_| MessageError::Malformed)?;
    let signature = Ed25519::new(key.clone()).sign(&signed_digest(kind, context, &body));
    let mut bytes = vec![VERSION];
    let envelope = Envelope { body, signature };
    bytes.extend(postcard::to_allocvec(&envelope).map_err(|_| MessageError::Malformed)?);
    check_length(&bytes, limit)?;
    Ok(bytes)
}

fn decode_verified<T: DeserializeOwned>(
    bytes: &[u8],
    signer: &IdentityKey,
    kind: &[u8],
    context: &[u8],
    limit: usize,
) -> Result<T, MessageError> {
    check_length(bytes, limit)?;
    let (version, rest) = bytes.split_first().ok_or(MessageError::Malformed)?;
    if *version != VERSION {
        return Err(MessageError::Version(*version));
    }
    let envelope: Envelope = exactly(rest)?;
    let digest = signed_digest(kind, context, &envelope.body);
    if !verify_ed25519(signer, &digest, &envelope.signature) {
        return Err(MessageError::Signature);
    }
    exactly(&envelope.body)
}

fn exactly<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, MessageError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        _ => Err(MessageError::Malformed),
    }
}

const fn check_length(bytes: &[u8], limit: usize) -> Result<(), MessageError> {
    if bytes.len() > limit {
        return Err(MessageError::TooLong { length: bytes.len(), limit });
    }
    Ok(())
}

fn signed_digest(kind: &[u8], context: &[u8], body: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key("fedshield v1 founding message");
    for part in [kind, context, body] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    Digest(*hasher.finalize().as_bytes())
}

fn digest_of(bytes: &[u8]) -> Digest {
    Digest(blake3::derive_key("fedshield v1 founding request", bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> (SigningKey, IdentityKey) {
        let key = SigningKey::from_bytes(&[byte; 32]);
        let public = IdentityKey(key.verifying_key().to_bytes());
        (key, public)
    }

    fn request(from: IdentityKey, owner: IdentityKey) -> Request {
        let token = Token::random().unwrap();
        Request { founding_id: Digest([9; 32]), owner, from, token, ask: Ask::Poll }
    }

    #[test]
    fn a_request_is_its_authors_and_a_reply_belongs_to_one_request() {
        let ((founder, from), (owner, owner_key)) = (key(1), key(2));
        let asked = request(from, owner_key);
        let (bytes, digest) = encode_request(&asked, &founder).unwrap();
        assert_eq!(decode_request(&bytes, &from).unwrap(), (asked, digest));
        assert_eq!(decode_request(&bytes, &owner_key), Err(MessageError::Signature));
        let reply = Reply::Refused { refusal: Refusal::Frozen };
        let answer = encode_reply(&reply, &digest, &owner).unwrap();
        assert_eq!(decode_reply(&answer, &digest, &owner_key).unwrap(), reply);
        let other = Digest([0; 32]);
        assert_eq!(decode_reply(&answer, &other, &owner_key), Err(MessageError::Signature));
        assert_eq!(decode_request(&answer, &owner_key), Err(MessageError::Signature));
    }

    #[test]
    fn hostile_bytes_are_refused() {
        let ((founder, from), (_, owner_key)) = (key(1), key(2));
        let (bytes, _) = encode_request(&request(from, owner_key), &founder).unwrap();
        for index in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[index] ^= 1;
            assert!(decode_request(&wrong, &from).is_err());
            assert!(decode_request(&bytes[..index], &from).is_err());
        }
        let long = vec![VERSION; MAX_REQUEST_BYTES + 1];
        assert!(matches!(decode_request(&long, &from), Err(MessageError::TooLong { .. })));
        assert_eq!(decode_request(&[7], &from), Err(MessageError::Version(7)));
        // A claimed length of 2^60 bytes must not be allocated.
        let huge = [&[VERSION][..], &[0xff; 8], &[0x0f]].concat();
        assert_eq!(decode_request(&huge, &from), Err(MessageError::Malformed));
    }
}
