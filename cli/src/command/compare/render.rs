//! A comparison as text: a headline, a table, some answers.

use fedshield_protocol::hidden::harmless_line;
use fedshieldd::control::api::{
    AdapterKind, AdapterLoss, AnswerScore, Evaluation, MeasuredOn, PairedDifference, Sample,
};

use crate::screen::Colours;
use crate::table::{Table, facts};
use crate::units;

/// The whole comparison.
pub(super) fn page(evaluation: &Evaluation, colours: Colours) -> String {
    let mut text = format!("{}\n\n", colours.strong(&evaluation.headline()));
    text.push_str(&losses(evaluation, colours));
    if let Some(seconds) = evaluation.alone_takes_s {
        let takes = units::seconds(seconds);
        text.push_str(&format!(
            "\nNo adapter was trained alone, because that takes about {takes}: `fedshield-cli compare --alone`.\n"
        ));
    }
    text.push_str(&format!("\n{}\n", measured(evaluation)));
    for answers in &evaluation.samples {
        text.push_str(&format!("\n{}", sample(answers, colours)));
    }
    text
}

/// The losses of base, alone, common and personal.
fn losses(evaluation: &Evaluation, colours: Colours) -> String {
    let answered = evaluation.common.answers.is_some();
    let mut columns = vec!["adapter", ">loss", ">against base", ">95% interval", ">validation"];
    columns.extend([">steps at home", ">rate"]);
    if answered {
        columns.extend([">exact answers", ">F1"]);
    }
    let mut table = Table::new(&columns);
    let none = String::new;
    let mut base = vec!["base".to_owned(), units::loss(Some(evaluation.base))];
    base.extend([none(), none(), none(), none(), none()]);
    let scored = |cells: &mut Vec<String>, answers: Option<AnswerScore>| {
        if answered {
            cells.extend(units::answers(answers));
        }
    };
    scored(&mut base, evaluation.base_answers);
    table.row(base);
    let mut row = |name: &str, kind: AdapterKind, loss: Option<AdapterLoss>| {
        let Some(loss) = loss else { return };
        let home = loss.steps > 0;
        let mut cells = vec![
            if evaluation.best == kind { format!("{name} (best)") } else { name.to_owned() },
            units::loss(Some(loss.loss)),
            units::change(Some(evaluation.base), Some(loss.loss)),
            units::interval(loss.against_base),
            units::loss(Some(loss.validation)),
            if home { loss.steps.to_string() } else { none() },
            if home { format!("{:.1e}", loss.learning_rate) } else { none() },
        ];
        scored(&mut cells, loss.answers);
        table.row(cells);
    };
    row("alone", AdapterKind::Alone, evaluation.alone);
    row("common", AdapterKind::Common, Some(evaluation.common));
    row("personal", AdapterKind::Personal, evaluation.personal);
    let mut text = table.render(colours);
    let lines: [(&str, Option<PairedDifference>); 2] =
        [("alone", evaluation.against_alone), ("base", evaluation.against_base)];
    for (name, difference) in lines {
        if let Some(difference) = difference {
            text.push_str(&format!("best against {name}: {}\n", units::difference(&difference)));
        }
    }
    text
}

fn measured(evaluation: &Evaluation) -> String {
    let examples = units::count(evaluation.examples, "example");
    let chosen = units::count(evaluation.validation_examples, "validation example");
    match evaluation.measured_on {
        MeasuredOn::Test => format!(
            "Losses are nats per response token on {examples} ({} tokens) that nothing was chosen by; \
             {chosen} chose rates, steps and the best.",
            evaluation.tokens
        ),
        MeasuredOn::File => format!(
            "Losses are nats per response token on {examples} ({} tokens) of the files; {chosen} of this \
             node chose rates, steps and the best. What was trained on flatters what was trained.",
            evaluation.tokens
        ),
        MeasuredOn::Validation => format!(
            "Losses are nats per response token on {chosen} ({} tokens), by which rates, steps and the \
             best were chosen: they flatter what was chosen. Set `data.test_fraction` for a part that \
             nothing is chosen by.",
            evaluation.tokens
        ),
    }
}

