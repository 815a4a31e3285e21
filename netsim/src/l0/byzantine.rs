//! Attacks of Byzantine members that replace the output of their machines, where a wrong job result
//! (`jobs`) is not enough. One attack a file.

pub(super) mod equivocation;
pub(super) mod false_accusations;
pub(super) mod heartbeat_replay;
pub(super) mod set_flooding;
pub(super) mod split_outcome;
