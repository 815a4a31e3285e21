//! The checks of a running node. What it waits for is in its conditions.

use fedshield_protocol::ledger;
use fedshield_protocol::manifest::SignedManifest;

use crate::control::api::{Check, Condition, DoctorView, NodeStatus, Severity, Verdict};
use crate::founding::{Announced, are_only_here, left_out};
use crate::home::Home;
use crate::store::Ledger;

/// Free space, in bytes, below which a round may run out of it.
const LOW_DISK_BYTES: u64 = 1 << 30;

/// The checks of a node with `status`; without `told`, the announced addresses, it does not listen
/// yet.
pub(super) fn checks(
    home: &Home,
    is_protected: bool,
    told: Option<&Announced>,
    status: &NodeStatus,
) -> DoctorView {
    let mut checks = vec![check(
        "identity",
        is_protected,
        "encrypted with a passphrase",
        "the identity file is not encrypted",
        "make a new home with `init --passphrase-file FILE` before real use",
    )];
    if let Some(told) = told {
        let addresses = &told.addresses;
        checks.push(check(
            "addresses",
            !are_only_here(addresses),
            &format!("others are told {}", addresses.join(", ")),
            "only this machine can reach this node",
            "set `external_addresses` (or `listen`) to an address that other members can dial",
        ));
        if let Some(left_out) = left_out(told) {
            let hint =
                "the order is: the default route's interface, others, bridges and containers";
            checks.push(check("addresses-left-out", false, "", &left_out, hint));
        }
    }
    checks.push(match rustix::fs::statvfs(home.path()) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            check(
                "disk",
                free >= LOW_DISK_BYTES,
                &format!("{} MiB free", free >> 20),
                &format!("only {} MiB free", free >> 20),
                "a round keeps every member's ciphertext: free some space",
            )
        }
        Err(error) => check("disk", false, "", &error.to_string(), "look at the home folder"),
    });
    checks.extend(status.conditions.iter().map(of_condition));
    if let Some(error) = &status.last_error {
        checks.push(check("rounds", false, "", error, "see the log for what led to it"));
    }
    DoctorView { checks }
}

/// Verifies the whole ledger, signatures and certificates included: a start verifies only what is
/// new. Takes about a second for a thousand rounds.
pub(super) fn ledger(kept: &Ledger, manifest: &SignedManifest) -> Check {
    let verified = kept
        .records()
        .map_err(|error| error.to_string())
        .and_then(|records| ledger::verify(manifest, &records).map_err(|error| error.to_string()));
    let hint = "stop the daemon, move `ledger.fsl` away and start it again: the others send it \
                the records; check the disk";
    match verified {
        Ok(summary) => {
            check("ledger", true, &format!("all {} records verify", summary.records), "", hint)
        }
        Err(error) => check("ledger", false, "", &error, hint),
    }
}

fn of_condition(condition: &Condition) -> Check {
    Check {
        name: condition.name.clone(),
        verdict: match condition.severity {
            Severity::Notice => Verdict::Ok,
            Severity::Warning => Verdict::Warning,
            Severity::Blocking => Verdict::Failed,
        },
        message: condition.message.clone(),
        hint: condition.hint.clone(),
    }
}

fn check(name: &str, fine: bool, good: &str, bad: &str, hint: &str) -> Check {
    Check {
        name: name.to_owned(),
        verdict: if fine { Verdict::Ok } else { Verdict::Warning },
        message: if fine { good } else { bad }.to_owned(),
        hint: (!fine).then(|| hint.to_owned()),
    }
}
