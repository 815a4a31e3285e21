//! The pages: a real server and, where one is installed, a real browser. Names and errors in them
//! are hostile.
//!
//! The browser test needs Debian's `chromium` (or a program named by `FEDSHIELD_BROWSER`); without
//! one it says so and passes: `cargo test --workspace --test pages -- --nocapture`.
//! `FEDSHIELD_SCREENSHOTS=DIR` keeps pictures of the page.

use std::path::{Path, PathBuf};
use std::process::Command;

use fedshield_protocol::failed_rounds::FailedRounds;
use fedshield_protocol::ids::{
    Digest, Epoch, FederationId, IdentityKey, MemberIndex, RecordDigest, Round, View,
};
use fedshield_protocol::status::{Activity, Attendance, MemberStatus, Phase, Status};
use fedshield_protocol::wire::Leave;
use fedshieldd::control::api::{
    AdapterKind, Comparison, Condition, FederationSummary, HeldOut, MeanLoss, MeasuredOn,
    NodeState, NodeStatus, OnSample, RoundOutcome, RoundReport, Severity, Waiting, WorkProgress,
};
use fedshieldd::control::{ControlCommand, ControlPort, control_channel};
use fedshieldd::http::{HttpError, HttpServer, MemberMetrics, Metrics, NetworkMetrics};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

const HOSTILE: [&str; 4] = [
    "<img src=x onerror=\"document.title='owned'\">",
    "\"><script>document.title='owned'</script>",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "Z\u{fc}rich & 'S\u{f6}hne'",
];

fn members() -> Vec<String> {
    HOSTILE.map(str::to_owned).to_vec()
}

/// The third round of eight, waiting for two members.
fn status() -> NodeStatus {
    let member = |index| MemberStatus {
        reachable: index != 3,
        round: Some(Round(2)),
        committed: true,
        share_valid: index < 2,
        here: index != 3,
        left: (index == 3).then_some(Leave::Stopped),
        ..MemberStatus::default()
    };
    NodeStatus {
        state: NodeState::Active,
        federation: Some(FederationSummary {
            id: Some(FederationId([1; 32])),
            founding_id: Digest([2; 32]),
            name: "<b>trial</b>".into(),
            epoch: Epoch(0),
            manifest_digest: None,
            members: members(),
            self_index: Some(MemberIndex(0)),
            rounds: 8,
            signed: members(),
            phrase: Some("abandon ".repeat(23) + "art"),
        }),
        machine: Some(Status {
            epoch: Epoch(0),
            round: Round(2),
            phase: Phase::Transfer,
            activity: Activity::Transfer,
            view: View(0),
            applied: 2,
            stopped: None,
            adapter: None,
            head: RecordDigest([3; 32]),
            committee: vec![MemberIndex(1), MemberIndex(2)],
            proposer: Some(MemberIndex(1)),
            members: (0..4).map(member).collect(),
            silent_through: None,
            journal_round: None,
            failed_rounds: FailedRounds::default(),
            waiting_for: vec![MemberIndex(2), MemberIndex(3)],
            wait: None,
            attendance: Attendance { here: 3, quorum: 3, contributors: 3, min_contributors: 3 },
            paused: false,
            banned: vec![],
            dropped: [("message: <i>".into(), 1)].into(),
        }),
        progress: Some(WorkProgress {
            phase: "train".into(),
            step: 3,
            steps: 12,
            loss: Some(2.5),
            tokens_per_second: Some(812.0),
            fraction: 0.25,
        }),
        last_error: Some("job failed: <script>document.title='owned'</script>".into()),
        comparison: Some(Comparison {
            applied: 2,
            headline: "joining: 38% better than alone on your own data".to_owned(),
            measured_on: MeasuredOn::Test,
            examples: 40,
            base: 3.0,
            alone: Some(2.5),
            common: 1.6,
            best: AdapterKind::Personal,
            best_loss: 1.55,
            on_sample: OnSample { sample: Digest([5; 32]), alone: Some(2.7), best: 1.7 },
        }),
        held_out: Some(HeldOut {
            round: Round(1),
            loss: 2.25,
            base: Some(3.0),
            examples: 64,
            tokens: 4000,
            sample: Some(Digest([5; 32])),
        }),
        waiting: Some(Waiting {
            text: "3 of 4 are enough".into(),
            until_unix_s: Some(22 * 3600 + 44 * 60 + 28),
            can_go_on: true,
        }),
        misbehaviour: vec![format!("{}: a wrong partial decryption", HOSTILE[0])],
        mean_loss: Some(mean_loss(1)),
        ..NodeStatus::starting("<i>ward</i>", IdentityKey([7; 32]))
    }
}

