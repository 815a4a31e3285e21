//! The client of a running daemon.

use fedshieldd::config::{Loaded, Overrides};
use fedshieldd::control::ControlClient;
use fedshieldd::home::Home;

/// The daemon of `home`, at its configured control socket or the usual one. Nothing is opened yet:
/// every call is a connection of its own, so a restarted daemon needs no new client.
#[must_use]
pub fn to(home: &Home) -> ControlClient {
    let configured = Loaded::read(home, &Overrides::default())
        .ok()
        .and_then(|loaded| loaded.config.control.socket);
    ControlClient::new(configured.unwrap_or_else(|| home.control_socket()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configured_socket_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        assert_eq!(to(&home).socket(), home.control_socket());
        std::fs::write(home.config(), "name = \"a\"\n[control]\nsocket = \"other.sock\"\n")
            .unwrap();
        assert_eq!(to(&home).socket(), folder.path().join("other.sock"));
    }
}
