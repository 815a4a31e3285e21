//! How many file descriptors this process may have open, and how they are divided.
//!
//! The journal, the ledger and the objects must always get a descriptor, or the node loses data
//! that it must keep. So the soft limit is raised, up to the hard limit if need be, and a part is
//! reserved for files; connections get the rest and are refused when it is used up.

use std::io;
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Enough that nothing is refused for lack of descriptors; the limit is not raised further.
pub const ENOUGH: u64 = 4096;
/// With fewer the reserve for files cannot be kept.
pub const FEWEST: u64 = 192;

/// The division of the descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// What the system allows this process; [`u64::MAX`] if it has no limit.
    pub limit: u64,
    /// Files and everything else of this process.
    pub own: usize,
    /// Connections of metrics and dashboard.
    pub http: usize,
    /// Connections of the control socket.
    pub control: usize,
    /// Connections with other nodes, and listening sockets.
    pub net: usize,
}

impl Budget {
    /// Divides `limit`, of which at most [`ENOUGH`] are used.
    #[must_use]
    pub fn of(limit: u64) -> Self {
        let all = usize::try_from(limit.min(ENOUGH)).unwrap_or(usize::MAX);
        let own = (all / 2).clamp(96, 1024);
        let http = (all / 16).clamp(4, 64);
        let control = (all / 16).clamp(4, 32);
        Self { limit, own, http, control, net: all.saturating_sub(own + http + control).max(16) }
    }
}

/// The budget of this process. The first call raises the limit.
pub fn budget() -> Budget {
    static BUDGET: OnceLock<Budget> = OnceLock::new();
    *BUDGET.get_or_init(|| Budget::of(raise()))
}

/// Raises the soft limit to [`ENOUGH`] or to the hard limit; returns the resulting soft limit.
fn raise() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // None is "no limit".
    let (now, most) = (current.unwrap_or(u64::MAX), maximum.unwrap_or(u64::MAX));
    let wanted = ENOUGH.min(most);
    if now >= wanted {
        return now;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
        Ok(()) => wanted,
        Err(error) => {
            tracing::warn!(%error, limit = now, "the limit of open files cannot be raised");
            now
        }
    }
}

/// How many descriptors this process has open at the moment.
///
/// # Errors
/// If `/proc/self/fd` cannot be read, most likely for lack of a descriptor.
pub fn in_use() -> io::Result<u64> {
    // One of them is the descriptor that reads the folder.
    let count = std::fs::read_dir("/proc/self/fd")?.count();
    Ok(count.saturating_sub(1) as u64)
}

/// Whether the error means that no descriptor is left, in this process or in the system.
#[must_use]
pub fn is_exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let exhausted = [Errno::MFILE.raw_os_error(), Errno::NFILE.raw_os_error()];
    error.raw_os_error().is_some_and(|code| exhausted.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_given_away_than_there_is() {
        for limit in FEWEST..=ENOUGH + 1 {
            let budget = Budget::of(limit);
            let given = budget.own + budget.http + budget.control + budget.net;
            assert!(given as u64 <= limit, "{budget:?}");
        }
        let unlimited = Budget::of(u64::MAX);
        assert!(unlimited.net >= fedshield_net::limits::FULL_DESCRIPTORS, "{unlimited:?}");
    }

    #[test]
    fn what_is_open_is_counted() {
        let before = in_use().unwrap();
        let files: Vec<_> =
            (0..10).map(|_| std::fs::File::open("/proc/self/stat").unwrap()).collect();
        // Other tests of this process open files too.
        assert!(in_use().unwrap() > 0 && before > 0 && files.len() == 10);
        assert!(budget().limit >= FEWEST);
    }
}
