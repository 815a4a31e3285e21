//! Tests that change network or mounts: each runs in Linux namespaces of its own.

use std::process::Command;

/// Set to `1` where namespaces are not permitted, to skip these tests explicitly.
const LEAVE_OUT: &str = "FEDSHIELD_NO_NAMESPACES";

/// Runs the ignored test `name` under `unshare FLAGS`, after `prepare`, a line of shell.
pub(crate) fn run(name: &str, flags: &str, prepare: &str) {
    if std::env::var_os(LEAVE_OUT).is_some_and(|value| value == "1") {
        return eprintln!("NOT TESTED: {name}, because {LEAVE_OUT}=1");
    }
    // Whatever it prints: only whether it can be started counts.
    let missing = |program: &str| Command::new(program).arg("--version").output().is_err();
    let needed = prepare.split(' ').next().filter(|program| *program == "ip");
    if let Some(program) = needed.filter(|program| missing(program)) {
        return eprintln!("NOT TESTED: {name}, because `{program}` (iproute2) is not installed");
    }
    let script = format!("{prepare} && exec \"$0\" --exact {name} --ignored --nocapture");
    let test = std::env::current_exe().unwrap();
    let ran = Command::new("unshare").args([flags, "sh", "-c", &script]).arg(test).output();
    let ran = ran.expect("`unshare` is there");
    let said = [ran.stdout, ran.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        ran.status.success() && said.contains("1 passed"),
        "{said}\nAllow user namespaces, run as root, or set {LEAVE_OUT}=1 to leave these tests out"
    );
}
