//! What a running daemon needs for its data: their texts and tokens lie on disk, so that memory
//! grows with the number of examples and hardly with the size of the file.
//!
//! ```text
//! DATA_MEGABYTES=500 cargo test --workspace --test daemon_memory -- --nocapture
//! ```
//!
//! measures a file of another size and prints what the daemons took.

#![allow(clippy::print_stdout, reason = "it shows what it measured")]

use std::fmt::Write;
use std::fs;
use std::path::Path;

use fedshield_tests::{Federation, Program, Terms};

/// Bytes for each example, as OPERATING.md promises for the daemon.
const BYTES_EACH: u64 = 100;
/// KiB by which two daemons may differ for other reasons: buffers of the reader, caches of the
/// tokenizer, what the allocator keeps. Less than the file, or the test could not fail.
const ROOM: u64 = 16 << 10;

/// A file of about `megabytes` with long answers, all different; returns the number of lines.
fn write_data(path: &Path, megabytes: usize) -> u64 {
    let words = ["ward", "night", "nurse", "fever", "note", "clinic", "round", "bed"];
    let mut text = String::with_capacity(megabytes << 20);
    let mut lines = 0;
    while text.len() < megabytes << 20 {
        let _ =
            write!(text, "{{\"instruction\":\"Write note {lines}.\",\"output\":\"Note {lines}:");
        for at in 0..150 {
            let _ = write!(text, " {}", words[(at * 7 + lines as usize * 3) % words.len()]);
        }
        text.push_str(".\"}\n");
        lines += 1;
    }
    fs::write(path, text).expect("the data can be written");
    lines
}

#[test]
fn the_memory_of_a_daemon_does_not_grow_with_its_data_file() {
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let megabytes = std::env::var("DATA_MEGABYTES").ok().and_then(|text| text.parse().ok());
    let megabytes = megabytes.unwrap_or(32);
    let folder = tempfile::tempdir().expect("a folder can be made");
    let data = folder.path().join("large.jsonl");
    let lines = write_data(&data, megabytes);
    let set = format!("data.train={}", data.display());
    let terms = Terms { members: 3, rounds: 2, ..Terms::default() };
    let mut federation = Federation::found_with(&program, &terms, |member| match member {
        0 => vec![set.clone()],
        _ => Vec::new(),
    });
    federation.wait_until("a round ends", |daemons| !daemons[0].rounds().is_empty());
    let peak = |member: usize| federation.daemons[member].peak_memory_kib();
    let (large, small) = (peak(0), peak(1));
    println!("{megabytes} MB, {lines} examples: at most {large} KiB; shipped data: {small} KiB");
    let allowed = small + ROOM + lines * BYTES_EACH / 1024;
    assert!(large <= allowed, "{large} KiB, not {allowed}: {megabytes} MB, {lines} examples");
}
