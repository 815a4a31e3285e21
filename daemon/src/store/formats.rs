//! The formats of the files beside the ledger, and the kinds of their entries. The ledger's own is
//! in `fedshield_protocol::ledger`.

use fedshield_protocol::append_log::LogFormat;

/// This node's reports of rounds.
pub(super) const REPORTS_FORMAT: LogFormat =
    LogFormat { magic: b"fsrepo1\n", max_body_bytes: 1 << 20 };
/// Misbehaviour that was proven to this node.
pub(super) const EVIDENCE_FORMAT: LogFormat =
    LogFormat { magic: b"fsevid1\n", max_body_bytes: 2 << 20 };

/// A [`RoundReport`](crate::control::api::RoundReport) as JSON; of several for one round the last
/// counts.
pub(super) const REPORT_ENTRY: u32 = 1;
/// A [`HeldOut`](crate::control::api::HeldOut) as JSON; the last counts.
pub(super) const HELD_OUT_ENTRY: u32 = 2;
/// An [`EvidenceEntry`](super::EvidenceEntry) as postcard, of earlier versions: its proof has
/// another form, which is not read any more.
pub(super) const EVIDENCE_ENTRY: u32 = 1;
/// An [`EvidenceEntry`](super::EvidenceEntry) as postcard.
pub(super) const PROOF_ENTRY: u32 = 2;
/// A [`Lift`](super::Lift) as postcard.
pub(super) const LIFT_ENTRY: u32 = 3;
