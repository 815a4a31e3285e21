//! The envelope: a version byte, one canonical bounded encoding, one signature.

use serde::{Deserialize, Serialize};

use super::codec::{self, CodecError};
use super::version::MESSAGES;
use super::{Body, Scope};
use crate::ids::{Epoch, MemberIndex, Round};
use crate::limits::MAX_DIRECT_BYTES;
use crate::sign::Signature;

/// Bytes of a signature, the last of every message.
const SIGNATURE_BYTES: usize = 64;

/// A message with its signature; unchecked until a [`crate::roster::Roster`] has verified it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// See [`MESSAGES`]; part of the envelope, not of what is signed.
    version: u8,
    /// The sender's epoch.
    pub epoch: Epoch,
    /// The sender's round.
    pub round: Round,
    /// The member that signed it.
    pub sender: MemberIndex,
    /// The content.
    pub body: Body,
    /// The sender's signature.
    pub signature: Signature,
}

impl Signed {
    /// Puts a message together.
    #[must_use]
    pub const fn new(scope: Scope, sender: MemberIndex, body: Body, signature: Signature) -> Self {
        Self {
            version: MESSAGES.newest,
            epoch: scope.epoch,
            round: scope.round,
            sender,
            body,
            signature,
        }
    }

    /// The canonical bytes of the body within those of the message.
    pub(crate) fn body_bytes<'a>(&self, message: &'a [u8]) -> Option<&'a [u8]> {
        let head = (self.version, self.epoch, self.round, self.sender);
        let head = postcard::experimental::serialized_size(&head).ok()?;
        message.get(head..)?.split_last_chunk::<SIGNATURE_BYTES>().map(|(body, _)| body)
    }

    /// The canonical bytes.
    ///
    /// # Errors
    /// [`CodecError::TooLong`] over the limit for direct messages.
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        codec::encode("message", self, MAX_DIRECT_BYTES)
    }

    /// Reads canonical bytes of any version in [`MESSAGES`].
    ///
    /// # Errors
    /// See [`CodecError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        MESSAGES.check("message", bytes)?;
        codec::decode("message", bytes, MAX_DIRECT_BYTES)
    }
}
