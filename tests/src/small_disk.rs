//! A disk of a few megabytes that can be filled: a tmpfs in a mount namespace of its own.
//!
//! Nothing is mounted where others could see it: the namespace belongs to a process that waits, and
//! the files are reached through `/proc/<its id>/root`. The disk vanishes with the process.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// Set to `1` where namespaces are not allowed, to leave these tests out knowingly.
const LEAVE_OUT: &str = "FEDSHIELD_NO_NAMESPACES";

/// A small disk; unmounted when dropped.
pub struct SmallDisk {
    holder: Child,
    answers: BufReader<ChildStdout>,
    path: PathBuf,
}

impl SmallDisk {
    /// A disk of `kib` KiB. `None` only if the environment says to leave these tests out.
    ///
    /// # Panics
    /// If the system refuses it; the message explains what to do.
    pub fn new(kib: u32) -> Option<Self> {
        if std::env::var_os(LEAVE_OUT).is_some_and(|value| value == "1") {
            eprintln!("NOT TESTED: a full disk, because {LEAVE_OUT}=1");
            return None;
        }
        let folder = "/tmp";
        let script = format!(
            "mount -t tmpfs -o size={kib}k,mode=700 none {folder} && echo ready && \
             while read -r how; do mount -o remount,$how {folder} && echo done; done"
        );
        let mut refusals = Vec::new();
        // A user namespace of its own needs no privileges; where those are disabled, root can do
        // without.
        for flags in [["--user", "--map-root-user", "--mount"].as_slice(), &["--mount"]] {
            match Self::hold(flags, &script) {
                Ok((holder, answers)) => {
                    let path = PathBuf::from(format!("/proc/{}/root{folder}", holder.id()));
                    return Some(Self { holder, answers, path });
                }
                Err(refusal) => refusals.push(refusal),
            }
        }
        panic!(
            "a full disk cannot be tested here: `unshare` with a tmpfs is refused ({}). Allow user \
             namespaces, run as root, or set {LEAVE_OUT}=1 to leave these tests out",
            refusals.join("; ")
        );
    }

    fn hold(flags: &[&str], script: &str) -> Result<(Child, BufReader<ChildStdout>), String> {
        let mut holder = Command::new("unshare")
            .args(flags)
            .args(["sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut line = String::new();
        let mut answers = BufReader::new(holder.stdout.take().ok_or("no output")?);
        let _ = answers.read_line(&mut line);
        if line.trim() == "ready" {
            return Ok((holder, answers));
        }
        let output = holder.wait_with_output().map_err(|error| error.to_string())?;
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }

    /// Remounts it read-only or writable. The system refuses the former while a file on it is open
    /// for writing.
    ///
    /// # Panics
    /// If it is refused.
    pub fn read_only(&mut self, read_only: bool) {
        let how = if read_only { "ro" } else { "rw" };
        writeln!(self.holder.stdin.as_mut().expect("it is piped"), "{how}").expect("it listens");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("it answers");
        assert_eq!(line.trim(), "done", "the disk cannot be mounted {how}");
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fills it to the last byte.
    ///
    /// # Panics
    /// If it cannot be written at all.
    pub fn fill(&self) {
        let mut file = File::create(self.ballast()).expect("the ballast can be made");
        let block = [0x5a; 4096];
        while let Ok(written) = file.write(&block) {
            if written == 0 {
                break;
            }
        }
    }

    /// Fills it except for so many bytes.
    ///
    /// # Panics
    /// If it cannot be written at all.
    pub fn fill_but(&self, spare_bytes: u64) {
        self.fill();
        let file = File::options().write(true).open(self.ballast()).expect("it has been made");
        let filled = file.metadata().expect("it has a length").len();
        file.set_len(filled.saturating_sub(spare_bytes)).expect("it can be cut");
    }

    /// Frees the space again.
    ///
    /// # Panics
    /// If it was not filled.
    pub fn make_room(&self) {
        fs::remove_file(self.ballast()).expect("the ballast is there");
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Fails only if the process has ended already.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
