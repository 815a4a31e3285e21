//! How a federation and its terms are rendered.

use fedshield_protocol::hidden::harmless_line;
use fedshield_protocol::ids::Digest;
use fedshield_protocol::manifest::{Evaluation, Member, Stop, TermsFields, Weights};
use fedshieldd::conditions::date_and_clock;
use fedshieldd::control::api::{DataSummary, FederationView};
use fedshieldd::terms::{MOST_PASSES, passes};

use super::super::word;
use super::confirm::{lines, list as members};
use super::learner;
use crate::screen::Colours;
use crate::table::facts;
use crate::units;

/// The draft or manifest as text.
pub(super) fn render(view: &FederationView, colours: Colours) -> String {
    let state = match (view.frozen, view.founded) {
        (_, true) => colours.good("founded"),
        (true, false) if view.confirmed => colours.odd("frozen and confirmed here"),
        (true, false) => colours.odd("frozen, not confirmed here: `federation confirm`"),
        (false, false) => colours.odd("draft, open for members"),
    };
    let id = view.summary.id.map_or_else(
        || format!("{} (founding id)", view.summary.founding_id.short()),
        |id| id.to_string(),
    );
    let name = harmless_line(&view.summary.name);
    let mut list = vec![("federation", name), ("state", state), ("id", id)];
    if let Some(digest) = view.summary.manifest_digest {
        list.push(("manifest", digest.to_string()));
    }
    list.push(("members", units::names(&view.summary.members)));
    if view.frozen && !view.founded {
        if let Some(at) = view.frozen_at_s {
            list.push(("final since", date_and_clock(at)));
        }
        list.push(("confirmed", units::names(&view.summary.signed)));
        list.push(("not confirmed", colours.odd(&units::names(&view.summary.unsigned()))));
        list.extend(view.differences.iter().map(|it| ("not expected", colours.bad(it))));
    }
    if !view.returning.is_empty() {
        list.push(("not back yet", colours.odd(&units::names(&view.returning))));
    }
    let (terms, base_model) = (view.listing.terms(), view.listing.base_model());
    list.extend(terms_facts(&terms, base_model, view.listing.members()));
    list.extend(view.data.iter().flat_map(|data| data_facts(data, &terms, colours)));
    let mut text = facts(colours, &list);
    if let Some(phrase) = &view.summary.phrase {
        if !view.founded {
            text.push_str(&format!("\n{}", members(view, colours)));
        }
        text.push_str(&format!("\n{}", lines(phrase, colours)));
    }
    text
}

/// What this node trains on under the terms, as label and value.
#[must_use]
pub fn data_facts(
    data: &DataSummary,
    terms: &TermsFields,
    colours: Colours,
) -> Vec<(&'static str, String)> {
    let examples = |count: usize| units::count(count as u64, "example");
    let cut = match (data.truncated, data.dropped) {
        (0, 0) => String::new(),
        (cut, 0) => format!("; {cut} cut to the longest sequence"),
        (cut, dropped) => {
            let left = examples(dropped);
            format!("; {cut} cut to the longest sequence, of which {left} have no answer left")
        }
    };
    let held_out = data.held_out;
    let test = if data.test > 0 { format!(", {} for the test", data.test) } else { String::new() };
    let trained = format!(
        "{} to train on, {held_out} held out{test}, {} tokens at most{cut}",
        examples(data.examples),
        data.longest
    );
    let mut list = vec![("data here", trained), passes_fact(terms, data.examples as u64, colours)];
    if data.skipped > 0 {
        let lines = units::count(data.skipped as u64, "line");
        let first = data.skipped_first.first().map(String::as_str).unwrap_or_default();
        let text = harmless_line(&format!("{lines}, the first: {first}"));
        list.push(("left out", colours.odd(&text)));
    }
    if !data.unknown.is_empty() {
        let fields = data.unknown.iter().map(|(name, count)| format!("{name} ({count})"));
        let fields = fields.collect::<Vec<_>>().join(", ");
        list.push(("unknown fields", colours.odd(&harmless_line(&fields))));
    }
    list
}

