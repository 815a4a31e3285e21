//! Homes of the version before message format 3 continue: one of a finished federation, and the
//! four of a federation that was killed in the middle of a vote (`daemon/tests/homes`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fedshield_protocol::ids::Round;
use fedshield_protocol::wire::Decision;
use fedshield_protocol::wire::journal::{Entry, Note};
use fedshield_tests::{Daemon, Program, Work, eventually, make_home};
use fedshieldd::control::api::{NodeState, RoundOutcome};
use fedshieldd::home::Home;
use fedshieldd::journal::Journal;

/// The round in which the unfinished federation was killed.
const KILLED_IN: Round = Round(8);
/// Two of its members had seen a quorum of prevotes for the outcome, and no decision.
const LOCKED: [usize; 2] = [1, 3];

/// Unpacks stored homes into `folder`.
fn unpack(archive: &str, folder: &Path) -> PathBuf {
    let archive_file = stored().join(format!("{archive}.tar.gz"));
    let unpacked = Command::new("tar").arg("-xzf").arg(archive_file).arg("-C").arg(folder).status();
    assert!(unpacked.is_ok_and(|it| it.success()), "this test needs the programs tar and gzip");
    folder.join(archive)
}

/// The configuration of member `index`, which the stored homes do not have because it names places
/// of the machine; with the base that shipped then.
fn configure(program: &Program, home: &Path, folder: &Path, index: usize) {
    let scratch = folder.join(format!("scratch-{index}"));
    make_home(program, &scratch, &format!("m{index}"), &Work::domains()[index]);
    let config = fs::read_to_string(Home::new(&scratch).config()).expect("it was written");
    let ships = Work::model().canonicalize().expect("the model is there").display().to_string();
    assert!(config.contains(&ships), "{config}");
    let config = config.replace(&ships, &stored().join("base").display().to_string());
    fs::write(Home::new(home).config(), config).expect("it can be written");
}

fn stored() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../daemon/tests/homes/version-2")
}

/// The multiaddress that the configuration of a home listens on.
fn listens_on(home: &Path) -> String {
    let config = fs::read_to_string(Home::new(home).config()).expect("it was written");
    let line = config.lines().find(|line| line.starts_with("listen = ")).expect("it listens");
    line.split('"').nth(1).expect("an address").to_owned()
}

#[test]
fn a_home_of_a_finished_federation_is_shown_verified_and_exported() {
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let folder = tempfile::tempdir().expect("a folder can be made");
    let home = unpack("finished", folder.path()).join("m1");
    configure(&program, &home, folder.path(), 1);
    let looks = |when: &str| {
        let verified = program.run(&home, ["ledger", "verify"]).ok();
        assert!(verified.contains("verified"), "{when}: {verified}");
        let shown = program.run(&home, ["ledger", "show"]).ok();
        assert!(shown.contains("m0") && shown.contains("m3"), "{when}: {shown}");
        let rounds = program.run(&home, ["rounds", "--json"]).ok();
        assert_eq!(rounds.matches("\"applied\"").count(), 3, "{when}: {rounds}");
        let adapter = folder.path().join(format!("adapter-{when}"));
        program.run(&home, ["adapter", "export", &adapter.display().to_string()]).ok();
        fs::read(adapter.join("adapter_model.safetensors")).expect("it was exported")
    };
    let before = looks("stopped");
    let mut daemon = Daemon::start(&program, &home);
    let done = || daemon.status().is_some_and(|status| status.state == NodeState::Done);
    assert!(eventually(done), "{}", daemon.tail());
    assert_eq!(daemon.rounds().len(), 3);
    assert_eq!(looks("running"), before);
    daemon.signal("TERM");
    assert_eq!(daemon.wait_within(Duration::from_secs(60)), Some(0));
    assert_eq!(looks("after"), before);
}

/// What the journal of a home says of the round in which it was killed: locked in the vote on the
/// outcome, decided it.
fn vote_in_progress(home: &Path) -> (bool, bool) {
    let (_, replay) = Journal::open(&Home::new(home).journal()).expect("the journal is read");
    let entries =
        replay.entries.iter().map(|stored| Entry::decode(&stored.bytes).expect("an entry"));
    let (mut locked, mut decided) = (false, false);
    for entry in entries.filter(|entry| entry.round == KILLED_IN) {
        match entry.note {
            Note::Voting { decision: Decision::Outcome, state, .. } => {
                locked |= state.locked.is_some();
            }
            Note::Decided(it) => decided |= it.certificate.decision == Decision::Outcome,
            _ => {}
        }
    }
    (locked, decided)
}

#[test]
fn members_that_were_killed_in_the_middle_of_a_vote_end_their_round_with_the_present_version() {
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let folder = tempfile::tempdir().expect("a folder can be made");
    let unfinished = unpack("unfinished", folder.path());
    let homes: Vec<PathBuf> = (0..4).map(|index| unfinished.join(format!("m{index}"))).collect();
    for (index, home) in homes.iter().enumerate() {
        assert_eq!(vote_in_progress(home), (LOCKED.contains(&index), false), "m{index}");
        configure(&program, home, folder.path(), index);
    }
    // The manifest names the ports that the members had then.
    let addresses: Vec<String> = homes.iter().map(|home| listens_on(home)).collect();
    for (own, home) in homes.iter().enumerate() {
        let others = addresses.iter().enumerate().filter(|(index, _)| *index != own);
        let lines = others.map(|(index, address)| format!("m{index} = [\"{address}\"]\n"));
        let file = Home::new(home).config();
        let config = fs::read_to_string(&file).expect("it was written");
        let peers = lines.collect::<String>();
        fs::write(&file, format!("{config}\n[peers]\n{peers}")).expect("it can be written");
    }
    let mut daemons: Vec<Daemon> = homes.iter().map(|home| Daemon::start(&program, home)).collect();
    let enough = usize::try_from(KILLED_IN.0).expect("a small number") + 3;
    let go_on = eventually(|| daemons.iter().all(|daemon| daemon.rounds().len() >= enough));
    let tails: Vec<String> = daemons.iter_mut().map(Daemon::tail).collect();
    assert!(go_on, "{}", tails.join("\n==\n"));
    for daemon in &daemons {
        let status = daemon.status().expect("it answers");
        assert_eq!(status.misbehaviour, Vec::<String>::new());
        // The round has ended with the value that they were locked on.
        let rounds = daemon.rounds();
        let ended = rounds.iter().find(|it| it.round == KILLED_IN).expect("the round has ended");
        assert_eq!(ended.outcome, RoundOutcome::Applied);
        program.run(&daemon.home, ["ledger", "verify"]).ok();
    }
    let ledgers: Vec<_> = daemons.iter().map(Daemon::ledger).collect();
    let shortest = ledgers.iter().map(Vec::len).min().expect("there are daemons");
    let records = |ledger: &[fedshield_protocol::wire::CertifiedRecord]| {
        ledger.iter().take(shortest).map(|it| it.record.clone()).collect::<Vec<_>>()
    };
    assert!(ledgers.iter().all(|ledger| records(ledger) == records(&ledgers[0])));
}
