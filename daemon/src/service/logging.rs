//! Logs to standard error: for people, as JSON, or with the priorities that systemd's journal reads.

use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::config::{LogConfig, LogFormat};

/// Why logs cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// `log.level` cannot be read.
    #[error("`log.level` is `{level}`: {reason}")]
    Level {
        /// What was set.
        level: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The process has logs already.
    #[error("logs were set up before")]
    Again,
}

/// Sends all log events of this process to standard error, as `config` says.
///
/// # Errors
/// [`LogError`].
pub fn init_logging(config: &LogConfig) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(&config.level).map_err(|error| LogError::Level {
        level: config.level.clone(),
        reason: error.to_string(),
    })?;
    // A line that cannot be written is lost. The default, to say so on standard error, panics when that is what is gone.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    let set = match config.format {
        LogFormat::Human => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Journald => builder.event_format(Prioritised).try_init(),
    };
    set.map_err(|_| LogError::Again)
}

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

/// syslog's numbers.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}
