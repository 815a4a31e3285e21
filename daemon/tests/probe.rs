//! The daemon started as the child that tries a device.

use std::process::{Command, Output};

fn probe(device: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fedshieldd"));
    command.env("FEDSHIELD_PROBE_DEVICE", device).output().expect("the daemon starts")
}

#[test]
fn it_tries_the_device_and_does_nothing_else() {
    let processor = probe("cpu");
    assert!(processor.status.success(), "{processor:?}");
    // Only a real GPU is taken without having been asked for.
    assert!(!probe("hardware:cpu").status.success());
    let unknown = probe("abacus");
    assert_eq!(unknown.status.code(), Some(1));
    let text = String::from_utf8_lossy(&unknown.stderr);
    assert!(text.contains("abacus") && text.contains("auto, cpu, wgpu, cuda"), "{text}");
}
