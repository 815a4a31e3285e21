//! With at most f faulty members and a healed network every round ends. The deadline itself is in
//! `run`.

use crate::l0::node::Node;

/// Describes the honest members with fewer than `rounds` records: phase, view, awaited members.
pub(crate) fn explain(nodes: &[Node], rounds: u64) -> String {
    let stuck: Vec<String> = nodes
        .iter()
        .filter(|node| node.is_honest() && (node.disk.records.len() as u64) < rounds)
        .map(|node| match &node.machine {
            Some(machine) => {
                let status = machine.status();
                format!(
                    "member {} in round {} {:?} view {} waits for {:?}",
                    node.member,
                    status.round,
                    status.phase,
                    status.view,
                    status.waiting_for.iter().map(|m| m.0).collect::<Vec<_>>()
                )
            }
            None => format!("member {} is down", node.member),
        })
        .collect();
    format!("rounds do not end: {}", stuck.join("; "))
}