fn mean_loss(round: u64) -> MeanLoss {
    MeanLoss { round: Round(round), ratio: 1.0 - round as f64 / 4.0, members: 4 }
}

fn report(round: u64) -> RoundReport {
    RoundReport {
        round: Round(round),
        outcome: RoundOutcome::Applied,
        adapter_digest: Some(Digest([round as u8; 32])),
        contributors: members(),
        committee: vec![HOSTILE[1].into()],
        bytes: [("ciphertext".to_owned(), 10), ("transport".to_owned(), 12)].into(),
        bytes_in: [("ciphertext".to_owned(), 30)].into(),
        seconds: [("commit".to_owned(), 1.5), ("train".to_owned(), 8.0)].into(),
        train_loss: Some(2.75 - round as f64 / 4.0),
        held_out_loss: Some(2.5 - round as f64 / 4.0),
        mean_loss: Some(mean_loss(round)),
        update_bytes_f32: 20,
        sent_bytes: 14,
    }
}

fn host(status: NodeStatus) -> ControlPort {
    let (port, mut host) = control_channel(status);
    tokio::spawn(async move {
        while let Some(command) = host.commands.recv().await {
            if let ControlCommand::Rounds(reply) = command {
                let _ = reply.send(Ok(vec![report(0), report(1)]));
            }
        }
        drop(host.status);
    });
    port
}

fn network() -> NetworkMetrics {
    let busy = MemberMetrics { over_quic: true, messages_waiting: 3, messages_dropped: 4 };
    let members = vec![("o\"k\\\n".to_owned(), busy)];
    NetworkMetrics { connections_refused: 5, messages_dropped: 6, members }
}

async fn serve(status: NodeStatus) -> std::net::SocketAddr {
    let server = HttpServer::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = server.address();
    let metrics = Metrics::default();
    metrics.set_network(network());
    tokio::spawn(server.serve(host(status), metrics, CancellationToken::new()));
    address
}

