//! A node waits for what is missing when it starts: it answers, reports what it waits for, and
//! continues by itself.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fedshield_tests::{Daemon, Program, SmallDisk, Work, eventually, make_home};
use fedshieldd::control::api::{ErrorCode, Severity};

const LIMIT: Duration = Duration::from_secs(120);

fn cli() -> Program {
    Program::new(env!("CARGO_BIN_EXE_fedshield"))
}

fn service() -> Program {
    Program::new(env!("CARGO_BIN_EXE_fedshield-node"))
}

/// The socket on which systemd would listen.
struct Systemd(UnixDatagram);

impl Systemd {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).expect("the socket can be made");
        socket.set_read_timeout(Some(LIMIT)).expect("it takes a limit");
        Self(socket)
    }

    /// Takes messages until a line of one has `words`.
    #[track_caller]
    fn wait_for(&self, words: &[&str]) {
        let mut heard = Vec::new();
        let mut bytes = [0; 4096];
        loop {
            let Ok(length) = self.0.recv(&mut bytes) else { panic!("no {words:?} but {heard:?}") };
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if text.lines().any(|line| words.iter().all(|word| line.contains(word))) {
                return;
            }
            heard.push(text);
        }
    }
}

/// Waits until the node says that this blocks it; gives the message.
#[track_caller]
fn blocked_by(daemon: &mut Daemon, name: &str) -> String {
    let found = || {
        let conditions = daemon.status()?.conditions;
        conditions.into_iter().find(|it| it.name == name && it.severity == Severity::Blocking)
    };
    if !eventually(|| found().is_some()) {
        let status = daemon.status().map(|status| status.conditions);
        panic!("{name} is not said, but {status:?}\n{}", daemon.tail());
    }
    found().map(|it| it.message).unwrap_or_default()
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("it can be read").flatten() {
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a file can be copied");
    }
}

fn page(address: &str, path: &str) -> Option<String> {
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn a_node_comes_up_as_its_mounts_and_addresses_do() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let systemd = Systemd::at(&folder.path().join("notify.sock"));
    let program = service()
        .with("NOTIFY_SOCKET", folder.path().join("notify.sock").display().to_string())
        .with("WATCHDOG_USEC", "300000");
    let home = folder.path().join("node");
    make_home(&cli(), &home, "node", &Work::domains()[0]);
    let (model, data) = (folder.path().join("model"), folder.path().join("data.jsonl"));
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let http = taken.local_addr().expect("it is bound").to_string();
    let settings = [
        format!("model.path={}", model.display()),
        format!("data.train={}", data.display()),
        format!("http.listen={http}"),
    ];
    let arguments: Vec<&str> = settings.iter().flat_map(|it| ["--set", it]).collect();
    let mut daemon = Daemon::start_service(&program, &home, &arguments);

    // No model: it is ready for a service manager all the same, reports what it waits for, and
    // feeds the watchdog.
    systemd.wait_for(&["READY=1"]);
    systemd.wait_for(&["STATUS=", "model"]);
    systemd.wait_for(&["WATCHDOG=1"]);
    let said = blocked_by(&mut daemon, "base-model");
    assert!(said.contains(&model.display().to_string()), "{said}");
    let shown = cli().run(&home, ["status"]).ok();
    assert!(shown.contains("not ready") && shown.contains("base model"), "{shown}");
    let wrong = ErrorCode::WrongState.exit_code();
    cli().run(&home, ["doctor"]).fails(wrong, &["base-model"]);
    for command in [&["members"][..], &["federation", "new", "--name", "t"], &["pause"]] {
        cli().run(&home, command).fails(wrong, &["waits", "model"]);
    }
    assert_eq!(cli().run(&home, ["rounds", "--json"]).ok().trim(), "[]");
    let check = ["config", "check"].into_iter().chain(arguments.iter().copied());
    cli().run(&home, check).fails(ErrorCode::ModelUnreadable.exit_code(), &["starts, waits"]);

    // The dashboard's address becomes free.
    drop(taken);
    assert!(eventually(|| page(&http, "/healthz").is_some_and(|it| it.contains("200 OK"))));
    let ready = page(&http, "/readyz").unwrap_or_default();
    assert!(ready.contains(" 503 ") && ready.contains("base model"), "{ready}");

    // The model comes, in the middle of being copied first.
    fs::create_dir(&model).expect("a folder can be made");
    fs::write(model.join("config.json"), "{").expect("a file can be written");
    let half = || {
        daemon
            .status()
            .is_some_and(|it| it.conditions.iter().any(|it| it.message.contains("config.json")))
    };
    assert!(eventually(half), "{}", daemon.tail());
    copy_folder(&Work::model(), &model);
    let said = blocked_by(&mut daemon, "data-files");
    assert!(said.contains("data.jsonl"), "{said}");

    // The data come, with a broken line first.
    let good = fs::read_to_string(&Work::domains()[0]).expect("the shipped data can be read");
    fs::write(&data, format!("{}\nnot json\n", good.lines().next().unwrap_or_default()))
        .expect("a file can be written");
    let broken = || {
        daemon
            .status()
            .is_some_and(|it| it.conditions.iter().any(|it| it.message.contains("data.jsonl:2")))
    };
    assert!(eventually(broken), "{}", daemon.tail());
    systemd.wait_for(&["STATUS=", "data.jsonl:2"]);
    fs::write(&data, good).expect("a file can be written");
    daemon.wait_for_log(&["listening"], LIMIT);
    cli().run(&home, ["federation", "new", "--name", "t"]).ok();
    let conditions = daemon.status().expect("it answers").conditions;
    assert!(conditions.iter().all(|it| it.severity < Severity::Blocking), "{conditions:?}");
    daemon.signal("TERM");
    systemd.wait_for(&["STOPPING=1"]);
    assert_eq!(daemon.wait(), Some(0), "{}", daemon.tail());
}

