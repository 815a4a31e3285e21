//! Every honest ledger verifies, survives its encoding, and is a prefix of the longest.

use fedshield_protocol::ids::MemberIndex;
use fedshield_protocol::ledger;
use fedshield_protocol::roster::Roster;

use crate::l0::federation::Federation;
use crate::l0::node::Node;

/// Returns how many rounds were applied, rejected, void, skipped in the longest ledger.
pub(super) fn check(federation: &Federation, nodes: &[Node]) -> Result<[u64; 4], String> {
    let signatures = federation.signatures(MemberIndex(0));
    let roster = Roster::new(&federation.manifest, &signatures);
    let mut longest = None;
    for node in nodes.iter().filter(|node| node.is_honest()) {
        let bytes = ledger::encode(&node.disk.records).map_err(|error| error.to_string())?;
        let records = ledger::decode(&bytes).map_err(|error| error.to_string())?;
        if records != node.disk.records {
            return Err(format!("the ledger of member {} changes in its encoding", node.member));
        }
        let summary = ledger::verify_with(&roster, &records)
            .map_err(|error| format!("member {}: {error}", node.member))?;
        if longest.as_ref().is_none_or(|l: &ledger::Summary| l.records < summary.records) {
            longest = Some(summary);
        }
    }
    Ok(longest.map_or([0; 4], |l| [l.applied, l.rejected, l.voided, l.skipped]))
}
