//! Human-readable numbers: with units, as many digits as are significant, the same everywhere.

use fedshield_protocol::hidden::harmless_line;
use fedshieldd::control::api::{AnswerScore, Condition, MeanLoss, PairedDifference};

/// Bytes in decimal units, three digits: `512 B`, `3.38 kB`, `1.20 MB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    if count < 1000 {
        return format!("{count} B");
    }
    let (mut value, mut unit) = (count as f64 / 1000.0, "kB");
    for larger in ["MB", "GB", "TB", "PB"] {
        if value < 999.5 {
            break;
        }
        (value, unit) = (value / 1000.0, larger);
    }
    format!("{} {unit}", three_digits(value))
}

/// Seconds: `0.31 s`, `12.3 s`, `4 min 05 s`, `1 h 02 min`, `3 d 04 h`.
#[must_use]
pub fn seconds(value: f64) -> String {
    if !value.is_finite() || value < 0.0 {
        return "-".into();
    }
    if value < 99.95 {
        return format!("{} s", three_digits(value));
    }
    let whole = value.round() as u64;
    match whole {
        0..3_600 => format!("{} min {:02} s", whole / 60, whole % 60),
        3_600..86_400 => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {:02} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// The time of day of a moment in seconds since 1970: `22:44:28 UTC`, the same in every
/// organisation.
#[must_use]
pub fn clock(unix_s: u64) -> String {
    fedshieldd::conditions::clock(unix_s)
}

/// A condition's message, until when it holds, and what to do.
#[must_use]
pub fn condition(condition: &Condition) -> String {
    let mut text = harmless_line(&condition.message);
    if let Some(until) = condition.until_unix_s {
        text.push_str(&format!(", until {} at most", clock(until)));
    }
    if let Some(hint) = &condition.hint {
        text.push_str(&format!(" ({})", harmless_line(hint)));
    }
    text
}

/// A loss in nats per token: `2.3456`; `-` if there is none.
#[must_use]
pub fn loss(value: Option<f64>) -> String {
    value.filter(|loss| loss.is_finite()).map_or_else(|| "-".into(), |loss| format!("{loss:.4}"))
}

/// The mean of the members' losses over the base model's: `0.4127`; `-` if there is none.
#[must_use]
pub fn mean_loss(mean: Option<&MeanLoss>) -> String {
    loss(mean.map(|mean| mean.ratio))
}

/// The same in full: `0.4127 of the base model's, over 4 members, before round 7`.
#[must_use]
pub fn mean_loss_in_full(mean: Option<&MeanLoss>) -> String {
    let text = |mean: &MeanLoss| {
        let members = count(u64::from(mean.members), "member");
        let ratio = loss(Some(mean.ratio));
        format!("{ratio} of the base model's, over {members}, before round {}", mean.round)
    };
    mean.map_or_else(|| "-".into(), text)
}

/// The interval of a difference, `0.412 to 0.655`.
#[must_use]
pub fn interval(difference: Option<PairedDifference>) -> String {
    difference.map_or_else(|| "-".into(), |it| format!("{:.3} to {:.3}", it.low, it.high))
}

/// How many answers equal the reference, and the mean F1 of their words: `7 of 10`, `0.842`.
#[must_use]
pub fn answers(score: Option<AnswerScore>) -> [String; 2] {
    match score {
        Some(it) => [format!("{} of {}", it.equal, it.compared), format!("{:.3}", it.f1)],
        None => ["-".to_owned(), "-".to_owned()],
    }
}

/// A difference of losses in words: what it is, how sure it is, and whether it means anything.
#[must_use]
pub fn difference(difference: &PairedDifference) -> String {
    let PairedDifference { mean, low, high, .. } = *difference;
    let verdict = match (low > 0.0, high < 0.0) {
        (true, _) => "better",
        (_, true) => "worse",
        _ => "no difference that is sure",
    };
    format!("{verdict} ({mean:+.4} nats per token, 95% interval {low:.3} to {high:.3})")
}

/// By how much `now` is under (or over) `before`: `-12.3%`.
#[must_use]
pub fn change(before: Option<f64>, now: Option<f64>) -> String {
    match (before, now) {
        (Some(before), Some(now)) if before > 0.0 && now.is_finite() => {
            format!("{:+.1}%", (now / before - 1.0) * 100.0)
        }
        _ => "-".into(),
    }
}

/// The first eight characters of a digest, a key or anything else that is too long for a table.
#[must_use]
pub fn short(text: &str) -> String {
    text.chars().take(8).collect()
}

/// Names in one cell: `bank, farm`, or `-`. They may come from elsewhere.
#[must_use]
pub fn names(list: &[String]) -> String {
    if list.is_empty() { "-".into() } else { harmless_line(&list.join(", ")) }
}

/// A count with its noun: `1 member`, `4 members`.
#[must_use]
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

fn three_digits(value: f64) -> String {
    if value < 9.995 {
        format!("{value:.2}")
    } else if value < 99.95 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

#[cfg(test)]
mod tests {
    use fedshieldd::control::api::Severity;

    use super::*;

    #[test]
    fn a_condition_says_until_when_and_what_to_do() {
        let condition = Condition::new("no-quorum", Severity::Blocking, "2 of 3 are here")
            .with_hint("start the third")
            .until(86_400 + 22 * 3600 + 44 * 60 + 28);
        let text = "2 of 3 are here, until 22:44:28 UTC at most (start the third)";
        assert_eq!(super::condition(&condition), text);
    }

    #[test]
    fn bytes_keep_three_digits_and_never_show_a_thousand() {
        let shown: Vec<String> =
            [0, 999, 1000, 3375, 99_949, 999_499, 999_500, 1 << 30, u64::MAX].map(bytes).into();
        assert_eq!(
            shown,
            [
                "0 B", "999 B", "1.00 kB", "3.38 kB", "99.9 kB", "999 kB", "1.00 MB", "1.07 GB",
                "18447 PB"
            ]
        );
    }

    #[test]
    fn seconds_change_their_unit() {
        let shown: Vec<String> =
            [0.0, 0.314, 12.34, 99.9, 99.96, 245.0, 3_720.0, 270_000.0, f64::NAN]
                .map(seconds)
                .into();
        assert_eq!(
            shown,
            [
                "0.00 s",
                "0.31 s",
                "12.3 s",
                "99.9 s",
                "1 min 40 s",
                "4 min 05 s",
                "1 h 02 min",
                "3 d 03 h",
                "-"
            ]
        );
    }

    #[test]
    fn what_is_missing_is_a_dash() {
        assert_eq!(loss(None), "-");
        assert_eq!(loss(Some(1.23456)), "1.2346");
        assert_eq!(change(Some(2.0), Some(1.5)), "-25.0%");
        assert_eq!(change(Some(2.0), None), "-");
        assert_eq!(names(&[]), "-");
        assert_eq!((count(1, "round"), count(2, "round")), ("1 round".into(), "2 rounds".into()));
    }
}
