//! Who is at the other end of the control socket, as the kernel says.

use tokio::net::UnixStream;

use crate::users;

/// The other end's user id, if the system tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller(Option<u32>);

impl Caller {
    pub(super) fn of(stream: &UnixStream) -> Self {
        Self(stream.peer_cred().ok().map(|other| other.uid()))
    }

    /// The user's name.
    pub(super) async fn name(self) -> Option<String> {
        let id = self.0?;
        // A directory service may take its time.
        tokio::task::spawn_blocking(move || users::name(id)).await.ok()
    }
}