/// One question and its answers. A model may emit anything, escape sequences included.
#[must_use]
pub(crate) fn sample(sample: &Sample, colours: Colours) -> String {
    let line = |text: &str| harmless_line(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    let mut list = vec![
        ("question", line(&sample.prompt)),
        ("reference", line(&sample.reference)),
        ("base", line(&sample.base)),
    ];
    list.extend(sample.alone.as_ref().map(|alone| ("alone", line(alone))));
    list.push(("common", line(&sample.common)));
    if sample.best != sample.common {
        list.push(("best", line(&sample.best)));
    }
    facts(colours, &list)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn evaluation(best: AdapterKind, alone: f64, common: f64) -> Evaluation {
        let loss = |loss, steps| AdapterLoss {
            loss,
            against_base: None,
            answers: None,
            validation: loss,
            steps,
            learning_rate: 1e-3,
        };
        let sure = PairedDifference { mean: 0.5, standard_error: 0.05, low: 0.4, high: 0.6 };
        Evaluation {
            measured_on: MeasuredOn::Test,
            examples: 40,
            tokens: 800,
            validation_examples: 30,
            base: 5.0,
            base_answers: None,
            alone: Some(loss(alone, 100)),
            alone_takes_s: None,
            common: loss(common, 0),
            personal: Some(loss(common - 0.1, 12)),
            best,
            against_base: Some(sure),
            against_alone: Some(sure),
            samples: Vec::new(),
        }
    }

    #[test]
    fn the_headline_says_what_joining_was_worth() {
        let common = evaluation(AdapterKind::Common, 1.0, 0.62);
        assert_eq!(common.headline(), "joining: 38% better than alone on your own data");
        let personal = evaluation(AdapterKind::Personal, 1.0, 0.62);
        assert_eq!(personal.headline(), "joining: 48% better than alone on your own data");
        let alone = evaluation(AdapterKind::Alone, 0.5, 0.62).headline();
        assert!(alone.contains("not better than alone"), "{alone}");
        let mut doubtful = evaluation(AdapterKind::Common, 1.0, 1.1);
        doubtful.against_alone =
            Some(PairedDifference { mean: -0.1, standard_error: 0.2, low: -0.5, high: 0.3 });
        let text = doubtful.headline();
        assert!(text.contains("10% worse than alone") && text.contains("do not prove"), "{text}");
        (doubtful.alone, doubtful.alone_takes_s) = (None, Some(7200.0));
        let page = page(&doubtful, Colours::none());
        assert!(page.contains("about 120 min") || page.contains("2 h"), "{page}");
        assert!(doubtful.headline().contains("78% better than the base model"));
    }

    #[test]
    fn the_table_marks_the_best_and_says_what_was_measured() {
        let text = page(&evaluation(AdapterKind::Personal, 1.0, 0.62), Colours::none());
        assert!(
            text.contains("personal (best)") && text.contains("nothing was chosen by"),
            "{text}"
        );
        assert!(text.contains("best against alone: better (+0.5000"), "{text}");
        let mut flattering = evaluation(AdapterKind::Common, 1.0, 0.62);
        flattering.measured_on = MeasuredOn::Validation;
        assert!(page(&flattering, Colours::none()).contains("data.test_fraction"));
    }

    #[test]
    fn short_answers_have_columns_of_their_own() {
        let mut short = evaluation(AdapterKind::Common, 1.0, 0.62);
        assert!(!page(&short, Colours::none()).contains("exact answers"));
        short.common.answers = Some(AnswerScore { equal: 7, compared: 10, f1: 0.84 });
        short.measured_on = MeasuredOn::File;
        let text = page(&short, Colours::none());
        assert!(text.contains("exact answers") && text.contains("7 of 10"), "{text}");
        assert!(text.contains("0.840") && text.contains("of the files"), "{text}");
    }

    #[test]
    fn an_answer_cannot_steer_the_terminal() {
        let hostile = Sample {
            prompt: "who\u{202e}?".into(),
            reference: "a\nb".into(),
            base: "\u{1b}]0;owned\u{7}".into(),
            alone: Some("\u{9b}2J".into()),
            common: "c".into(),
            best: "\u{200b}".into(),
        };
        let text = sample(&hostile, Colours::none());
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}', '\u{200b}']), "{text:?}");
    }
}
