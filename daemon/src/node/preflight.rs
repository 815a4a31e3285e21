//! Finds out how a daemon would start with this home and configuration, by the functions of a start
//! but without starting one.

use crate::config::Config;
use crate::control::ControlClient;
use crate::error_code::ErrorCode;
use crate::home::Home;
use crate::http::{HttpError, HttpServer};
use crate::identity::Identity;

use super::NodeError;
use super::early::founded;
use super::opening::open_model;
use super::serving::no_dashboard;
use super::start::sources;
use super::waiter::waits_for;

/// What a finding means for a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Impact {
    /// The daemon does not start; the operator has to repair this and start it again.
    PreventsStart,
    /// The daemon starts, waits, and continues by itself after the repair.
    DelaysStart,
    /// The daemon starts and takes part; only this feature does not work until it is repaired.
    DisablesFeature,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The stable error code, for programs; with [`Impact::PreventsStart`] it determines the
    /// daemon's exit code.
    pub code: ErrorCode,
    /// What it means for a start.
    pub impact: Impact,
    /// For the operator: what is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Checks everything that a daemon checks when it starts, apart from what other processes may
/// change before then. Changes nothing. Reads the whole base model, which may take a while.
pub async fn preflight(home: &Home, config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Err(error) = Identity::public_key_at(&home.identity()) {
        findings.push(Finding::of(&error.into()));
    }
    let (home_too, config_too) = (home.clone(), config.clone());
    let learning = tokio::task::spawn_blocking(move || learning(&home_too, &config_too)).await;
    match learning {
        Ok(Ok(())) => {}
        Ok(Err(error)) => findings.push(Finding::of(&error)),
        Err(_) => findings.push(Finding::of(&NodeError::Gone("reading the model"))),
    }
    findings.extend(dashboard(home, config).await);
    findings
}

fn learning(home: &Home, config: &Config) -> Result<(), NodeError> {
    let model = open_model(sources(config, home)?)?;
    match founded(home) {
        Some(signed) => {
            model.checker().check_standing(&signed.manifest).map_err(NodeError::Pipeline)
        }
        None => model.check_data().map_err(NodeError::Data),
    }
}

/// The problem if the dashboard's address cannot be listened on; none if this home's daemon is
/// using it.
async fn dashboard(home: &Home, config: &Config) -> Option<Finding> {
    let address = config.http.listen?;
    let error = HttpServer::bind(address).await.err()?;
    let socket = config.control.socket.clone().unwrap_or_else(|| home.control_socket());
    if matches!(error, HttpError::InUse { .. }) && ControlClient::new(socket).status().await.is_ok()
    {
        return None;
    }
    let condition = no_dashboard(&error);
    Some(Finding {
        code: error.code(),
        impact: Impact::DisablesFeature,
        message: error.to_string(),
        hint: condition.hint,
    })
}

impl Finding {
    /// How a daemon would handle `error` when it starts.
    #[must_use]
    pub fn of(error: &NodeError) -> Self {
        let code = error.code();
        match waits_for(error) {
            Some(condition) => Self {
                code,
                impact: Impact::DelaysStart,
                message: condition.message,
                hint: condition.hint,
            },
            None => Self {
                code,
                impact: Impact::PreventsStart,
                message: crate::error_chain(error),
                hint: None,
            },
        }
    }
}
