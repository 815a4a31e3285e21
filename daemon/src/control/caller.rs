//! The peer of the control socket, as the kernel reports it.

use tokio::net::UnixStream;

use crate::users;

/// The peer's user id, if the system reports it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller(Option<u32>);

impl Caller {
    pub(super) fn of(stream: &UnixStream) -> Self {
        Self(stream.peer_cred().ok().map(|other| other.uid()))
    }

    /// The user's name.
    pub(super) async fn name(self) -> Option<String> {
        let id = self.0?;
        // A directory service may be slow to answer.
        tokio::task::spawn_blocking(move || users::name(id)).await.ok()
    }
}
