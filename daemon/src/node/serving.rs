//! Operators' interfaces: the control socket and the dashboard; and a condition when log lines are
//! lost.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::NodeError;
use crate::conditions::Conditions;
use crate::config::Config;
use crate::control::api::{Condition, ErrorCode, NodeStatus, Severity};
use crate::control::{ControlError, ControlPort, ControlServer};
use crate::home::Home;
use crate::host::disk_full;
use crate::http::{HttpError, HttpServer, Metrics};
use crate::service::lost_log_lines;

/// The pause between two attempts to listen.
const PAUSE: Duration = Duration::from_secs(3);
/// The pause between two checks of the log.
const LOG_PAUSE: Duration = Duration::from_secs(10);
/// A gap in the log is shown for this many checks.
const LOG_LOOKS: u32 = 60;

/// Answers on the control socket, from now on or as soon as its socket file can be created. The
/// task ends after `stop`, when the requests under way have been answered.
///
/// # Errors
/// If another daemon answers there, or the socket cannot be created for a reason that waiting
/// cannot resolve.
pub(super) fn serve_control(
    home: &Home,
    config: &Config,
    port: ControlPort,
    conditions: &Conditions,
    stop: &CancellationToken,
) -> Result<JoinHandle<()>, NodeError> {
    let path = config.control.socket.clone().unwrap_or_else(|| home.control_socket());
    let waits = |error: &ControlError| error.code() == ErrorCode::DiskFull;
    let mut bound = match ControlServer::bind(&path) {
        Err(error) if !waits(&error) => return Err(error.into()),
        bound => bound,
    };
    let (conditions, stop) = (conditions.clone(), stop.clone());
    Ok(tokio::spawn(async move {
        const NAME: &str = "control-socket";
        loop {
            match bound {
                Ok(server) => {
                    conditions.clear(NAME);
                    if let Err(error) = server.serve(port, stop).await {
                        tracing::error!(%error, "the control socket failed");
                    }
                    return;
                }
                Err(error) => {
                    let mut condition = disk_full(&error.to_string());
                    NAME.clone_into(&mut condition.name);
                    conditions.set(condition);
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => bound = ControlServer::bind(&path),
            }
        }
    }))
}

/// Serves metrics and dashboard, if they are configured, as soon as their address is available. No
/// round waits for them. The future ends after `stop`; `None` if they are not configured.
pub(super) fn serve_http(
    config: &Config,
    port: ControlPort,
    conditions: &Conditions,
    status: &Arc<watch::Sender<NodeStatus>>,
    metrics: Metrics,
    stop: &CancellationToken,
) -> Option<impl Future<Output = ()> + Send + use<>> {
    let address = config.http.listen?;
    let names = config.http.allowed_hosts.clone();
    let (conditions, status, stop) = (conditions.clone(), Arc::clone(status), stop.clone());
    Some(async move {
        let server = loop {
            match HttpServer::bind_for(address, &names).await {
                Ok(server) => break server,
                Err(error) => conditions.set(no_dashboard(&error)),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        };
        conditions.clear(DASHBOARD);
        let address = server.address();
        tracing::info!(%address, "dashboard");
        status.send_modify(|status| status.http = Some(address.to_string()));
        if let Err(error) = server.serve(port, metrics, stop).await {
            tracing::error!(%error, "metrics and dashboard failed");
        }
    })
}

const DASHBOARD: &str = "dashboard-address";

/// The condition while the dashboard's address is not available.
pub(super) fn no_dashboard(error: &HttpError) -> Condition {
    let message =
        format!("{error}; metrics, health and dashboard are not served until it can be used");
    Condition::new(DASHBOARD, Severity::Warning, message).with_hint(
        "free the address or bring its interface up: the node tries again by itself; or set `http.listen` and restart it",
    )
}

/// Sets a condition when log lines were lost.
pub(super) fn watch_log(conditions: &Conditions, stop: &CancellationToken) {
    let (conditions, stop) = (conditions.clone(), stop.clone());
    tokio::spawn(async move {
        let (mut known, mut quiet) = (0, 0);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOG_PAUSE) => {}
            }
            let lost = lost_log_lines();
            quiet = if lost > known { 0 } else { quiet + 1 };
            known = lost;
            let shown = (lost > 0 && quiet < LOG_LOOKS).then(|| {
                let message = format!(
                    "{lost} log lines were lost since the start: nobody read the log in time"
                );
                Condition::new("log-unread", Severity::Warning, message)
                    .with_hint("look at what reads the daemon's standard error")
            });
            conditions.show("log-unread", shown);
        }
    });
}
