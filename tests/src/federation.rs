//! A federation of daemon processes on loopback, founded through the command line.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use fedshieldd::control::api::{NodeState, RoundReport};

use crate::{Daemon, Program, Work};

/// What the tests vary; everything else is small, so that many federations fit into a test run.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Members.
    pub members: usize,
    /// Rounds that get an adapter.
    pub rounds: u64,
    /// Milliseconds for each phase, after which a missing member is not waited for any more.
    pub phase_ms: u64,
}

impl Default for Terms {
    fn default() -> Self {
        Self { members: 4, rounds: 2, phase_ms: 4000 }
    }
}

/// Daemons and their homes. Dropping it kills the daemons and deletes the homes.
pub struct Federation {
    /// In the order of the manifest: the owner first.
    pub daemons: Vec<Daemon>,
    /// The program they run.
    pub program: Program,
    folder: tempfile::TempDir,
}

/// Longest wait for something that must happen.
const LIMIT: Duration = Duration::from_secs(240);

impl Federation {
    /// Makes homes, starts daemons, founds the federation.
    ///
    /// # Panics
    /// If any step fails.
    pub fn found(program: &Program, terms: &Terms) -> Self {
        Self::found_at(program, terms, |_| None)
    }

    /// The same with the homes of some members in folders of their own.
    ///
    /// # Panics
    /// If any step fails.
    pub fn found_at(
        program: &Program,
        terms: &Terms,
        place: impl Fn(usize) -> Option<PathBuf>,
    ) -> Self {
        let mut federation = Self::start_with(program, terms.members, place, |_| Vec::new());
        federation.draft(terms);
        federation
    }

    /// The same with settings, `key=value`, for each member.
    ///
    /// # Panics
    /// If any step fails.
    pub fn found_with(
        program: &Program,
        terms: &Terms,
        settings: impl Fn(usize) -> Vec<String>,
    ) -> Self {
        let mut federation = Self::start_with(program, terms.members, |_| None, settings);
        federation.draft(terms);
        federation
    }

    /// The same with further flags of `federation new`.
    ///
    /// # Panics
    /// If any step fails.
    pub fn found_under(
        program: &Program,
        terms: &Terms,
        settings: impl Fn(usize) -> Vec<String>,
        flags: &[&str],
    ) -> Self {
        let federation = Self::start_with(program, terms.members, |_| None, settings);
        federation.new_draft_under(terms, flags);
        for joiner in 1..federation.daemons.len() {
            federation.join(joiner);
        }
        federation.freeze();
        federation
    }

    /// Homes and running daemons with settings, in no federation yet.
    ///
    /// # Panics
    /// If one does not start.
    pub fn start_set(
        program: &Program,
        members: usize,
        settings: impl Fn(usize) -> Vec<String>,
    ) -> Self {
        Self::start_with(program, members, |_| None, settings)
    }

    /// Homes and running daemons, in no federation yet.
    ///
    /// # Panics
    /// If one does not start.
    pub fn start(
        program: &Program,
        members: usize,
        place: impl Fn(usize) -> Option<PathBuf>,
    ) -> Self {
        Self::start_with(program, members, place, |_| Vec::new())
    }

    fn start_with(
        program: &Program,
        members: usize,
        place: impl Fn(usize) -> Option<PathBuf>,
        settings: impl Fn(usize) -> Vec<String>,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let domains = Work::domains();
        let homes: Vec<PathBuf> = (0..members)
            .map(|member| {
                let name = format!("m{member}");
                let home = place(member).unwrap_or_else(|| folder.path().to_owned()).join(name);
                make_home(program, &home, &format!("m{member}"), &domains[member % domains.len()]);
                home
            })
            .collect();
        let daemons = homes
            .iter()
            .enumerate()
            .map(|(member, home)| {
                let settings = settings(member);
                let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
                Daemon::start_with(program, home, &settings)
            })
            .collect();
        let mut federation = Self { daemons, program: program.clone(), folder };
        federation.wait_until("the daemons answer", |daemons| {
            daemons.iter().all(|daemon| daemon.status().is_some())
        });
        federation
    }

    fn draft(&mut self, terms: &Terms) {
        self.new_draft(terms);
        for joiner in 1..self.daemons.len() {
            self.join(joiner);
        }
        self.freeze();
    }

    /// The owner freezes the draft; every member has been given the list of members that it
    /// expects, so each confirms by itself.
    ///
    /// # Panics
    /// If it is refused.
    pub fn freeze(&self) {
        let file = expected(&self.program, self.folder.path(), &self.homes());
        let found = ["federation", "found", "--yes", "--expect", &file];
        self.program.run(&self.daemons[0].home, found).ok();
    }

    /// As operators do: the owner freezes the draft, and each of the given members confirms the
    /// owner's phrase.
    ///
    /// # Panics
    /// If one of them is not shown the list, or is refused.
    pub fn freeze_and_confirm(&mut self, members: &[usize]) {
        let homes = self.homes();
        self.program.run(&homes[0], ["federation", "found", "--yes"]).ok();
        let phrase = phrase_of(&self.daemons[0]).expect("a frozen list has a phrase");
        for member in members {
            self.wait_until("a member is shown the list", |daemons| {
                phrase_of(&daemons[*member]).is_some()
            });
            let confirm = ["federation", "confirm", "--phrase", &phrase];
            self.program.run(&homes[*member], confirm).ok();
        }
    }

    fn homes(&self) -> Vec<PathBuf> {
        self.daemons.iter().map(|daemon| daemon.home.clone()).collect()
    }

