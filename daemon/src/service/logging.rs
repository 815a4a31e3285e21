//! Logs to standard error: for a terminal, as JSON, or with the priorities that systemd's journal
//! reads.

use std::fmt;
use std::io::IsTerminal;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, reload};

use super::log_writer;
use crate::config::{LogConfig, LogFormat};

/// What is wrong with a value of `log.level`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LevelError {
    /// A part of it names no level.
    #[error(
        "`{part}` names no level; write one of {}, or several with commas by part of the program: info,fedshield_net=debug",
        LEVELS.join(", ")
    )]
    Unknown {
        /// The part between commas.
        part: String,
    },
    /// The levels are valid, but the rest of the filter is not.
    #[error("{0}")]
    Form(String),
}

/// Why logs cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// `log.level` cannot be read.
    #[error("`log.level` is `{level}`: {reason}")]
    Level {
        /// What was set.
        level: String,
        /// What is wrong with it.
        reason: LevelError,
    },
    /// The process has set up logging already.
    #[error("logs were set up before")]
    Again,
    /// The log thread cannot be started, or there is no standard error.
    #[error("cannot log to standard error: {0}")]
    System(#[from] std::io::Error),
}

/// Changes what is logged while the process runs.
#[derive(Clone)]
pub struct LogControl {
    filter: reload::Handle<EnvFilter, Registry>,
}

impl LogControl {
    /// Sets another `log.level`.
    ///
    /// # Errors
    /// [`LogError::Level`]; the old level then stays.
    pub fn set_level(&self, level: &str) -> Result<(), LogError> {
        let wrong = |reason| LogError::Level { level: level.to_owned(), reason };
        let filter = filter(level).map_err(wrong)?;
        self.filter.reload(filter).map_err(|error| wrong(LevelError::Form(error.to_string())))
    }
}

impl fmt::Debug for LogControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogControl")
    }
}

/// Sends all log events of this process to standard error, as `config` specifies. Logging never
/// waits for a reader.
///
/// # Errors
/// [`LogError`].
pub fn init_logging(config: &LogConfig) -> Result<LogControl, LogError> {
    let filter = filter(&config.level)
        .map_err(|reason| LogError::Level { level: config.level.clone(), reason })?;
    let (filter, handle) = reload::Layer::new(filter);
    let queue = log_writer::standard_error()?;
    queue.set_notice(match config.format {
        LogFormat::Human => |lost| format!("... {}\n", gap(lost)),
        LogFormat::Json => |lost| {
            let line = serde_json::json!({ "level": "WARN", "message": gap(lost), "lost": lost });
            format!("{line}\n")
        },
        LogFormat::Journald => |lost| format!("<{}>{}\n", priority(Level::WARN), gap(lost)),
    });
    let colours = std::io::stderr().is_terminal();
    // A line that cannot be written is lost. By default that would be reported on standard error,
    // which panics if standard error is gone.
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(colours && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
        .with_writer(queue)
        .log_internal_errors(false);
    let all = tracing_subscriber::registry().with(filter);
    let set = match config.format {
        LogFormat::Human => all.with(lines.with_target(false)).try_init(),
        LogFormat::Json => all.with(lines.json().flatten_event(true)).try_init(),
        LogFormat::Journald => all.with(lines.event_format(Prioritised)).try_init(),
    };
    set.map_err(|_| LogError::Again)?;
    Ok(LogControl { filter: handle })
}

fn gap(lost: u64) -> String {
    format!("{lost} log lines were lost here: nobody read the log in time")
}

/// Checks a `log.level`: one level, or levels by part of the program.
///
/// # Errors
/// [`LevelError`].
pub fn check_level(level: &str) -> Result<(), LevelError> {
    filter(level).map(drop)
}

fn filter(level: &str) -> Result<EnvFilter, LevelError> {
    let parts: Vec<&str> = level.split(',').map(str::trim).collect();
    for part in parts.iter().copied() {
        // `target[span{field=value}]=level`: the level follows the last `=` outside of brackets.
        let named = part.rsplit_once(']').map_or(part, |(_, rest)| rest);
        let word = named.rsplit_once('=').map_or(named, |(_, word)| word).trim();
        // EnvFilter alone would take any other word for a part of the program and log nothing else.
        if !LEVELS.iter().any(|known| known.eq_ignore_ascii_case(word)) {
            return Err(LevelError::Unknown { part: part.to_owned() });
        }
    }
    EnvFilter::try_new(parts.join(",")).map_err(|error| LevelError::Form(error.to_string()))
}

/// The valid levels.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// `<6>target: fields`: the journal takes the priority from the number and adds the time itself.
struct Prioritised;

impl<S, N> FormatEvent<S, N> for Prioritised
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        write!(writer, "<{}>{}: ", priority(level), event.metadata().target())?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// The syslog priority of a level.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_would_silence_the_log_is_refused_with_the_form_wanted() {
        for good in [
            "info",
            "WARN",
            "off",
            "info,fedshield_net=debug",
            "warn, fedshieldd::host=trace",
            "error,fedshieldd[round{round=3}]=debug",
        ] {
            assert_eq!(check_level(good), Ok(()), "{good}");
        }
        for bad in ["", "inof", "verbose", "info,", "fedshield_net", "fedshield_net=loud", "3"] {
            let reason = check_level(bad).unwrap_err().to_string();
            assert!(reason.contains("debug"), "{bad}: {reason}");
        }
    }
}
