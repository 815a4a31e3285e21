//! Running as a service: logs, signals, systemd.

mod logging;
mod notify;
mod private;
mod signals;

pub use logging::{LogError, init_logging};
pub use notify::{Heartbeat, notify_ready, notify_status, notify_stopping};
pub use private::keep_private;
pub use signals::stop_on_signals;