    /// The owner's draft.
    ///
    /// # Panics
    /// If it is refused.
    pub fn new_draft(&self, terms: &Terms) {
        self.new_draft_under(terms, &[]);
    }

    /// The owner's draft, with further flags of `federation new`.
    ///
    /// # Panics
    /// If it is refused.
    pub fn new_draft_under(&self, terms: &Terms, flags: &[&str]) {
        let owner = &self.daemons[0].home;
        let file = self.folder.path().join("terms.toml");
        let dry = ["federation", "new", "--name", "test", "--dry-run", "--members"];
        let mut toml = self
            .program
            .run(
                owner,
                dry.iter().map(ToString::to_string).chain([terms.members.to_string()]).chain(
                    flags.iter().map(ToString::to_string).chain([
                        "--rounds".into(),
                        terms.rounds.to_string(),
                        "--steps".into(),
                        "1".into(),
                        "--batch".into(),
                        "2".into(),
                        "--seq".into(),
                        "64".into(),
                        "--rank".into(),
                        "2".into(),
                    ]),
                ),
            )
            .ok();
        for (key, value) in [
            ("commit_ms", terms.phase_ms * 2),
            ("transfer_ms", terms.phase_ms),
            ("view_ms", terms.phase_ms / 2),
            ("decrypt_ms", terms.phase_ms),
            ("round_ms", terms.phase_ms * 5),
        ] {
            toml = set_number(&toml, key, value);
        }
        std::fs::write(&file, toml).expect("the terms can be written");
        let file = file.display().to_string();
        self.program.run(owner, ["federation", "new", "--terms", &file]).ok();
    }

    /// Invites one member, which joins and expects exactly these daemons as members.
    ///
    /// # Panics
    /// If either is refused.
    pub fn join(&self, joiner: usize) {
        let file = expected(&self.program, self.folder.path(), &self.homes());
        let invite = self.program.run(&self.daemons[0].home, ["invite", "--quiet"]).ok();
        let join = ["join", "--yes", invite.trim(), "--expect", &file];
        self.program.run(&self.daemons[joiner].home, join).ok();
    }

    /// Polls until `condition` holds.
    ///
    /// # Panics
    /// If it does not hold within the limit; the message has the ends of all logs.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, condition: impl Fn(&[Daemon]) -> bool) {
        if !eventually(|| condition(&self.daemons)) {
            let logs: Vec<String> = self
                .daemons
                .iter_mut()
                .map(|daemon| {
                    let tail = daemon.tail();
                    format!("== {}\n{tail}", daemon.home.display())
                })
                .collect();
            panic!("waited in vain until {what}\n{}", logs.join("\n"));
        }
    }

    /// Waits until every daemon reports that all rounds are done.
    #[track_caller]
    pub fn wait_until_done(&mut self) {
        self.wait_until("all rounds are done", |daemons| {
            daemons
                .iter()
                .all(|daemon| daemon.status().is_some_and(|status| status.state == NodeState::Done))
        });
    }

    /// Starts a killed daemon again on its home.
    pub fn restart(&mut self, member: usize) {
        let home = self.daemons[member].home.clone();
        self.daemons[member] = Daemon::start(&self.program, &home);
    }

    /// The finished rounds of every member.
    pub fn rounds(&self) -> Vec<Vec<RoundReport>> {
        self.daemons.iter().map(Daemon::rounds).collect()
    }

    /// A folder that exists as long as the federation.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

/// Writes the list of expected members to `folder`: what `identity` prints for each of these homes.
/// Returns the file's path.
///
/// # Panics
/// If one has no identity.
pub fn expected(program: &Program, folder: &std::path::Path, homes: &[PathBuf]) -> String {
    let lines = homes.iter().map(|home| program.run(home, ["identity"]).ok());
    let file = folder.join("expected.txt");
    std::fs::write(&file, lines.collect::<String>()).expect("the list can be written");
    file.display().to_string()
}

/// The phrase of the list that a node is shown.
pub fn phrase_of(daemon: &Daemon) -> Option<String> {
    daemon.status()?.federation?.phrase
}

/// Makes a home as a user would, with a fixed port of its own: if a node came back at another
/// address, only the nodes that it dials itself could reach it.
///
/// # Panics
/// If `init` fails.
pub fn make_home(program: &Program, home: &std::path::Path, name: &str, data: &std::path::Path) {
    let model = Work::model();
    let mut args: Vec<std::ffi::OsString> =
        ["init", "--no-passphrase", "--name", name, "--listen"].map(Into::into).to_vec();
    args.push(format!("/ip4/127.0.0.1/tcp/{}", free_port()).into());
    args.extend(["--model".into(), model.into_os_string()]);
    args.extend(["--data".into(), data.as_os_str().to_owned()]);
    program.run(home, args).ok();
}

/// A port that nobody listens on, below the range of ephemeral ports, so that no other socket takes
/// it by accident while its node is down. Each test process begins elsewhere.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    let begin = std::process::id().wrapping_mul(397);
    loop {
        let offset = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = u16::try_from(FIRST + offset).expect("the range ends below 65536");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Polls `condition` until it holds; false after a generous limit.
pub fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + LIMIT;
    while Instant::now() < end {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    false
}

/// Replaces the number behind `key = ` in TOML text.
fn set_number(toml: &str, key: &str, value: u64) -> String {
    let prefix = format!("{key} = ");
    let lines = toml.lines().map(|line| {
        if line.starts_with(&prefix) { format!("{prefix}{value}") } else { line.to_owned() }
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}
