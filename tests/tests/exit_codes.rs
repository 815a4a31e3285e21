//! The exit codes are documented in three places, which must match the program.

use std::collections::BTreeMap;
use std::path::Path;

use fedshield_tests::Program;
use fedshieldd::error_code::ALL_CODES;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Exit codes and names of a table in a page: rows `| 12 | `invite-used` | ... |`.
fn table(page: &str) -> BTreeMap<u8, String> {
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
        let code = cells.next()?.parse().ok()?;
        let name = cells.next()?.trim_matches('`').to_owned();
        Some((code, name))
    });
    rows.collect()
}

#[test]
fn the_pages_list_every_exit_code() {
    let mut expected: BTreeMap<u8, String> =
        ALL_CODES.iter().map(|code| (code.exit_code(), code.name().to_owned())).collect();
    expected.insert(0, String::new());
    for page in ["docs/CLI.md", "docs/OPERATING.md"] {
        assert_eq!(table(&read(page)), expected, "{page}");
    }
}

#[test]
fn the_help_covers_every_exit_code() {
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let help = program.run(Path::new("/nowhere"), ["--help"]).ok();
    let (_, text) = help.split_once("Exit codes:").expect("the help lists exit codes");
    let (text, _) = text.split_once("docs/CLI.md").expect("and says where there is more");
    let mut covered = Vec::new();
    for word in text.split(|c: char| !c.is_ascii_digit() && c != '-') {
        let numbers: Vec<u8> = word.split('-').filter_map(|part| part.parse().ok()).collect();
        match numbers[..] {
            [one] => covered.push(one..=one),
            [first, last] => covered.push(first..=last),
            _ => {}
        }
    }
    for code in ALL_CODES.iter().map(|code| code.exit_code()).chain([0]) {
        let count = covered.iter().filter(|range| range.contains(&code)).count();
        assert_eq!(count, 1, "{code} in {text}");
    }
}

#[test]
fn the_unit_names_real_exit_codes() {
    let unit = read("docs/systemd/fedshieldd.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("RestartPreventExitStatus="));
    for code in line.expect("the unit says when not to restart").split(' ') {
        let code: u8 = code.parse().expect("it is a number");
        let name = ALL_CODES.iter().find(|known| known.exit_code() == code);
        let name = name.unwrap_or_else(|| panic!("{code} is no exit code"));
        // A full disk is fixed by freeing space: then a restart is wanted.
        assert_ne!(name.name(), "disk-full");
    }
}
