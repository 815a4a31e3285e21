//! Signed peer records: a member's addresses under its own signature, stored and forwarded by all.
//!
//! A member whose addresses change signs them anew; any other member may forward the record, and
//! nobody can make one for another member.

mod record;
mod records;
mod store;
mod wire;

pub(crate) use record::SignedRecord;
pub(crate) use records::{Insertion, PeerRecords};
pub use store::AddressStore;
pub(crate) use store::RecordSaver;
pub(crate) use wire::{RecordRequest, decode_records, encode_records};
