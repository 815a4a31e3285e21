//! Tests that change the machine: each runs in a namespace of its own, in which it may.

use std::process::Command;

/// Set to `1` where namespaces are not allowed, to leave these tests out knowingly.
const LEAVE_OUT: &str = "FEDSHIELD_NO_NAMESPACES";

/// Runs the ignored test `name` under `unshare FLAGS`, after `prepare`, a line of shell.
pub(crate) fn run(name: &str, flags: &str, prepare: &str) {
    if std::env::var_os(LEAVE_OUT).is_some_and(|value| value == "1") {
        return eprintln!("NOT TESTED: {name}, because {LEAVE_OUT}=1");
    }
    // Its version, or whatever it says: what counts is that it can be started.
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