/// How often the rounds train on each example, as label and value.
#[must_use]
pub(super) fn passes_fact(
    terms: &TermsFields,
    examples: u64,
    colours: Colours,
) -> (&'static str, String) {
    let passes = passes(terms, examples);
    let text = format!("all rounds train on each example {passes:.1} times");
    let shown = match passes > MOST_PASSES {
        false => text,
        true => colours.odd(&format!(
            "{text}: above {MOST_PASSES:.0} an adapter learns them by heart, so take fewer rounds \
             or steps, or smaller batches"
        )),
    };
    ("passes", shown)
}

/// The terms as label and value, for founders who have to agree to them, with the base model's
/// digest and the members so far.
#[must_use]
pub fn terms_facts(
    terms: &TermsFields,
    base_model: Digest,
    members: &[Member],
) -> Vec<(&'static str, String)> {
    let (training, pruning, adapter) = (&terms.training, &terms.pruning, &terms.adapter);
    let minutes = |ms: u64| units::seconds(ms as f64 / 1000.0);
    vec![
        ("base model", base_model.to_string()),
        ("rounds", format!("{}, each {} steps", terms.rounds, training.steps_per_round)),
        (
            "training",
            format!(
                "{}, batch {}, sequence {}, learning rate {} to {}{}, template {}, template date {}",
                word(&training.algorithm),
                training.batch_size,
                training.sequence_length,
                training.learning_rate.get(),
                training.learning_rate_final.get(),
                learner::options(training),
                harmless_line(&training.template),
                harmless_line(terms.template_date.as_deref().unwrap_or("2024-07-26"))
            ),
        ),
        (
            "adapter",
            format!(
                "rank {}, alpha {}{}, {}{}",
                adapter.rank,
                adapter.alpha,
                if adapter.rslora { " over the root of the rank (rsLoRA)" } else { "" },
                harmless_line(&adapter.target_modules.join(" ")),
                adapter.first.map_or_else(String::new, |first| format!(", starts from {first}"))
            ),
        ),
        (
            "pruning",
            format!(
                "{}, {:.0}% to {:.0}%, rounds {} to {}",
                word(&pruning.rule),
                pruning.initial.get() * 100.0,
                pruning.last.get() * 100.0,
                pruning.start_round,
                pruning.end_round
            ),
        ),
        ("server", learner::server(terms.server_optimizer)),
        ("encryption", harmless_line(&terms.encryption.preset)),
        (
            "opened sums",
            match terms.min_contributors {
                None => "of a quorum of the members, at least 3".to_owned(),
                Some(least) => format!("of {least} updates or more"),
            },
        ),
        (
            "committee",
            match terms.committee_size {
                None => "as many members as tolerate a third of faulty ones".to_owned(),
                Some(size) => units::count(u64::from(size), "member"),
            },
        ),
        ("weights", weights(terms, members)),
        ("evaluation", evaluation(terms.evaluation).to_owned()),
        ("ends early", stop(terms.stop)),
        ("round timer", minutes(terms.deadlines.round_ms)),
    ]
}

/// What members measure together, for founders who have to agree to it.
const fn evaluation(evaluation: Evaluation) -> &'static str {
    match evaluation {
        Evaluation::Off => "off: each member measures for itself",
        Evaluation::Mean => {
            "mean: all learn the mean of the members' losses in each round; takes 16 held-out \
             examples of each"
        }
    }
}

/// When the training ends before its last round.
fn stop(stop: Option<Stop>) -> String {
    stop.map_or_else(
        || "never".to_owned(),
        |Stop { after, fall }| {
            format!(
                "when a quorum of the members have not improved for {}; then {} more, at a falling \
                 learning rate",
                units::count(u64::from(after), "round"),
                units::count(u64::from(fall), "round")
            )
        },
    )
}

