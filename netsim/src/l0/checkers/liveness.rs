//! With at most f faulty members and a healed network every round ends. The run itself watches the time.

use crate::l0::node::Node;

/// Who is stuck where.
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
