//! Keeping the files and the memory of this process private.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

use crate::private;

/// Must be called before anything is opened. Files and folders that this process or a child process
/// creates are private, whatever creates them, and neither leaves a core dump, which would hold
/// keys and training data; nor may another process of the same user inspect this one's memory
/// (`ptrace`). Failures are logged.
pub fn keep_private() {
    private::private_umask();
    // Respected by core handlers such as systemd's, and inherited by child processes.
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "core dumps cannot be forbidden by a limit");
    }
    // Enforced by the kernel whatever the handler.
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "core dumps cannot be forbidden");
    }
}
