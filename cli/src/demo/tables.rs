//! The result of a demo run, human-readable.

use std::collections::BTreeMap;

use fedshield_protocol::hidden::harmless_line;

use super::questions::Answers;
use super::report::{DemoMember, DemoReport};
use crate::command::rounds::{self, ON_THE_WIRE};
use crate::command::{compare, word};
use crate::screen::Colours;
use crate::table::{Table, facts};
use crate::units;

/// The order of the rows, along the path of one update; other words come last.
const WORDS: [&str; 23] = [
    "recovering",
    "waiting-for-quorum",
    "sync",
    "load-model",
    "train",
    "prune",
    "encode",
    "encrypt",
    "commit",
    "transfer",
    "ciphertext",
    "share",
    "aggregate",
    "certify",
    "partial",
    "key",
    "decrypt",
    "combine",
    "apply",
    "record",
    "adapter",
    "messages",
    ON_THE_WIRE,
];

/// The whole report as text.
#[must_use]
pub fn render(report: &DemoReport, colours: Colours) -> String {
    let mut text = String::new();
    let mut section = |heading: &str, body: String| {
        text.push_str(&format!("\n{}\n{body}", colours.strong(heading)));
    };
    section("What joining was worth", headlines(report));
    section("Loss (nats per token, each member on its own data)", losses(report, colours));
    section("Rounds", rounds::render(&report.rounds, colours));
    section("Bytes and seconds, all rounds", phases(report, colours));
    if let Some(ratio) = report.update_ratio {
        let plain = report.members.iter().map(|member| member.update_bytes_f32).sum();
        let sent = report.members.iter().map(|member| member.sent_bytes).sum();
        section(
            "Size of the updates",
            format!(
                "{} pruned as f32, {} encrypted: ratio {ratio:.3}\n",
                units::bytes(plain),
                units::bytes(sent)
            ),
        );
    }
    if let Some(answers) = &report.questions {
        section("Fixed questions", questions(answers));
    } else if let Some(answers) = report.members.iter().find_map(answers_of) {
        section("Some answers", answers);
    }
    let verdict = if report.verified {
        colours.good("verified offline; all members have the same adapter after every round")
    } else {
        colours.bad("NOT verified")
    };
    section(
        "Result",
        format!(
            "adapter  {}\nledger   {}\n         {verdict}\ntime     {} for the rounds, {} in all\n",
            report.adapter.display(),
            report.ledger.display(),
            units::seconds(report.federation_seconds),
            units::seconds(report.total_seconds)
        ),
    );
    text
}

fn losses(report: &DemoReport, colours: Colours) -> String {
    let mut table = Table::new(&[
        "member",
        ">base",
        ">alone",
        ">common",
        ">best",
        "which",
        ">against base",
        ">against alone",
    ]);
    for member in &report.members {
        let loss = member.held_out_loss;
        table.row([
            member.name.clone(),
            units::loss(Some(loss.base)),
            units::loss(loss.alone),
            units::loss(Some(loss.common)),
            units::loss(Some(loss.best)),
            word(&loss.best_is),
            units::change(Some(loss.base), Some(loss.best)),
            units::change(loss.alone, Some(loss.best)),
        ]);
    }
    table.render(colours)
}

/// Traffic and time of one phase or purpose in all rounds.
#[derive(Default)]
struct PhaseSum {
    /// Bytes, of one member on average.
    sent: f64,
    received: f64,
    /// Of the slowest member.
    seconds: f64,
}

/// Bytes of one member on average and seconds of the slowest one, by the words of the protocol.
fn phases(report: &DemoReport, colours: Colours) -> String {
    let mut rows: BTreeMap<(usize, String), PhaseSum> = BTreeMap::new();
    let members = report.members.len().max(1) as f64;
    let mut add = |word: &String, part: PhaseSum| {
        let order = WORDS.iter().position(|known| known == word).unwrap_or(WORDS.len());
        let sum = rows.entry((order, word.clone())).or_default();
        sum.sent += part.sent;
        sum.received += part.received;
        sum.seconds += part.seconds;
    };
    for member in &report.members {
        for (word, count) in &member.bytes_sent {
            add(word, PhaseSum { sent: *count as f64 / members, ..PhaseSum::default() });
        }
        for (word, count) in &member.bytes_received {
            add(word, PhaseSum { received: *count as f64 / members, ..PhaseSum::default() });
        }
    }
    for (word, seconds) in report.rounds.iter().flat_map(|round| &round.seconds) {
        add(word, PhaseSum { seconds: *seconds, ..PhaseSum::default() });
    }
    let mut table = Table::new(&["phase", ">sent by a member", ">received", ">slowest member"]);
    let dash = |value: f64, text: String| if value > 0.0 { text } else { "-".into() };
    for ((_, word), PhaseSum { sent, received, seconds }) in rows {
        if sent + received + seconds == 0.0 {
            continue;
        }
        let word = if word == ON_THE_WIRE { "all on the wire".to_owned() } else { word };
        table.row([
            word,
            dash(sent, units::bytes(sent.round() as u64)),
            dash(received, units::bytes(received.round() as u64)),
            dash(seconds, units::seconds(seconds)),
        ]);
    }
    table.render(colours)
}

