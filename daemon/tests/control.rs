//! The control socket: a real socket, a host that answers from a table.

use std::os::unix::fs::PermissionsExt;

use fedshield_protocol::ids::{IdentityKey, Round};
use fedshieldd::control::api::{
    ApiError, Done, ErrorCode, EvaluateRequest, InviteRequest, InviteView, JoinRequest, NodeStatus,
    RoundOutcome, RoundReport,
};
use fedshieldd::control::{
    ControlClient, ControlCommand, ControlError, ControlPort, ControlServer, control_channel,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

fn status() -> NodeStatus {
    NodeStatus {
        listen: vec!["/ip4/127.0.0.1/tcp/7000".into()],
        ..NodeStatus::starting("ward \"7\"", IdentityKey([7; 32]))
    }
}

fn report() -> RoundReport {
    RoundReport {
        round: Round(0),
        outcome: RoundOutcome::Applied,
        adapter_digest: None,
        contributors: vec!["a".into()],
        committee: vec![],
        bytes: [("ciphertext".to_owned(), 10)].into(),
        bytes_in: [("ciphertext".to_owned(), 30)].into(),
        seconds: [("commit".to_owned(), 1.5)].into(),
        train_loss: Some(2.5),
        held_out_loss: None,
        mean_loss: None,
        update_bytes_f32: 20,
        sent_bytes: 10,
    }
}

/// A host that knows three answers.
fn host() -> ControlPort {
    let (port, mut host) = control_channel(status());
    tokio::spawn(async move {
        while let Some(command) = host.commands.recv().await {
            match command {
                ControlCommand::Invite(body, reply) => {
                    let view = InviteView {
                        invite: "fs1x".into(),
                        expires_at_s: body.expires_s + 1,
                        addresses: vec!["/ip4/10.0.0.7/tcp/7000".into()],
                        left_out: vec![],
                        warning: None,
                    };
                    let _ = reply.send(Ok(view));
                }
                ControlCommand::Rounds(reply) => drop(reply.send(Ok(vec![report()]))),
                ControlCommand::Ledger(reply) => drop(reply.send(Ok(vec![0, 255, 1]))),
                ControlCommand::Join(_, reply) => {
                    let error = ApiError::new(ErrorCode::InviteExpired, "too late");
                    let _ = reply.send(Err(error.with_hint("ask for another")));
                }
                ControlCommand::Stop(reply) => {
                    let _ = reply.send(Ok(Done {}));
                    return;
                }
                // Dropped: the client is told that the daemon is stopping.
                _ => {}
            }
        }
    });
    port
}

#[tokio::test]
async fn every_kind_of_answer_comes_back_through_the_socket() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("control.sock");
    let client = ControlClient::new(&socket);
    let nobody = client.status().await.unwrap_err();
    assert_eq!(nobody.code, ErrorCode::NotRunning);
    assert!(nobody.hint.is_some());

    let server = ControlServer::bind(&socket).unwrap();
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let stop = CancellationToken::new();
    let serving = tokio::spawn(server.serve(host(), stop.clone()));
    assert!(matches!(ControlServer::bind(&socket), Err(ControlError::InUse { .. })));

    assert_eq!(client.status().await.unwrap(), status());
    assert_eq!(client.rounds().await.unwrap(), [report()]);
    assert_eq!(client.ledger().await.unwrap(), [0, 255, 1]);
    let invite = client.invite(&InviteRequest { expires_s: 5 }).await.unwrap();
    assert_eq!(invite.expires_at_s, 6);
    let join = JoinRequest { invite: "fs1".into(), ..JoinRequest::default() };
    let error = client.join(&join).await.unwrap_err();
    assert_eq!(
        (error.code, error.hint.as_deref()),
        (ErrorCode::InviteExpired, Some("ask for another"))
    );
    assert_eq!(
        client.evaluate(&EvaluateRequest::default()).await.unwrap_err().code,
        ErrorCode::WrongState
    );
    client.stop().await.unwrap();
    assert_eq!(client.pause().await.unwrap_err().code, ErrorCode::WrongState);

    stop.cancel();
    serving.await.unwrap().unwrap();
    assert!(!socket.exists());
}

#[tokio::test]
async fn a_socket_that_a_dead_daemon_left_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    ControlServer::bind(&socket).unwrap();
    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "precious").unwrap();
    assert!(matches!(ControlServer::bind(&file), Err(ControlError::Disk(_))));
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
}

/// A process that was killed while it bound the socket, in a container where each is number 1.
#[tokio::test]
async fn leftovers_of_a_killed_daemon_beside_the_socket_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("control.sock");
    let names = || {
        let entries = std::fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let own = format!(".fs{}", std::process::id());
    for left in [own.as_str(), ".fs1", ".control.sock.new"] {
        let left = folder.path().join(left);
        std::fs::create_dir(&left).unwrap();
        drop(std::os::unix::net::UnixListener::bind(left.join("s")).unwrap());
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
        std::fs::File::open(&left).unwrap().set_modified(old).unwrap();
    }
    let server = ControlServer::bind(&socket).unwrap();
    assert_eq!(names(), ["control.sock"]);
    drop(server);
    assert_eq!(names(), Vec::<std::ffi::OsString>::new());
}

/// The system takes 107 bytes for the path of a socket; a home folder may be longer.
#[tokio::test]
async fn a_socket_in_a_folder_with_a_long_path_is_reached() {
    let folder = tempfile::tempdir().unwrap();
    for depth in [1, 2, 8] {
        let mut deep = folder.path().to_owned();
        (0..depth).for_each(|_| deep.push("a-long-name-".repeat(8)));
        let socket = deep.join("control.sock");
        let server = ControlServer::bind(&socket).unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(server.serve(host(), stop.clone()));
        assert_eq!(ControlClient::new(&socket).status().await.unwrap(), status());
        let again = ControlServer::bind(&socket);
        assert!(matches!(again, Err(ControlError::InUse { .. })), "{again:?}");
        assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
        stop.cancel();
        serving.await.unwrap().unwrap();
        assert!(!socket.exists());
    }
}

/// One plain request over any stream; gives the whole answer.
async fn plain(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_answered_with_an_error_body() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("control.sock");
    let server = ControlServer::bind(&socket).unwrap();
    tokio::spawn(server.serve(host(), CancellationToken::new()));
    for (path, body) in [
        ("/v1/invite", "{\"expires_s\": \"soon\"}"),
        ("/v1/invite", "{\"expires_s\": 1, \"extra\": 2}"),
        ("/v1/nothing", "{}"),
    ] {
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
        let answer = plain(stream, &request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert!(answer.contains("\"code\":\"invalid-request\""), "{answer}");
    }
}
