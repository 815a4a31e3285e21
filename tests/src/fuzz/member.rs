//! Decoders of what a member stores, and of invites.

use std::path::Path;

use fedshield_train::data::Example;
use fedshield_train::federated::{GlobalAdapter, LocalMemory};

use super::Target;

pub(super) fn targets() -> Vec<Target> {
    vec![
        Target {
            name: "adapter",
            seeds: vec![b"FSADAPT1".to_vec()],
            run: |b| drop(GlobalAdapter::from_bytes(b)),
        },
        Target {
            name: "local_memory",
            seeds: vec![b"FSLOCAL2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec()],
            run: |b| drop(LocalMemory::from_bytes(b)),
        },
        Target {
            name: "example",
            seeds: [
                r#"{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}"#,
                r#"{"instruction": "q", "input": "i", "output": "a", "history": [["p", "b"]]}"#,
                r#"{"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}"#,
                r#"{"conversation": [{"system": "s", "input": "q", "output": "a"}], "solution": "a"}"#,
                r#"{"query": "q", "answers": "[{\"name\": \"f\"}]", "tools": "[{\"name\": \"f\"}]"}"#,
            ]
            .map(|line| line.as_bytes().to_vec())
            .into(),
            run: |b| drop(Example::parse(&String::from_utf8_lossy(b), Path::new("a.jsonl"), 1)),
        },
        Target {
            name: "invite",
            seeds: vec![b"fs1qqqqqqqqqqqq".to_vec()],
            run: |b| drop(String::from_utf8_lossy(b).parse::<fedshieldd::founding::Invite>()),
        },
    ]
}
