//! Decoders of what a member stores, and of invites.

use std::path::Path;

use fedshield_train::Moments;
use fedshield_train::data::Example;
use fedshield_train::federated::{GlobalAdapter, LocalMemory};

use super::Target;

pub(super) fn targets() -> Vec<Target> {
    vec![
        Target {
            name: "adapter",
            seeds: vec![b"FSADAPT1".to_vec(), b"FSADAPT2".to_vec()],
            run: |b| drop(GlobalAdapter::from_bytes(b)),
        },
        Target {
            name: "local_memory",
            seeds: vec![b"FSLOCAL2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec()],
            run: |b| drop(LocalMemory::from_bytes(b)),
        },
        Target {
            name: "moments",
            seeds: vec![b"FSMOMNT1\x02\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec()],
            run: |b| drop(Moments::from_bytes(b, 1)),
        },
        Target {
            name: "example",
            seeds: EXAMPLES.iter().map(|text| text.as_bytes().to_vec()).collect(),
            run: example,
        },
        Target {
            name: "invite",
            seeds: vec![b"fs1qqqqqqqqqqqq".to_vec()],
            run: |b| drop(String::from_utf8_lossy(b).parse::<fedshieldd::founding::Invite>()),
        },
    ]
}

/// One record of each form, with every field that has a meaning of its own.
const EXAMPLES: &[&str] = &[
    r#"{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}"#,
    r#"{"messages": [{"role": "user", "content": [{"type": "text", "text": "q"}]},
        {"role": "assistant", "reasoning_content": "r", "weight": 0, "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "1", "content": "é"},
        {"role": "assistant", "content": "a"}],
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "chat_template_kwargs": {"k": 1.5e3}}"#,
    r#"{"instruction": "q", "input": "i", "output": "a", "history": [["p", "b"]]}"#,
    r#"{"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}"#,
    r#"{"conversations": [{"from": "human", "value": "q"},
        {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {}}"},
        {"from": "observation", "value": "o"}, {"from": "gpt", "value": "a", "train": true}],
        "system": "s"}"#,
    r#"{"conversation": [{"system": "s", "input": "q", "output": "a"}], "solution": "a"}"#,
    r#"{"data": ["q", "a", "q", "a"], "id": 1}"#,
    r#"{"query": "q", "answers": "[{\"name\": \"f\"}]", "tools": "[{\"name\": \"f\"}]"}"#,
    r#"{"prompt": [{"role": "user", "content": "q"}],
        "completion": [{"role": "assistant", "content": "a"}]}"#,
];

/// Reads a record and does with it what a data set does before tokenisation.
fn example(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(example) = Example::parse(&text, Path::new("a.jsonl"), 1) {
        std::hint::black_box((example.digest(), example.turns().len(), example.answer().len()));
    }
}