#[test]
fn a_node_that_waits_stops_when_it_is_asked() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let home = folder.path().join("node");
    make_home(&cli(), &home, "node", &Work::domains()[0]);
    let gone = format!("model.path={}", folder.path().join("gone").display());
    for by_signal in [true, false] {
        let mut daemon = Daemon::start_with(&cli(), &home, &[&gone]);
        blocked_by(&mut daemon, "base-model");
        if by_signal {
            daemon.signal("TERM");
        } else {
            cli().run(&home, ["stop"]).ok();
        }
        assert_eq!(daemon.wait_within(LIMIT), Some(0), "{}", daemon.tail());
    }
}

/// The home's disk was mounted read-only, for instance after an error: nothing is lost, and the
/// node recovers.
#[test]
fn a_home_on_a_disk_that_is_read_only_at_the_start() {
    let Some(mut disk) = SmallDisk::new(8 << 10) else { return };
    let folder = tempfile::tempdir().expect("a folder can be made");
    let home = disk.path().join("node");
    make_home(&cli(), &home, "node", &Work::domains()[0]);
    let mut daemon = Daemon::start(&cli(), &home);
    daemon.wait_for_log(&["listening"], LIMIT);
    cli().run(&home, ["stop"]).ok();
    assert_eq!(daemon.wait(), Some(0), "{}", daemon.tail());

    disk.read_only(true);
    let socket = folder.path().join("control.sock").display().to_string();
    let setting = format!("control.socket={socket}");
    let systemd = Systemd::at(&folder.path().join("notify.sock"));
    let program =
        service().with("NOTIFY_SOCKET", folder.path().join("notify.sock").display().to_string());
    let mut daemon = Daemon::start_service(&program, &home, &["--set", &setting]);
    systemd.wait_for(&["STATUS=", "read-only"]);
    let cli = cli().with("FEDSHIELD_CONTROL_SOCKET", socket);
    cli.run(&home, ["doctor"]).fails(ErrorCode::WrongState.exit_code(), &["disk-full"]);
    disk.read_only(false);
    daemon.wait_for_log(&["listening"], LIMIT);
    assert!(eventually(|| cli.run(&home, ["doctor"]).code == 0), "{}", daemon.tail());
    cli.run(&home, ["stop"]).ok();
    assert_eq!(daemon.wait(), Some(0), "{}", daemon.tail());
}

/// The system takes 107 bytes for the path of a socket.
#[test]
fn a_home_with_a_long_path_is_as_good_as_any() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    for length in [94, 95, 107, 240] {
        let mut home: PathBuf = folder.path().to_owned();
        let missing = length - home.as_os_str().len() - 1;
        home.push("h".repeat(missing));
        assert_eq!(home.as_os_str().len(), length);
        make_home(&cli(), &home, "node", &Work::domains()[0]);
        let checked = cli().run(&home, ["config", "check"]).ok();
        assert!(checked.contains("good"), "{checked}");
        let mut daemon = Daemon::start(&cli(), &home);
        let answers = || cli().run(&home, ["status"]).code == 0;
        assert!(eventually(answers), "{length}: {}", daemon.tail());
        cli().run(&home, ["stop"]).ok();
        assert_eq!(daemon.wait(), Some(0), "{length}: {}", daemon.tail());
    }
}
