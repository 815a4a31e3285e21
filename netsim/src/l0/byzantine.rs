//! What byzantine members send instead of what their machines give out, where that takes more than a wrong result of a job
//! (`jobs`). One attack a file.

pub(super) mod equivocation;
pub(super) mod false_accusations;
pub(super) mod heartbeat_replay;
pub(super) mod set_flooding;
pub(super) mod split_outcome;
