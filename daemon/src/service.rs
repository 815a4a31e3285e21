//! Running as a service: logs, signals, systemd.

mod log_writer;
mod logging;
mod notify;
mod private;
mod signals;

pub use log_writer::{lost_log_lines, write_last_line};
pub use logging::{LevelError, LogControl, LogError, check_level, init_logging};
pub use notify::{Watchdog, notify_ready, notify_stopping, report_status};
pub use private::keep_private;
pub use signals::{Signals, listen_to_signals};
