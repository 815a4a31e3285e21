//! Decoders of what a member keeps and of invites.

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
            name: "invite",
            seeds: vec![b"fs1qqqqqqqqqqqq".to_vec()],
            run: |b| drop(String::from_utf8_lossy(b).parse::<fedshieldd::founding::Invite>()),
        },
    ]
}
