//! Who is at the other end of the control socket, as the kernel says.

use std::fs;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::net::UnixListener;

/// The other end's user id, if the system tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller(Option<u32>);

impl Connected<IncomingStream<'_, UnixListener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self(stream.io().peer_cred().ok().map(|other| other.uid()))
    }
}

impl Caller {
    /// The user's name; the number if this machine's list of users does not have it. Directory services are not asked: they
    /// may take long to answer.
    pub(super) fn name(self) -> Option<String> {
        let uid = self.0?;
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        Some(name_of(uid, &users).unwrap_or_else(|| format!("user {uid}")))
    }
}

/// The name of a user in the format of `/etc/passwd`: name, password, number, more.
fn name_of(uid: u32, users: &str) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let number = fields.nth(1)?.parse::<u32>().ok()?;
        (number == uid).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_number() {
        let users =
            "root:x:0:0::/root:/bin/sh\n# note\n\n:x:5:\nada:x:1000:1000::/home/ada:\n+:::\n";
        assert_eq!(name_of(0, users).as_deref(), Some("root"));
        assert_eq!(name_of(1000, users).as_deref(), Some("ada"));
        assert_eq!(name_of(5, users), None);
        assert_eq!(name_of(7, "ada"), None);
    }
}
