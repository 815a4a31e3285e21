//! Points in time and durations as text, and the error for an invite that has expired by one of two
//! clocks.

use std::fmt;

/// Clocks that differ by less than this are treated as equal.
const TOLERANCE_S: u64 = 60;

/// A human-readable duration in its two largest units: `1 day 3 hours`, `5 minutes`, `0 seconds`.
#[must_use]
pub fn in_words(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let mut left = seconds;
    let mut parts = Vec::new();
    for (length, unit) in UNITS {
        let count = left / length;
        left %= length;
        if count > 0 {
            parts.push(format!("{count} {unit}{}", if count == 1 { "" } else { "s" }));
        }
        // Days with hours or minutes with seconds, never days with seconds.
        if parts.len() == 2 || (count == 0 && !parts.is_empty()) {
            break;
        }
    }
    if parts.is_empty() { "0 seconds".into() } else { parts.join(" ") }
}

/// A human-readable time from seconds since 1970: `2026-11-27 00:42 UTC`.
#[must_use]
pub fn date(unix_s: u64) -> String {
    // Days since 0000-03-01 in the proleptic Gregorian calendar; the year begins in March, so that
    // the odd day comes last.
    let days = unix_s / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", unix_s / 3_600 % 24, unix_s / 60 % 60)
}

/// An invite's end as two machines see it, each by its own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    /// When the invite ends, in seconds since 1970 by the clock of the owner that made it.
    pub at_s: u64,
    /// The time of the clock here.
    pub here_s: u64,
    /// The time of the owner's clock, if the owner could be asked.
    pub owner_s: Option<u64>,
}

impl Expiry {
    /// The difference between the clocks, if it is more than the delay of messages explains.
    #[must_use]
    pub fn difference_s(&self) -> Option<u64> {
        self.owner_s.map(|owner| owner.abs_diff(self.here_s)).filter(|apart| *apart > TOLERANCE_S)
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match (self.difference_s(), self.owner_s) {
            (Some(_), _) => {
                "compare both machines' clocks with the real time (`date -u`) and set the wrong one, then ask the owner for a fresh invite"
            }
            (None, Some(_)) => "ask the owner for a fresh invite",
            (None, None) => {
                "check this machine's clock (`date -u`); if it is right, ask the owner for a fresh invite"
            }
        }
    }

    /// What to tell the operator about clocks that differ, when the invite is valid all the same.
    #[must_use]
    pub fn remark(&self) -> Option<String> {
        let (apart, owner) = (self.difference_s()?, self.owner_s?);
        Some(format!(
            "this machine's clock says {}, the owner's {}: they differ by {}, so one of them is wrong; set it (`date -u`)",
            date(self.here_s),
            date(owner),
            in_words(apart)
        ))
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = |now: u64| match now.checked_sub(self.at_s) {
            Some(ago) => format!("expired {} ago", in_words(ago)),
            None => format!("is good for another {}", in_words(self.at_s - now)),
        };
        let here = date(self.here_s);
        match (self.difference_s(), self.owner_s) {
            (Some(apart), Some(owner)) => write!(
                f,
                "the invite {} by the owner's clock ({}), and {} by this machine's ({here}): the two clocks differ by \
                 {}, so one of them is wrong",
                state(owner),
                date(owner),
                state(self.here_s),
                in_words(apart)
            ),
            (_, Some(owner)) => {
                write!(f, "the invite {} (it ended at {})", state(owner), date(self.at_s))
            }
            _ => write!(
                f,
                "the invite {} by this machine's clock ({here}), and its owner could not be asked for the time there",
                state(self.here_s)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans_and_times_are_formatted() {
        let table = [
            (0, "0 seconds"),
            (1, "1 second"),
            (61, "1 minute 1 second"),
            (3_600, "1 hour"),
            (3_601, "1 hour"),
            (86_400, "1 day"),
            (86_400 + 59, "1 day"),
            (2 * 86_400 + 3_700, "2 days 1 hour"),
            (u64::MAX, "213503982334601 days 7 hours"),
        ];
        for (seconds, words) in table {
            assert_eq!(in_words(seconds), words);
        }
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(date(1_795_740_150), "2026-11-27 00:42 UTC");
        assert_eq!(date(4_107_542_399), "2100-02-28 23:59 UTC");
        assert_eq!(date(4_107_542_400), "2100-03-01 00:00 UTC");
    }

    #[test]
    fn an_expired_invite_names_both_clocks_when_they_differ() {
        let day = 86_400;
        let at_s = 20_000 * day;
        let behind = Expiry { at_s, here_s: at_s - 3_600, owner_s: Some(at_s + day) };
        let text = behind.to_string();
        for part in
            ["expired 1 day ago by the owner's clock", "another 1 hour", "differ by 1 day 1 hour"]
        {
            assert!(text.contains(part), "{text}");
        }
        assert!(behind.hint().contains("both machines' clocks"));
        let agreed = Expiry { at_s, here_s: at_s + 7_200, owner_s: Some(at_s + 7_201) };
        assert!(
            agreed.to_string().contains("expired 2 hours ago (it ended at 2024-10-04"),
            "{agreed}"
        );
        assert_eq!(agreed.hint(), "ask the owner for a fresh invite");
        let alone = Expiry { at_s, here_s: at_s + day, owner_s: None };
        assert!(alone.to_string().contains("by this machine's clock"), "{alone}");
        assert!(alone.hint().contains("check this machine's clock"));
        let good = Expiry { at_s, here_s: at_s + day, owner_s: Some(at_s - 60) };
        assert!(good.remark().unwrap().contains("differ by 1 day"));
    }
}
