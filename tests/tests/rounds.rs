//! A federation of four real daemons, from invites to a verified ledger.

use std::path::Path;

use fedshield_tests::{Federation, Program, Terms};
use fedshieldd::control::api::RoundOutcome;

/// Names of secrets that belong to no round: what was left out of updates, and the adapters that a
/// member makes for itself.
const KEPT: [&str; 5] = ["wrapping-keys", "local-memory", "personal", "alone", "best-adapter"];

/// Of the rounds a home holds no secret any more, and no sealed share or ciphertext: two adapters,
/// one sum, its key, four answers at most.
fn nothing_is_left(home: &Path) -> bool {
    let names = |folder: &str| -> Vec<String> {
        let entries = std::fs::read_dir(home.join(folder)).expect("the folder is there");
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string());
        names.map(|name| name.expect("a name")).collect()
    };
    let keys = std::fs::read(home.join("secrets/wrapping-keys")).expect("the file is there");
    let secrets = names("secrets");
    let objects = names("objects");
    let objects = objects.iter().filter(|name| name.len() == 64).count();
    keys.iter().all(|byte| *byte == 0)
        && secrets.iter().all(|name| KEPT.contains(&name.as_str()))
        && objects <= 8
}

#[test]
fn four_organisations_end_with_one_adapter_and_a_ledger_that_verifies() {
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let mut federation = Federation::found(&program, &Terms::default());
    federation.wait_until_done();
    federation.wait_until("the secrets of all rounds are erased", |daemons| {
        daemons.iter().all(|daemon| nothing_is_left(&daemon.home))
    });

    let rounds = federation.rounds();
    for reports in &rounds {
        assert_eq!(reports.len(), rounds[0].len());
        for (own, first) in reports.iter().zip(&rounds[0]) {
            assert_eq!(own.outcome, RoundOutcome::Applied);
            assert_eq!(own.adapter_digest, first.adapter_digest);
            assert_eq!(own.contributors.len(), 4);
        }
    }

    let folder = federation.folder().join("history");
    let owner = federation.daemons[0].home.clone();
    let path = folder.display().to_string();
    program.run(&owner, ["ledger", "export", &path]).ok();
    let ledger = folder.join("ledger.fsl");
    let file = ledger.display().to_string();
    program.run(&owner, ["ledger", "verify", &file]).ok();

    let mut bytes = std::fs::read(&ledger).expect("the ledger is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&ledger, bytes).expect("the ledger can be written");
    let run = program.run(&owner, ["ledger", "verify", &file]);
    assert_eq!(run.code, 50, "{run:?}");
    assert!(run.err.contains("record"), "{}", run.err);

    let adapter = federation.folder().join("adapter").display().to_string();
    program.run(&owner, ["adapter", "export", &adapter]).ok();
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        assert!(federation.folder().join("adapter").join(file).is_file(), "{file}");
    }
}