async fn get(address: std::net::SocketAddr, path: &str, host: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn metrics_and_health() {
    let address = serve(status()).await;
    assert!(matches!(HttpServer::bind(address).await, Err(HttpError::InUse { .. })));
    let page = get(address, "/metrics", "127.0.0.1:9").await;
    for line in [
        "fedshield_info{version=\"0.1.0\",state=\"active\"} 1",
        "fedshield_phase{phase=\"transfer\"} 1",
        "fedshield_waiting_for 2",
        "fedshield_members_here 3",
        "fedshield_member_here{member=\"Z\u{fc}rich & 'S\u{f6}hne'\"} 0",
        "fedshield_federation_loss_ratio 0.75",
        "fedshield_held_out_loss 2.25",
        "fedshield_held_out_loss_base 3",
        "fedshield_round_sent_bytes_total{phase=\"ciphertext\"} 20",
        "fedshield_rounds_total{outcome=\"applied\"} 2",
        "fedshield_train_loss 2.5",
        "fedshield_connections_refused_total 5",
        "fedshield_network_messages_dropped_total 6",
        "fedshield_member_over_quic{member=\"o\\\"k\\\\\\n\"} 1",
        "fedshield_member_messages_waiting{member=\"o\\\"k\\\\\\n\"} 3",
        "fedshield_member_messages_dropped_total{member=\"o\\\"k\\\\\\n\"} 4",
        // A quotation mark in a name must not end the label.
        "fedshield_member_reachable{member=\"\\\"><script>document.title='owned'</script>\"} 1",
    ] {
        assert!(page.contains(line), "{line} in {page}");
    }
    assert!(get(address, "/healthz", "localhost").await.starts_with("HTTP/1.1 200"));
    assert!(get(address, "/readyz", "localhost").await.starts_with("HTTP/1.1 503"));
    let well = NodeStatus { last_error: None, ..status() };
    assert!(get(serve(well).await, "/readyz", "[::1]:80").await.starts_with("HTTP/1.1 200"));
    let starting = NodeStatus { machine: None, last_error: None, ..status() };
    let answer = get(serve(starting).await, "/readyz", "localhost").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("starting"), "{answer}");
    // Whatever keeps it from taking part is the answer, in the words that `status` has for it.
    for (state, name, text) in [
        (NodeState::Active, "no-quorum", "no quorum: 2 of 3 needed; missing delta"),
        (NodeState::Paused, "paused", "paused since 2026-11-27 22:44:28 UTC by ada"),
    ] {
        let conditions = vec![Condition::new(name, Severity::Blocking, text)];
        let unfit = NodeStatus { state, conditions, last_error: None, ..status() };
        let answer = get(serve(unfit).await, "/readyz", "localhost").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains(text), "{answer}");
    }
    let idle = NodeStatus::starting("a", IdentityKey([1; 32]));
    assert!(get(serve(idle).await, "/readyz", "localhost").await.starts_with("HTTP/1.1 503"));
}

/// Names, types and labels that somebody's dashboards and alarms may ask for: none of them goes,
/// none changes its type.
#[tokio::test]
async fn the_series_of_the_metrics_page_stay() {
    const SERIES: [(&str, &str, &[&str]); 32] = [
        ("condition", "gauge", &["name", "severity"]),
        ("connections_refused_total", "counter", &[]),
        ("dropped_messages_total", "counter", &["reason"]),
        ("federation_loss_members", "gauge", &[]),
        ("federation_loss_ratio", "gauge", &[]),
        ("federation_loss_round", "gauge", &[]),
        ("held_out_loss", "gauge", &[]),
        ("held_out_loss_base", "gauge", &[]),
        ("held_out_round", "gauge", &[]),
        ("info", "gauge", &["version", "state"]),
        ("last_round_seconds", "gauge", &["phase"]),
        ("member_here", "gauge", &["member"]),
        ("member_messages_dropped_total", "counter", &["member"]),
        ("member_messages_waiting", "gauge", &["member"]),
        ("member_over_quic", "gauge", &["member"]),
        ("member_reachable", "gauge", &["member"]),
        ("members_here", "gauge", &[]),
        ("network_messages_dropped_total", "counter", &[]),
        ("phase", "gauge", &["phase"]),
        ("progress_ratio", "gauge", &["phase"]),
        ("quorum", "gauge", &[]),
        ("round", "gauge", &[]),
        ("round_received_bytes_total", "counter", &["phase"]),
        ("round_sent_bytes_total", "counter", &["phase"]),
        ("rounds_applied", "gauge", &[]),
        ("rounds_total", "counter", &["outcome"]),
        ("silent", "gauge", &[]),
        ("tokens_per_second", "gauge", &[]),
        ("train_loss", "gauge", &[]),
        ("unreadable_partials_total", "counter", &["member"]),
        ("view", "gauge", &[]),
        ("waiting_for", "gauge", &[]),
    ];
    let mut full = status();
    full.conditions = vec![Condition::new("no-quorum", Severity::Blocking, "no quorum")];
    full.machine.as_mut().unwrap().dropped.insert("signature".into(), 7);
    full.unreadable_partials.insert("eve".into(), 2);
    let answer = get(serve(full).await, "/metrics", "127.0.0.1").await;
    let (head, page) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    for (name, kind, labels) in SERIES {
        let lines: Vec<&str> = page.lines().collect();
        let help = format!("# HELP fedshield_{name} ");
        let at = lines.iter().position(|line| line.starts_with(&help)).expect(name);
        assert_eq!(lines[at + 1], format!("# TYPE fedshield_{name} {kind}"));
        let sample = lines[at + 2].strip_prefix(&format!("fedshield_{name}")).expect(name);
        let found: Vec<&str> = sample
            .split('"')
            .step_by(2)
            .filter_map(|part| part.trim_start_matches(['{', ',']).strip_suffix('='))
            .collect();
        assert!(found == labels || name.starts_with("member_"), "{name}: {sample}");
        let value = sample.rsplit(' ').next().unwrap();
        assert!(value.parse::<f64>().is_ok(), "{name}: {sample}");
    }
    let typed = page.lines().filter(|line| line.starts_with("# TYPE ")).count();
    assert_eq!(typed, SERIES.len(), "{page}");
}

