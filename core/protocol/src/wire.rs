//! Everything that is signed or persisted: messages, votes and certificates, records, journal
//! notes, evidence.
//!
//! There is one canonical bounded encoding ([`codec`]). A signature covers (federation, epoch,
//! round, sender, kind, body) ([`Scope`]), so that a statement cannot be replayed in another place.
//! Certificates and report bundles carry signatures without their envelopes: whoever checks them
//! puts the body together again.

mod accusation;
mod bits;
mod body;
mod certificate;
pub mod codec;
mod commitment;
mod complaint;
pub mod evidence;
mod goodbye;
mod heartbeat;
pub mod journal;
mod measured;
mod message;
mod nonce;
mod record;
mod report_bundle;
mod scope;
mod shape;
mod statement;
mod update_set;
pub mod version;
mod vote;

pub use accusation::Accusation;
pub use bits::Bits;
pub use body::Body;
pub use certificate::Certificate;
pub use commitment::CommitmentBody;
pub use complaint::{Complaint, Remedy};
pub use goodbye::{Goodbye, Leave};
pub use heartbeat::{Heartbeat, Known, SignedHeartbeat};
pub use measured::Measured;
pub use message::Signed;
pub use nonce::Nonce;
pub use record::{CertifiedRecord, LedgerEntry, Outcome, Record};
pub use report_bundle::{BundledReport, ReportBundle, SignedReport};
pub use scope::Scope;
pub use statement::Statement;
pub use update_set::{NotASet, UpdateSet};
pub use version::Versions;
pub use vote::{Decided, Decision, Justification, Proposal, Value, Vote, VoteKind};
