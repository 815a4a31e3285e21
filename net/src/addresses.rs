//! Addresses under their member's own signature: made, checked, kept and passed on.
//!
//! A member that moves signs where it is now; any other member may hand that on, and none can make a record for another.

mod record;
mod records;
mod store;
mod wire;

pub(crate) use record::Record;
pub use record::RecordError;
pub(crate) use records::{Records, Taken};
pub(crate) use store::Saver;
pub use store::{AddressStore, NoAddressStore};
pub(crate) use wire::{Ask, decode_records, encode_records};
