//! How a founder reaches the owner: the network's join protocol, or a channel in tests.

use std::future::Future;
use std::pin::Pin;

use fedshield_protocol::ids::IdentityKey;

/// The future of an answer.
pub type JoinAnswer = Pin<Box<dyn Future<Output = Result<Vec<u8>, JoinPortError>> + Send>>;

/// Sends a request to one node, at any of its addresses, and verifies that node's identity.
pub trait JoinPort: Send + Sync + 'static {
    /// Sends at most [`MAX_REQUEST_BYTES`](super::MAX_REQUEST_BYTES) and returns the answer.
    fn request(&self, to: IdentityKey, addresses: Vec<String>, bytes: Vec<u8>) -> JoinAnswer;
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinPortError {
    /// None of the addresses answers.
    #[error("{0}")]
    Unreachable(String),
    /// Another node answers at an address.
    #[error("another node than the one that the invite names answers at {0}")]
    WrongNode(String),
    /// No answer in time.
    #[error("{0}")]
    Timeout(String),
    /// The connection broke before the answer came.
    #[error("{0}")]
    Lost(String),
    /// The other side takes no more requests at the moment.
    #[error("it answers, and takes no more requests to join at the moment")]
    Busy,
    /// This node has reached its own limit of concurrent requests.
    #[error("this node has too many questions of this kind in progress")]
    BusyHere,
    /// The other side is reachable and declines this request.
    #[error("it answers, and declined the request: it owns no draft, or runs another version")]
    Declined,
    /// The request was not even sent.
    #[error("{0}")]
    Local(String),
}
