//! What a daemon keeps in memory of its data, measured as the system counts it: less than 100 bytes
//! for each example, however many there are.
//!
//! ```text
//! DATA_MEMORY_FILE=data.jsonl cargo test -p fedshield-train --test data_memory
//! ```
//!
//! measures a file as a daemon reads it and prints what it took. Without the test harness, because
//! how memory is freed is set before a program starts threads.

#![allow(clippy::print_stdout, reason = "it shows what it measured")]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use fedshield_train::data::{DataSet, DataSettings, OnBadLine, Reading};
use fedshield_train::load::open_tokenizer;
use fedshield_train::text::Template;
use fedshield_train::{Allocator, Valid};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// Names the file that is measured.
const FILE: &str = "DATA_MEMORY_FILE";
/// Bytes kept for each example, as OPERATING.md promises.
const BYTES_EACH: u64 = 100;
/// The same while they are read: lists of examples double as they grow.
const BYTES_EACH_AT_MOST: u64 = 4 * BYTES_EACH;
/// KiB by which two runs of a process may differ.
const ROOM: u64 = 4 << 10;

fn main() {
    fedshield_train::reuse_freed_memory();
    match std::env::var_os(FILE) {
        Some(file) => measure(PathBuf::from(file)),
        None => memory_goes_with_the_number_of_examples_alone(),
    }
}

/// KiB that the system counts for this process under this name; 0 where it does not say.
fn counted(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |line| line.trim_matches([':', ' ', '\t', 'k', 'B']).parse().unwrap())
}

/// Loads a file as a daemon does, and prints the memory that it takes then and took at most.
fn measure(file: PathBuf) {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/base");
    let tokenizer = open_tokenizer(&model).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings = Valid::new(DataSettings {
        template: Template::Vicuna,
        keeps_text: false,
        reading: Reading { on_bad_line: OnBadLine::Skip, ..Reading::default() },
        spill: Some(folder.path().to_owned()),
        ..DataSettings::default()
    })
    .unwrap();
    let (begin, before) = (Instant::now(), counted("VmRSS"));
    let set = DataSet::load(&[file], &tokenizer, &settings).unwrap();
    println!(
        "{} examples in {:.1} s; KiB before {before} after {} most {}",
        set.train.len() + set.held_out.len(),
        begin.elapsed().as_secs_f64(),
        counted("VmRSS"),
        counted("VmHWM"),
    );
}

/// KiB of a process of its own that has loaded this many short examples: afterwards, and at most.
fn taken(examples: usize) -> (u64, u64) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut text = String::new();
    for number in 0..examples {
        writeln!(text, r#"{{"instruction": "Double {number}.", "output": "{}"}}"#, 2 * number)
            .unwrap();
    }
    std::fs::write(file.path(), text).unwrap();
    let output =
        Command::new(std::env::current_exe().unwrap()).env(FILE, file.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    print!("{said}");
    assert!(said.starts_with(&format!("{examples} examples")), "{said}");
    let word = |name: &str| {
        let words = said.split_whitespace().skip_while(|word| *word != name);
        words.skip(1).find_map(|word| word.parse().ok()).unwrap()
    };
    (word("after"), word("most"))
}

fn memory_goes_with_the_number_of_examples_alone() {
    let (few, many) = (1000, 80_000);
    let ((few_after, few_most), (many_after, many_most)) = (taken(few), taken(many));
    let more = (many - few) as u64;
    let (after, most) = (many_after.saturating_sub(few_after), many_most.saturating_sub(few_most));
    assert!(after <= more * BYTES_EACH / 1024 + ROOM, "{after} KiB for {more} examples more");
    assert!(most <= more * BYTES_EACH_AT_MOST / 1024 + ROOM, "{most} KiB at most");
}
