//! The way to the owner: the network's join protocol, or a channel in tests.

use std::future::Future;
use std::pin::Pin;

use fedshield_protocol::ids::IdentityKey;

/// An answer that will come.
pub type JoinAnswer = Pin<Box<dyn Future<Output = Result<Vec<u8>, JoinPortError>> + Send>>;

/// Asks one node, at any of its addresses, and makes sure that it is that node which answers.
pub trait JoinPort: Send + Sync + 'static {
    /// Sends at most [`MAX_REQUEST_BYTES`](super::MAX_REQUEST_BYTES) and gives the answer.
    fn request(&self, to: IdentityKey, addresses: Vec<String>, bytes: Vec<u8>) -> JoinAnswer;
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinPortError {
    /// None of the addresses answers, or someone else does.
    #[error("{0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("{0}")]
    Timeout(String),
    /// The other side takes no more requests at the moment.
    #[error("the other side is busy")]
    Busy,
    /// The request was not even sent.
    #[error("{0}")]
    Local(String),
}
