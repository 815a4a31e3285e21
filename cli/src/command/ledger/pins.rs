//! How far a history has to go, and what a verification cannot prove.
//!
//! Every prefix of a history verifies as well as the whole: only somebody who remembers how far it
//! went can tell that records are missing at the end. And whoever can make up members can make up a
//! federation and its history.

use fedshield_protocol::ids::RecordDigest;
use fedshieldd::control::api::ErrorCode;

use super::verify::{History, Verified};
use crate::failure::Failure;
use crate::units;

/// Refuses a history that ends too early or is not the expected one.
pub(super) fn expect(
    history: &History,
    head: Option<&RecordDigest>,
    at_least: Option<u64>,
) -> Result<(), Failure> {
    let verified = &history.verified;
    if let Some(head) = head
        && !history.heads.contains(head)
    {
        let text = format!(
            "no record of this history has the digest {head}: it ends before that record, or is another history. Its last \
             record, the {}, is {}",
            ordinal(verified.records),
            verified.head
        );
        return Err(Failure::new(ErrorCode::LedgerInvalid, text).at("--head").next(NEXT));
    }
    match at_least {
        Some(least) if verified.records < least => {
            let text = format!(
                "this history ends after {}, {least} were asked for",
                units::count(verified.records, "record")
            );
            Err(Failure::new(ErrorCode::LedgerInvalid, text).at("--at-least").next(NEXT))
        }
        _ => Ok(()),
    }
}

const NEXT: &str = "get the ledger from another member, and compare its head with the one that several members see";

fn ordinal(records: u64) -> String {
    match records {
        0 => "manifest itself".to_owned(),
        records => format!("one of round {}", records - 1),
    }
}

/// What the verification does not prove, for the reader of its result.
pub(super) fn remarks(verified: &Verified, federation: bool, pinned: bool) -> Vec<String> {
    let mut remarks = Vec::new();
    let Verified { rounds, applied, .. } = verified;
    if applied < rounds {
        remarks.push(format!(
            "it ends before the manifest's rounds: {applied} of {rounds} are applied in it"
        ));
    }
    if !pinned {
        remarks.push(
            "a history with fewer records would verify as well: compare the head with another member's, or give \
             `--head DIGEST` or `--at-least N`"
                .to_owned(),
        );
    }
    if !federation {
        remarks.push(
            "anyone could have made this history together with its members: compare the federation's id with the one that \
             a member tells you, or give it with `--federation ID`"
                .to_owned(),
        );
    }
    remarks
}
