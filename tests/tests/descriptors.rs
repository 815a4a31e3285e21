//! A node with a low limit of open files, and a client that opens more idle connections than that.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use fedshield_tests::{Federation, Program, Terms};
use fedshieldd::control::api::NodeStatus;
use fedshieldd::home::Home;

/// Soft and hard, as a unit with `LimitNOFILE=` or a container has them.
const LIMIT: usize = 200;
/// More than there are descriptors, at each door.
const IDLE: usize = 200;

fn tcp_port(status: &NodeStatus) -> SocketAddr {
    let mut ports = status.listen.iter().filter_map(|address| {
        let (ip, port) = address.strip_prefix("/ip4/")?.split_once("/tcp/")?;
        format!("{ip}:{port}").parse().ok()
    });
    ports.next().unwrap_or_else(|| panic!("no TCP address in {:?}", status.listen))
}

fn healthy(address: &str) -> bool {
    let asked = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    asked().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

#[test]
fn idle_connections_take_neither_the_last_descriptor_nor_the_node() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let binary = env!("CARGO_BIN_EXE_fedshield");
    let limited = folder.path().join("limited");
    let script = format!("#!/bin/sh\nulimit -n {LIMIT} && exec '{binary}' \"$@\"\n");
    std::fs::write(&limited, script).expect("a script can be written");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&limited, mode).expect("it can be made to run");
    // This process holds them all.
    fedshieldd::descriptors::budget();
    let terms = Terms { members: 3, rounds: 3, ..Terms::default() };
    let pages = |_| vec!["http.listen=127.0.0.1:0".to_owned()];
    let mut federation = Federation::found_with(&Program::new(&limited), &terms, pages);

    let status = federation.daemons[1].status().expect("it answers");
    let pages = status.http.clone().expect("there are pages");
    let mut streams = Vec::new();
    let mut sockets = Vec::new();
    for _ in 0..IDLE {
        streams.push(TcpStream::connect(tcp_port(&status)));
        streams.push(TcpStream::connect(&pages));
        sockets.push(UnixStream::connect(Home::new(&federation.daemons[1].home).control_socket()));
    }
    for _ in 0..5 {
        assert!(federation.daemons[1].status().is_some(), "{}", federation.daemons[1].tail());
        assert!(healthy(&pages), "{}", federation.daemons[1].tail());
    }
    let status = federation.daemons[1].status().expect("it answers");
    let said = status.conditions.iter().find(|it| it.name == "descriptors");
    let said = said.unwrap_or_else(|| panic!("the low limit is not said: {status:?}"));
    assert!(said.message.contains(&LIMIT.to_string()), "{said:?}");
    assert!(said.hint.as_deref().is_some_and(|hint| hint.contains("LimitNOFILE=")), "{said:?}");

    // Rounds go on: the journal, the ledger and the objects have what they need.
    federation.wait_until_done();
    let rounds = federation.rounds();
    assert!(rounds[1].iter().all(|round| round.contributors.len() == 3), "{rounds:?}");
    drop((streams, sockets));
    federation.daemons[1].signal("TERM");
    assert_eq!(federation.daemons[1].wait(), Some(0), "{}", federation.daemons[1].tail());
}
