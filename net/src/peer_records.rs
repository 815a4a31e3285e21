//! Signed peer records: a member's addresses under its own signature, stored and forwarded by all.
//!
//! A member whose addresses change signs them anew; any other member may forward the record, and
//! nobody can make one for another member.

mod record;
mod records;
mod store;
mod wire;

pub use record::RecordError;
pub(crate) use record::SignedRecord;
pub(crate) use records::{Insertion, PeerRecords};
pub(crate) use store::RecordSaver;
pub use store::{AddressStore, NoAddressStore};
pub(crate) use wire::{RecordRequest, decode_records, encode_records};
