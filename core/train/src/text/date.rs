//! The date that chat templates write as the current one. It is a setting, the same for all members
//! of a federation: with the clock's date, the data of two members, and that of two rounds, would
//! differ.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::{Result, TrainError};

const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
/// The last day that is written with four digits for its year, in days since 1 January 1970.
const LAST_DAY: i64 = 2_932_896;

/// A date between 1970 and 9999 for `strftime_now`. The time of day is midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TemplateDate {
    year: i64,
    /// 1 to 12.
    month: i64,
    /// 1 to 31.
    day: i64,
}

impl Default for TemplateDate {
    /// 26 July 2024, the date of every federation whose terms name none.
    fn default() -> Self {
        Self { year: 2024, month: 7, day: 26 }
    }
}

impl fmt::Display for TemplateDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl FromStr for TemplateDate {
    type Err = TrainError;

    /// Parses `YYYY-MM-DD`, the only spelling.
    fn from_str(text: &str) -> Result<Self> {
        let mut numbers = text.split('-').map(|part| part.parse::<i64>().ok());
        let mut next = || numbers.next().flatten().unwrap_or(-1);
        let (year, month, day) = (next(), next(), next());
        let date = Self { year, month, day };
        let exists = (1970..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && Self::after_epoch(date.days()) == date;
        match exists && date.to_string() == text {
            true => Ok(date),
            false => Err(TrainError::setting(
                "template_date",
                format!("{text:?} is not a date from 1970 to 9999 such as 2024-07-26"),
            )),
        }
    }
}

impl TemplateDate {
    /// The English names of the months, as `%B` writes them.
    pub const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];

    /// The current date in UTC.
    pub fn today() -> Self {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::after_epoch(i64::try_from(elapsed.as_secs() / 86_400).map_or(0, |d| d.min(LAST_DAY)))
    }

    /// The date this many days after 1 January 1970. Years begin in March here, so that the leap
    /// day is the last one of a year (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    fn after_epoch(days: i64) -> Self {
        let shifted = days + 719_468;
        let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        Self { year: year_of_era + era * 400 + i64::from(month <= 2), month, day }
    }

    /// Days since 1 January 1970.
    fn days(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let of_year = (153 * ((self.month + 9) % 12) + 2) / 5 + self.day - 1;
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
    }

    /// 1 for 1 January.
    fn day_of_year(self) -> i64 {
        self.days() - Self { month: 1, day: 1, ..self }.days() + 1
    }

    /// 0 for Sunday.
    fn weekday(self) -> i64 {
        (self.days() + 4).rem_euclid(7)
    }

    /// Year and number of the ISO 8601 week, which belongs to the year of its Thursday.
    fn iso_week(self) -> (i64, i64) {
        let thursday = Self::after_epoch(self.days() + 3 - (self.weekday() + 6) % 7);
        (thursday.year, (thursday.day_of_year() - 1) / 7 + 1)
    }

    /// Python's `strftime` for this date at midnight, without a time zone, in the C locale.
    ///
    /// # Errors
    /// The directive that is not supported.
    pub(super) fn format(self, format: &str) -> std::result::Result<String, String> {
        let mut out = String::new();
        let mut rest = format.chars();
        while let Some(c) = rest.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            let mut directive = rest.next();
            let flag = directive.filter(|c| ['-', '_', '0', '^'].contains(c));
            if flag.is_some() {
                directive = rest.next();
            }
            let unknown = || format!("strftime_now does not support {format:?}");
            match (self.field(directive.ok_or_else(unknown)?), flag) {
                (Some(Field::Text(text)), None) => out.push_str(&text),
                (Some(Field::Text(text)), Some('^')) => out.push_str(&text.to_uppercase()),
                (Some(Field::Number(value, width, pad)), flag) => match (flag, pad) {
                    (Some('-'), _) => out.push_str(&value.to_string()),
                    (Some('_'), _) | (None, ' ') => out.push_str(&format!("{value:>width$}")),
                    (Some('0') | None, _) => out.push_str(&format!("{value:0>width$}")),
                    _ => return Err(unknown()),
                },
                _ => return Err(unknown()),
            }
        }
        Ok(out)
    }

    /// What a directive stands for.
    fn field(self, directive: char) -> Option<Field> {
        let Self { year, month, day } = self;
        let two = |value| Some(Field::Number(value, 2, '0'));
        let weekday = WEEKDAYS.get(self.weekday() as usize).copied().unwrap_or_default();
        let month_name = Self::MONTHS.get(month as usize - 1).copied().unwrap_or_default();
        let short = |name: &str| name.chars().take(3).collect::<String>();
        let text = |text: String| Some(Field::Text(text));
        match directive {
            '%' => text("%".to_owned()),
            'n' => text("\n".to_owned()),
            't' => text("\t".to_owned()),
            'a' => text(short(weekday)),
            'A' => text(weekday.to_owned()),
            'b' | 'h' => text(short(month_name)),
            'B' => text(month_name.to_owned()),
            'c' => {
                text(format!("{} {} {day:>2} 00:00:00 {year}", short(weekday), short(month_name)))
            }
            'D' | 'x' => text(format!("{month:02}/{day:02}/{:02}", year % 100)),
            'F' => text(self.to_string()),
            'R' => text("00:00".to_owned()),
            'T' | 'X' => text("00:00:00".to_owned()),
            'r' => text("12:00:00 AM".to_owned()),
            'p' => text("AM".to_owned()),
            'P' => text("am".to_owned()),
            'z' | 'Z' => text(String::new()),
            'C' => two(year / 100),
            'd' => two(day),
            'e' => Some(Field::Number(day, 2, ' ')),
            'f' => Some(Field::Number(0, 6, '0')),
            'G' => Some(Field::Number(self.iso_week().0, 4, '0')),
            'g' => two(self.iso_week().0 % 100),
            'H' | 'M' | 'S' => two(0),
            'I' => two(12),
            'k' => Some(Field::Number(0, 2, ' ')),
            'l' => Some(Field::Number(12, 2, ' ')),
            'j' => Some(Field::Number(self.day_of_year(), 3, '0')),
            'm' => two(month),
            'u' => Some(Field::Number((self.weekday() + 6) % 7 + 1, 1, '0')),
            'w' => Some(Field::Number(self.weekday(), 1, '0')),
            'U' => two((self.day_of_year() + 6 - self.weekday()) / 7),
            'W' => two((self.day_of_year() + 6 - (self.weekday() + 6) % 7) / 7),
            'V' => two(self.iso_week().1),
            'y' => two(year % 100),
            'Y' => Some(Field::Number(year, 4, '0')),
            _ => None,
        }
    }
}

