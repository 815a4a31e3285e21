//! Who may knock: places for connections whose handshake is not over, shared out by where they come from.
//!
//! Nobody has proven anything yet, so all that tells connections apart is their address. A newcomer always gets a place; if
//! there is none left, the origin that holds the most gives its oldest one up, one that has said nothing first. So whoever
//! floods pushes out itself, and an honest handshake, which takes a moment, is over before its turn comes.

mod door;
mod guarded;
mod origin;
mod places;
mod refusals;

pub(crate) use door::{Door, Over};
pub(crate) use guarded::{Guarded, spoken_flag};
pub use origin::{Network, NetworkError};
pub(crate) use origin::{Origin, ip_of};
pub(crate) use places::PlaceLimits;
pub use refusals::RefusedOrigin;