#[tokio::test]
async fn every_answer_forbids_what_the_dashboard_does_not_need() {
    let address = serve(status()).await;
    for (path, kind) in [
        ("/", "text/html"),
        ("/dashboard.css", "text/css"),
        ("/dashboard.js", "text/javascript"),
        ("/v1/status", "application/json"),
        ("/v1/rounds", "application/json"),
        ("/metrics", "text/plain"),
        ("/nothing", ""),
    ] {
        let answer = get(address, path, "127.0.0.1").await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("content-security-policy: default-src 'none';"), "{path}: {head}");
        assert!(head.contains("script-src 'self'") && !head.contains("unsafe"), "{path}: {head}");
        assert!(head.contains("x-content-type-options: nosniff"), "{path}: {head}");
        assert!(head.contains(&format!("content-type: {kind}")) || kind.is_empty(), "{head}");
        // The name of SVG is an address, though nobody asks it.
        let body = body.replace("http://www.w3.org/2000/svg", "");
        assert!(!body.contains("http://") && !body.contains("https://"), "{path}");
    }
    // The ledger is for the control socket only, and a page elsewhere gets nothing by renaming
    // itself.
    assert!(get(address, "/v1/ledger", "localhost").await.starts_with("HTTP/1.1 404"));
    assert!(get(address, "/v1/status", "evil.example").await.starts_with("HTTP/1.1 421"));
}

/// What a request gets that is sent exactly like this.
async fn ask(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn only_names_that_were_allowed_are_answered_and_a_refusal_says_how_to_allow_one() {
    let names = ["fed.example".to_owned()];
    let server = HttpServer::bind_for("127.0.0.1:0".parse().unwrap(), &names).await.unwrap();
    let address = server.address();
    let well = NodeStatus { last_error: None, ..status() };
    tokio::spawn(server.serve(host(well), Metrics::default(), CancellationToken::new()));
    for host in
        ["fed.example", "FED.example:9464", "fed.example.", "localhost.", "[::1]", "127.0.0.2:1"]
    {
        assert!(get(address, "/v1/status", host).await.starts_with("HTTP/1.1 200"), "{host}");
    }
    for host in [
        "other.example",
        "fed.example.evil.example",
        "evil.example:fed.example",
        "fed.example@evil.example",
        "localhost@evil.example",
        "",
        "[::1",
        "10.0.0.1",
    ] {
        let answer = get(address, "/v1/status", host).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{host}: {answer}");
        // What the server itself refuses as no host says so without us.
        let explained = answer.contains("http.allowed_hosts") || answer.contains(" 400 ");
        assert!(explained, "{host}: {answer}");
    }
    for path in ["/healthz", "/readyz"] {
        let old = ask(address, &format!("GET {path} HTTP/1.0\r\n\r\n")).await;
        assert!(old.starts_with("HTTP/1.0 200"), "{path}: {old}");
        let bare = format!("GET {path} HTTP/1.1\r\nconnection: close\r\n\r\n");
        assert!(ask(address, &bare).await.starts_with("HTTP/1.1 200"), "{path}");
    }
    let bare = ask(address, "GET /v1/status HTTP/1.0\r\n\r\n").await;
    assert!(bare.starts_with("HTTP/1.0 421") && bare.contains("names no host"), "{bare}");
}

#[test]
fn the_script_never_makes_markup_of_text() {
    let script = include_str!("../src/http/dashboard/dashboard.js");
    for sink in
        ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "srcdoc"]
    {
        assert!(!script.contains(sink), "{sink}");
    }
    let page = include_str!("../src/http/dashboard/index.html");
    assert!(!page.contains("style=") && !page.contains(" onload") && !page.contains("<script>"));
}

