//! How a federation begins: a draft, invites, joining, freezing, a confirmation and a signature of
//! every founder.
//!
//! ```text
//! owner:   new -> draft -> invite ... -> found (frozen) -> confirmed? sign -> all have signed -> manifest.signed
//! founder: preview -> join -> poll ... -> frozen: same terms? -> confirmed? sign -> poll ... -> manifest.signed
//! ```
//!
//! No founder's daemon signs a list of members merely because the draft's owner shows it. Operators
//! confirm the list by its `phrase`, which they have compared with the other organisations, or they
//! have listed the expected members beforehand (`expected`).
//!
//! Until all have signed, each can withdraw: a founder leaves, the owner drops one or abandons the
//! draft (`partings` records that). A frozen draft is then opened again under a fresh founding id.
//! Each draft has its own first sealing key, erased when it is left, so a manifest that is
//! completed without one of its founders opens nothing that was sealed to that founder.
//!
//! A founder exchanges messages with the owner only, over the network's join protocol; each step is
//! on disk before it is sent, so that a crash on either side repeats a step and never contradicts
//! one.

mod addresses;
mod checks;
mod error;
mod expected;
mod facade;
mod interfaces;
mod invite;
mod joiner;
mod lookalikes;
mod message;
mod moments;
mod owner;
mod partings;
mod phrase;
mod port;
mod terms;
mod view;
mod wipe;

pub use addresses::{Announced, announced, are_only_here, left_out};
pub use checks::CheckTerms;
pub use error::FoundingError;
pub use expected::{
    ExpectedError, MAX_EXPECTED_BYTES, from_lines as expected_from_lines, line_of as expected_line,
};
pub use facade::{Founding, Local};
pub use interfaces::Interfaces;
pub use invite::{Invite, InviteError, Token};
pub use lookalikes::look_alike;
pub use message::{MAX_REPLY_BYTES, MAX_REQUEST_BYTES};
pub use moments::{Expiry, date, in_words};
pub use phrase::{PhraseError, phrase_of};
pub use port::{JoinAnswer, JoinPort, JoinPortError};
pub use terms::terms_digest;
pub use view::{FOUNDING_CONDITIONS, FoundingView};
pub use wipe::finish_leaving;