/// Each member's headline.
fn headlines(report: &DemoReport) -> String {
    let width = report.members.iter().map(|member| member.name.len()).max().unwrap_or(0);
    let line = |member: &DemoMember| {
        format!("{:width$}  {}\n", harmless_line(&member.name), member.headline)
    };
    report.members.iter().map(line).collect()
}

/// The questions that are shown, with what was expected, and how many answers were right.
fn questions(answers: &Answers) -> String {
    // A model may emit anything, escape sequences included.
    let line = |text: &str| harmless_line(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    let mut text = String::new();
    for sample in &answers.samples {
        let common = sample.adapted.first().map_or_else(String::new, |answer| line(answer));
        let list = [
            ("question", line(&sample.question)),
            ("expected", line(&sample.reference)),
            ("base", line(&sample.base)),
            ("common", common),
        ];
        text.push_str(&format!("{}\n", facts(Colours::none(), &list)));
    }
    let Answers { asked, base, common, .. } = answers;
    text.push_str(&format!(
        "Of {asked} answers {} have every number, code and name that was expected ({} of the base), {} are as \
         expected to the letter ({}).\n",
        common.particulars, base.particulars, common.letter, base.letter
    ));
    text
}

fn answers_of(member: &DemoMember) -> Option<String> {
    let texts: Vec<String> =
        member.samples.iter().map(|sample| compare::sample(sample, Colours::none())).collect();
    let name = harmless_line(&member.name);
    (!texts.is_empty()).then(|| format!("at {name}\n{}", texts.join("\n")))
}

#[cfg(test)]
mod tests {
    use fedshieldd::offline::SampleAnswers;

    use super::super::questions::Right;
    use super::super::report::{agreed_rounds, tests::outcome, update_ratio};
    use super::*;

    #[test]
    fn the_tables_have_all_their_rows() {
        let outcomes = [outcome("bank", &[1, 2]), outcome("farm", &[1, 2])];
        let rounds = agreed_rounds(&outcomes).unwrap();
        let members: Vec<DemoMember> = outcomes.into_iter().map(Into::into).collect();
        let report = DemoReport {
            update_ratio: update_ratio(&members),
            rounds,
            members,
            ledger: "/out/ledger".into(),
            adapter: "/out/adapter".into(),
            verified: true,
            questions: None,
            federation_seconds: 61.0,
            total_seconds: 125.0,
        };
        let text = render(&report, Colours::none());
        for part in [
            "bank    5.0000  1.8000  1.5000  1.5000  common        -70.0%         -16.7%",
            "0  applied  01010101  bank, farm    farm       1.5000         -     -  1.40 kB   2.80 kB",
            "ciphertext           1.40 kB   2.80 kB               -",
            "bank  joining: 17% better than alone on your own data",
            "ratio 0.700",
            "/out/ledger",
            "2 min 05 s in all",
        ] {
            assert!(text.contains(part), "`{part}` is missing in\n{text}");
        }
    }

    #[test]
    fn questions_are_shown_with_what_was_expected_and_cannot_steer_the_terminal() {
        let sample = SampleAnswers {
            question: "who?".into(),
            reference: "a\nb".into(),
            base: "\u{1b}]0;owned\u{7}".into(),
            adapted: vec!["\u{9b}2Jyes".into()],
        };
        let right = Right { particulars: 7, letter: 3 };
        let (asked, base) = (10, Right::default());
        let answers = Answers { asked, base, common: right, samples: vec![sample] };
        let text = questions(&answers);
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{9b}']), "{text:?}");
        assert!(text.contains("expected  a b\n"), "{text}");
        assert!(text.contains("Of 10 answers 7 have every number"));
    }
}
