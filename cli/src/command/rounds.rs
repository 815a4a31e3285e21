//! `rounds`: the finished rounds as this node saw them.

use std::collections::BTreeMap;

use clap::Args;
use fedshieldd::control::api::RoundReport;
use fedshieldd::home::Home;
use fedshieldd::offline::OfflineHome;

use super::{JsonFlag, word};
use crate::connection;
use crate::failure::Failure;
use crate::offline;
use crate::screen::{Colours, Screen};
use crate::table::Table;
use crate::units;

/// Arguments of `rounds`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  fedshield-cli rounds
  fedshield-cli rounds --traffic        bytes and seconds by phase
  fedshield-cli rounds --json | jq '.[-1].adapter_digest'")]
pub struct RoundsArgs {
    /// Show the last N only
    #[arg(long, value_name = "N")]
    pub last: Option<usize>,
    /// Show bytes sent and received and seconds, by phase
    #[arg(long)]
    pub traffic: bool,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

/// Runs `rounds`.
///
/// # Errors
/// If no daemon answers and the home holds nothing.
pub async fn run(args: &RoundsArgs, home: &Home) -> Result<(), Failure> {
    let screen = Screen::new(args.json.json);
    let answer = connection::to(home).rounds().await;
    let mut rounds = offline::or_home(answer, home, &screen, OfflineHome::rounds)?;
    if let Some(last) = args.last {
        rounds.drain(..rounds.len().saturating_sub(last));
    }
    screen.answer(&rounds, |rounds, colours| {
        if rounds.is_empty() {
            "no round has finished yet\n".to_owned()
        } else if args.traffic {
            traffic(rounds, colours)
        } else {
            render(rounds, colours)
        }
    })
}

/// One line for each round.
pub(crate) fn render(rounds: &[RoundReport], colours: Colours) -> String {
    let headings = [
        ">round",
        "outcome",
        "adapter",
        "contributors",
        "committee",
        ">loss",
        ">held-out",
        ">mean",
        ">sent",
        ">received",
        ">time",
    ];
    let mut table = Table::new(&headings);
    for round in rounds {
        table.row([
            round.round.to_string(),
            word(&round.outcome),
            round.adapter_digest.map_or_else(|| "-".into(), |digest| digest.short()),
            units::names(&round.contributors),
            units::names(&round.committee),
            units::loss(round.train_loss),
            units::loss(round.held_out_loss),
            units::mean_loss(round.mean_loss.as_ref()),
            units::bytes(on_the_wire(&round.bytes)),
            units::bytes(on_the_wire(&round.bytes_in)),
            units::seconds(round.seconds.values().sum()),
        ]);
    }
    table.render(colours)
}

/// The word under which all bytes on the wire are counted; the other words are parts of it.
pub const ON_THE_WIRE: &str = "transport";

/// All bytes on the wire: the parts and the transport's overhead.
#[must_use]
pub fn on_the_wire(bytes: &BTreeMap<String, u64>) -> u64 {
    bytes.get(ON_THE_WIRE).copied().unwrap_or_else(|| bytes.values().sum())
}

fn traffic(rounds: &[RoundReport], colours: Colours) -> String {
    let mut bytes: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let mut times: BTreeMap<&str, f64> = BTreeMap::new();
    for round in rounds {
        for (purpose, count) in &round.bytes {
            bytes.entry(purpose).or_default().0 += count;
        }
        for (purpose, count) in &round.bytes_in {
            bytes.entry(purpose).or_default().1 += count;
        }
        for (phase, value) in &round.seconds {
            *times.entry(phase).or_default() += value;
        }
    }
    let mut table = Table::new(&["bytes", ">sent", ">received"]);
    for (purpose, (sent, received)) in bytes {
        table.row([purpose.to_owned(), units::bytes(sent), units::bytes(received)]);
    }
    let mut text = table.render(colours);
    let mut table = Table::new(&["phase", ">time"]);
    for (phase, value) in times {
        table.row([phase.to_owned(), units::seconds(value)]);
    }
    text.push('\n');
    text.push_str(&table.render(colours));
    let plain: u64 = rounds.iter().map(|round| round.update_bytes_f32).sum();
    let sent: u64 = rounds.iter().map(|round| round.sent_bytes).sum();
    if plain > 0 {
        text.push_str(&format!(
            "\nown updates: {} as f32, {} encrypted, ratio {:.3}\n",
            units::bytes(plain),
            units::bytes(sent),
            sent as f64 / plain as f64
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use fedshield_protocol::ids::{Digest, Round};
    use fedshieldd::control::api::RoundOutcome;

    use super::*;

    fn report() -> RoundReport {
        RoundReport {
            round: Round(3),
            outcome: RoundOutcome::Applied,
            adapter_digest: Some(Digest([0xcd; 32])),
            contributors: vec!["bank".into(), "farm".into(), "court".into()],
            committee: vec!["bank".into()],
            bytes: BTreeMap::from([
                ("ciphertext".into(), 2_000_000),
                ("share".into(), 32_768),
                ("transport".into(), 2_100_000),
            ]),
            bytes_in: BTreeMap::from([("ciphertext".into(), 1_000_000)]),
            seconds: BTreeMap::from([("train".into(), 12.0), ("transfer".into(), 0.5)]),
            train_loss: Some(2.5),
            held_out_loss: None,
            mean_loss: None,
            update_bytes_f32: 4_000_000,
            sent_bytes: 2_800_000,
        }
    }

    #[test]
    fn a_round_is_one_line() {
        let text = render(&[report()], Colours::none());
        let line = text.lines().nth(1).unwrap();
        for part in ["3", "applied", "cdcdcdcd", "bank, farm, court", "2.5000", "2.10 MB", "12.5 s"]
        {
            assert!(line.contains(part), "{part} is missing in {line}");
        }
    }

    #[test]
    fn traffic_adds_up_over_rounds_and_says_the_ratio() {
        let text = traffic(&[report(), report()], Colours::none());
        assert!(text.contains("ciphertext  4.00 MB   2.00 MB"), "{text}");
        assert!(text.contains("train     24.0 s"), "{text}");
        assert!(text.contains("ratio 0.700"), "{text}");
    }
}
