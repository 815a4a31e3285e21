//! What this process makes or holds is nobody else's.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

use crate::private;

/// To be called before anything is opened. Files and folders that this process or a program of its makes are private
/// whatever made them, and neither leaves a core dump, which would hold keys and training data; nor may a process of the same
/// user look into this one's memory (`ptrace`). What cannot be set is said in the log.
pub fn keep_private() {
    private::private_umask();
    // Heeded by core handlers such as systemd's, and handed on to what is started here.
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "core dumps cannot be forbidden by a limit");
    }
    // Heeded by the kernel whatever the handler.
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "core dumps cannot be forbidden");
    }
}