/// The weight of each member's update, for the members that are known.
fn weights(terms: &TermsFields, members: &[Member]) -> String {
    match terms.weights {
        Some(Weights::Equal) => "equal: one for each member".to_owned(),
        Some(Weights::Declared) => {
            let of = |member: &Member| format!("{} {}", harmless_line(&member.name), member.weight);
            let each: Vec<String> = members.iter().map(of).collect();
            let all: u64 = members.iter().map(|member| u64::from(member.weight)).sum();
            match each.is_empty() {
                true => format!("declared by each member, 1 to {}", terms.weight_cap),
                false => {
                    format!("declared, 1 to {}: {} of {all}", terms.weight_cap, each.join(", "))
                }
            }
        }
        None => "those of an earlier version: cannot be trained on with".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use fedshield_protocol::ids::IdentityKey;

    use super::*;
    use crate::terms::{TermsFlags, TermsPreset, terms};

    #[test]
    fn the_terms_name_everything_a_member_agrees_to() {
        let terms = terms("t", TermsPreset::Paper, 4, &TermsFlags::default()).unwrap();
        let text = facts(Colours::none(), &terms_facts(&terms, Digest([1; 32]), &[]));
        for part in [
            "rank 32, alpha 64",
            "batch 16, sequence 512",
            "0.00005 to 0.000001",
            "20% to 50%",
            "template date 20",
            "off: each member measures for itself",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }

    #[test]
    fn weights_are_shown_with_the_members_before_any_founder_signs() {
        let flags = TermsFlags {
            weights: Some(crate::terms::WeightsName::Declared),
            weight_cap: Some(500),
            ..TermsFlags::default()
        };
        let declared = terms("t", TermsPreset::Paper, 4, &flags).unwrap();
        assert_eq!(weights(&declared, &[]), "declared by each member, 1 to 500");
        let member = |name: &str, weight| Member {
            name: name.into(),
            identity_key: IdentityKey([1; 32]),
            sealing_key: vec![1],
            addresses: vec![],
            weight,
        };
        let members = [member("bank", 300), member("clinic", 20)];
        assert_eq!(weights(&declared, &members), "declared, 1 to 500: bank 300, clinic 20 of 320");
        let equal = terms("t", TermsPreset::Paper, 4, &TermsFlags::default()).unwrap();
        assert_eq!(weights(&equal, &[]), "equal: one for each member");
        let cap = TermsFlags { weight_cap: Some(5), ..TermsFlags::default() };
        assert!(terms("t", TermsPreset::Paper, 4, &cap).is_err());
    }

    #[test]
    fn the_data_of_this_node_are_shown_with_what_is_left_out_of_them() {
        let mut data =
            DataSummary { examples: 1, held_out: 2, longest: 64, ..DataSummary::default() };
        let terms = terms("t", TermsPreset::Small, 4, &TermsFlags::default()).unwrap();
        let shown =
            |data: &DataSummary| facts(Colours::none(), &data_facts(data, &terms, Colours::none()));
        let plain = "data here  1 example to train on, 2 held out, 64 tokens at most\n";
        assert!(shown(&data).starts_with(plain), "{}", shown(&data));
        assert!(shown(&data).contains("800.0 times: above 10"), "{}", shown(&data));
        data.examples = 100;
        assert!(shown(&data).contains("each example 8.0 times\n"), "{}", shown(&data));
        (data.truncated, data.dropped, data.skipped) = (5, 3, 2);
        data.skipped_first = vec!["a.jsonl:7: no \u{1b}[2J".to_owned()];
        data.unknown = [("mood\u{202e}".to_owned(), 4)].into();
        let text = shown(&data);
        assert!(text.contains("5 cut to the longest sequence, of which 3 examples"), "{text}");
        assert!(
            text.contains("left out        2 lines, the first: a.jsonl:7: no \u{fffd}[2J"),
            "{text}"
        );
        assert!(text.contains("mood\u{fffd} (4)"), "{text}");
    }

    #[test]
    fn terms_of_others_cannot_steer_the_terminal() {
        let terms = terms("t", TermsPreset::Paper, 4, &TermsFlags::default()).unwrap();
        let mut terms = terms.into_fields();
        terms.training.template = "chatml\u{1b}[2J".into();
        terms.adapter.target_modules = vec!["q\u{202e}".into()];
        terms.encryption.preset = "\u{9b}2J\nverified".into();
        let text = facts(Colours::none(), &terms_facts(&terms, Digest([1; 32]), &[]));
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{text:?}");
        assert!(text.contains("\u{fffd}2J\u{fffd}verified\n"), "{text}");
    }
}