/// Every id that the script looks for is in the page, and phases are explained.
#[test]
fn page_and_script_fit() {
    let script = include_str!("../src/http/dashboard/dashboard.js");
    let page = include_str!("../src/http/dashboard/index.html");
    for part in script.split("at(\"").skip(1).chain(script.split("set(\"").skip(1)) {
        let id = part.split('"').next().unwrap();
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
    }
}

fn browser() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("FEDSHIELD_BROWSER") {
        return Some(named.into());
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders)
        .flat_map(|folder| ["chromium", "chromium-browser"].map(|name| folder.join(name)))
        .find(|path| path.exists())
}

/// What the browser made of the page at `url`, and what it complained about.
fn browse(browser: &Path, url: &str, arguments: &[&str]) -> (String, String) {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--hide-scrollbars", "--virtual-time-budget=6000", "--enable-logging=stderr"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(arguments)
        .arg(url)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_shows_hostile_names_as_text() {
    let Some(browser) = browser() else {
        eprintln!("skipped: no chromium here (apt-get install chromium, or set FEDSHIELD_BROWSER)");
        return;
    };
    let url = format!("http://{}/", serve(status()).await);
    if let Some(folder) = std::env::var_os("FEDSHIELD_SCREENSHOTS") {
        for (name, size) in [("wide", "1280,1800"), ("narrow", "500,2600")] {
            let file = Path::new(&folder).join(format!("{name}.png"));
            let file = format!("--screenshot={}", file.display());
            browse(&browser, &url, &[&file, &format!("--window-size={size}")]);
        }
    }
    let (page, complaints) = browse(&browser, &url, &["--dump-dom"]);
    assert!(page.contains("<title>&lt;b&gt;trial&lt;/b&gt; \u{2013} FedShield</title>"), "{page}");
    for shown in [
        "<bdi>&lt;img src=x onerror=\"document.title='owned'\"&gt;</bdi>",
        "job failed: &lt;script&gt;",
        "Proven misbehaviour: &lt;img",
        "Round 2, transfer",
        "step 3 of 12",
        "Z\u{fc}rich &amp; 'S\u{f6}hne'",
        "2 of 8 rounds applied, about 57 s to go",
        "After round 1: 2.2500 on 64 held-out examples",
        "Joining: 38% better than alone on your own data. Base 3.0000, alone 2.5000, common 1.6000",
        "best 1.5500 (personal), on 40 test examples of this node, after 2 applied rounds",
        "axis cut: it does not begin at zero",
        "Held-out loss from 2.500 to 2.250 over 2 rounds",
        // Lines of the same examples stand beside the curve.
        "Base model, held out: 3.000. Alone, held out: 2.700. Best (personal), held out: 1.700.",
        "<title>alone, held out: 2.7000</title>",
        "all, on the wire",
    ] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    assert!(!page.contains("<img") && !page.contains("<script>document"), "{page}");
    let complaint = complaints.lines().find(|line| line.contains("CONSOLE"));
    assert_eq!(complaint, None, "the browser complains");
}
