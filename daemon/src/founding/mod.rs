//! How a federation begins: a draft, invites, joining, freezing, and a signature of every founder.
//!
//! ```text
//! owner:   new -> draft -> invite ... -> found (frozen) -> all have signed -> manifest.signed
//! founder: preview -> join -> poll ... -> frozen: same terms? -> sign -> poll ... -> manifest.signed
//! ```
//! A founder speaks to the owner only, over the network's join protocol; each step is on disk before it is told, so
//! that a crash on either side repeats a step and never contradicts one.

mod addresses;
mod error;
mod facade;
mod interfaces;
mod invite;
mod joiner;
mod message;
mod owner;
mod port;
mod terms;
mod view;

pub use addresses::{Announced, announced, are_only_here, left_out};
pub use error::FoundingError;
pub use facade::{Founding, Local};
pub use interfaces::Interfaces;
pub use invite::{Invite, InviteError, Token};
pub use message::{MAX_REPLY_BYTES, MAX_REQUEST_BYTES};
pub use port::{JoinAnswer, JoinPort, JoinPortError};
pub use terms::{same_terms, terms_digest, terms_of};
pub use view::FoundingView;
