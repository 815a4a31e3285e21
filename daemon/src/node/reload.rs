//! SIGHUP: reloads the settings that can change while the node runs, and names those that cannot.

use tokio::sync::mpsc;
use toml::{Table, Value};

use crate::conditions::Conditions;
use crate::config::{Config, Loaded, Overrides};
use crate::control::api::{Condition, Severity};
use crate::home::Home;
use crate::service::LogControl;

/// What a reload needs from the start.
pub(super) struct Reload {
    home: Home,
    overrides: Overrides,
    /// The settings in force.
    config: Config,
    log: Option<LogControl>,
    asked: Option<mpsc::Receiver<()>>,
}

const UNUSABLE: &str = "configuration";
const CHANGED: &str = "restart-needed";

impl Reload {
    /// For a daemon process: triggered by `asked`, with the command line's `overrides`.
    pub(super) fn new(
        home: &Home,
        overrides: &Overrides,
        config: &Config,
        log: LogControl,
        asked: mpsc::Receiver<()>,
    ) -> Self {
        Self {
            home: home.clone(),
            overrides: overrides.clone(),
            config: config.clone(),
            log: Some(log),
            asked: Some(asked),
        }
    }

    /// For a node inside another process: never triggered.
    pub(super) fn never(home: &Home, config: &Config) -> Self {
        let (home, config) = (home.clone(), config.clone());
        Self { home, overrides: Overrides::default(), config, log: None, asked: None }
    }

    /// Waits until a reload is requested. Cancel-safe.
    pub(super) async fn asked(&mut self) {
        let asked = match &mut self.asked {
            Some(asked) => asked.recv().await,
            None => None,
        };
        if asked.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Reads the configuration again: the log level takes effect, other changes are reported. An
    /// invalid configuration changes nothing.
    pub(super) fn reload(&mut self, conditions: &Conditions) {
        let new =
            match Loaded::read(&self.home, &self.overrides) {
                Ok(loaded) => loaded.config,
                Err(error) => {
                    let message = format!(
                        "the configuration cannot be used, the settings in force stay: {error}"
                    );
                    conditions.set(Condition::new(UNUSABLE, Severity::Warning, message).with_hint(
                        "fix it, try `fedshield-cli config check`, then send SIGHUP again",
                    ));
                    return;
                }
            };
        conditions.clear(UNUSABLE);
        if new.log.level != self.config.log.level
            && let Some(log) = &self.log
        {
            match log.set_level(&new.log.level) {
                Ok(()) => self.config.log.level.clone_from(&new.log.level),
                Err(error) => tracing::error!(%error, "the log level stays as it is"),
            }
        }
        let changed = differences(&self.config, &new);
        tracing::info!(
            level = self.config.log.level,
            needs_restart = changed.join(", "),
            "reloaded"
        );
        conditions.show(CHANGED, (!changed.is_empty()).then(|| needs_restart(&changed)));
    }
}

fn needs_restart(changed: &[String]) -> Condition {
    let message =
        format!("changed in the configuration, but only a restart applies: {}", changed.join(", "));
    Condition::new(CHANGED, Severity::Warning, message)
        .with_hint("restart the node: it goes on where it was")
}

/// The dotted keys whose values differ.
fn differences(old: &Config, new: &Config) -> Vec<String> {
    let table = |config: &Config| Table::try_from(config).unwrap_or_default();
    let mut keys = Vec::new();
    compare("", &table(old), &table(new), &mut keys);
    keys.sort();
    keys
}

fn compare(prefix: &str, old: &Table, new: &Table, keys: &mut Vec<String>) {
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    let empty = Table::new();
    for name in names {
        let dotted = format!("{prefix}{name}");
        match (old.get(name), new.get(name)) {
            (old, new) if old == new => {}
            (Some(Value::Table(old)), new) => {
                let new = new.and_then(Value::as_table).unwrap_or(&empty);
                compare(&format!("{dotted}."), old, new, keys);
            }
            (None, Some(Value::Table(new))) => compare(&format!("{dotted}."), &empty, new, keys),
            _ => keys.push(dotted),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fedshield_protocol::ids::IdentityKey;
    use tokio::sync::watch;

    use super::*;
    use crate::control::api::NodeStatus;

    #[test]
    fn what_needs_a_restart_is_named_until_it_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let write = |text: &str| std::fs::write(home.config(), text).unwrap();
        write("name = \"a\"\n");
        let config = Loaded::read(&home, &Overrides::default()).unwrap().config;
        let (sender, status) = watch::channel(NodeStatus::starting("a", IdentityKey([1; 32])));
        let conditions = Conditions::new(Arc::new(sender));
        let said = || -> Vec<(String, String)> {
            let conditions = status.borrow().conditions.clone();
            conditions.into_iter().map(|it| (it.name, it.message)).collect()
        };
        let mut reload = Reload::never(&home, &config);
        reload.reload(&conditions);
        assert!(said().is_empty());
        write("name = \"b\"\n[model]\npath = \"m\"\n[training]\nthreads = 3\n");
        reload.reload(&conditions);
        assert!(said()[0].1.ends_with(": model.path, name, training.threads"), "{:?}", said());
        write("name = \"b\"\nlisten = 3\n");
        reload.reload(&conditions);
        let unusable = said().into_iter().find(|(name, _)| name == UNUSABLE).unwrap();
        assert!(unusable.1.contains("line 2"), "{unusable:?}");
        write("name = \"a\"\n");
        reload.reload(&conditions);
        assert!(said().is_empty(), "{:?}", said());
    }
}