/// What a directive of `strftime` stands for.
enum Field {
    Text(String),
    /// The number, its least width and what fills it.
    Number(i64, usize, char),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> TemplateDate {
        text.parse().unwrap()
    }

    #[test]
    fn only_dates_that_exist_are_read_and_only_in_one_spelling() {
        for good in ["1970-01-01", "2000-02-29", "2024-02-29", "2026-12-31", "9999-12-31"] {
            assert_eq!(date(good).to_string(), good);
        }
        for bad in [
            "",
            "2024",
            "2023-02-29",
            "1900-02-29",
            "1969-12-31",
            "10000-01-01",
            "2024-13-01",
            "2024-00-10",
            "2024-04-31",
            "2024-4-1",
            "2024-04-01 ",
            "+024-04-01",
            "2024-04-01-01",
            "99999999999999999999-01-01",
            "heute",
        ] {
            let error = bad.parse::<TemplateDate>().unwrap_err().to_string();
            assert!(error.contains("template_date"), "{bad}: {error}");
        }
        assert_eq!(TemplateDate::after_epoch(LAST_DAY), date("9999-12-31"));
        assert!(TemplateDate::today().year >= 2024);
    }

    /// Expected texts: `datetime.datetime.fromisoformat(date).strftime(format)` of Python 3.12.
    #[test]
    fn the_date_is_written_as_python_writes_it() {
        for (day, format, text) in [
            ("2024-07-26", "%d %b %Y", "26 Jul 2024"),
            ("2024-07-26", "%A, %Y-%m-%d %H:%M:%S%%", "Friday, 2024-07-26 00:00:00%"),
            ("2024-07-26", "%a %j %u %w %U %W %V %G", "Fri 208 5 5 29 30 30 2024"),
            ("2026-01-04", "%e|%-d|%_m|%k|%I %p|%y", " 4|4| 1| 0|12 AM|26"),
            ("2026-01-04", "%j %U %W %V %G %g %w %u", "004 01 00 01 2026 26 0 7"),
            ("2021-01-03", "%U %W %V %G", "01 00 53 2020"),
            ("2024-12-30", "%U %W %V %G", "52 53 01 2025"),
            ("2024-02-29", "%x %X %c", "02/29/24 00:00:00 Thu Feb 29 00:00:00 2024"),
            (
                "2024-02-29",
                "%D %F %R %T %r%n%t%z%Z%f",
                "02/29/24 2024-02-29 00:00 00:00:00 12:00:00 AM\n\t000000",
            ),
            ("2024-02-29", "%^a %^B %C %0e %-I", "THU FEBRUARY 20 29 12"),
        ] {
            assert_eq!(date(day).format(format).unwrap(), text, "{day} {format}");
        }
        for format in ["%Q", "%", "%-", "%-Q", "%s", "%10d", "%-a", "%Ey"] {
            assert!(date("2024-02-29").format(format).unwrap_err().contains(format), "{format}");
        }
    }
}
