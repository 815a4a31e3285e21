//! Two of four members lose their ledgers, not their journals, within one long round: they fetch
//! the records from the others and continue where their journals left off. Nobody sits the round
//! out, and the federation continues.

use std::fs;
use std::time::Duration;

use fedshield_tests::{Federation, Program, Terms};
use fedshieldd::home::Home;

const LIMIT: Duration = Duration::from_secs(120);
const LOSERS: [usize; 2] = [1, 3];

#[test]
fn two_lost_ledgers_are_fetched_and_the_round_goes_on() {
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let terms = Terms { rounds: 1000, ..Terms::default() };
    let mut federation = Federation::found(&program, &terms);
    federation.daemons[0].wait_for_step(|step| step.round == 2 && step.word == "commit", LIMIT);
    for loser in LOSERS {
        federation.daemons[loser].kill();
        let home = Home::new(&federation.daemons[loser].home);
        fs::remove_file(home.ledger()).expect("it can be removed");
    }
    let before = federation.daemons[0].ledger().len();
    for loser in LOSERS {
        federation.restart(loser);
    }
    federation.wait_until("all of them end two more rounds", |daemons| {
        daemons.iter().all(|daemon| daemon.ledger().len() >= before + 2)
    });
    for daemon in &federation.daemons {
        let status = daemon.status().expect("it answers");
        assert_eq!(status.misbehaviour, Vec::<String>::new());
        assert_eq!(status.machine.and_then(|machine| machine.silent_through), None);
        program.run(&daemon.home, ["ledger", "verify"]).ok();
    }
}
