//! `config check` and `config show`: the configuration as the daemon reads it.

use clap::{Args, Subcommand};
use fedshieldd::config::{Config, ConfigError, Loaded, Overrides};
use fedshieldd::control::api::ErrorCode;
use fedshieldd::home::Home;
use fedshieldd::node::{Finding, Impact, preflight};

use super::JsonFlag;
use crate::failure::Failure;
use crate::screen::{Colours, Screen};

/// `config ...`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Read it, the base model and the data as the daemon would, and say what the daemon would make
    /// of them
    Check(ConfigArgs),
    /// Print every setting as it takes effect
    Show(ConfigArgs),
}

/// Arguments of `config check` and `config show`.
#[derive(Debug, Default, Args)]
pub struct ConfigArgs {
    #[command(flatten)]
    pub(crate) set: SetFlags,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

/// `--set`, which wins over environment and file.
#[derive(Debug, Clone, Default, Args)]
pub struct SetFlags {
    /// Change one setting, for instance `--set log.level=debug`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_and_value)]
    pub settings: Vec<(String, String)>,
}

impl SetFlags {
    /// The settings in the daemon library's form.
    #[must_use]
    pub fn overrides(&self) -> Overrides {
        Overrides(self.settings.clone())
    }
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .ok_or_else(|| "write KEY=VALUE".to_owned())
}

impl ConfigCommand {
    /// Whether JSON was asked for.
    #[must_use]
    pub const fn json(&self) -> bool {
        let (Self::Check(args) | Self::Show(args)) = self;
        args.json.json
    }
}

/// Runs `config ...`.
///
/// # Errors
/// [`ErrorCode::ConfigInvalid`] with key and line, or the code of what the daemon would refuse or
/// wait for.
pub async fn run(command: &ConfigCommand, home: &Home) -> Result<(), Failure> {
    let screen = Screen::new(command.json());
    match command {
        ConfigCommand::Check(args) => {
            let config = load(home, &args.set.overrides(), &screen)?;
            judge(preflight(home, &config).await, home, &screen)?;
            screen.answer(&config, |_, colours| {
                format!("{} {}\n", colours.good("good:"), home.config().display())
            })
        }
        ConfigCommand::Show(args) => {
            let config = load(home, &args.set.overrides(), &screen)?;
            screen.answer(&config, render)
        }
    }
}

/// Reads the configuration of `home` and shows its warnings.
///
/// # Errors
/// [`ErrorCode::ConfigInvalid`] with key and line.
pub fn load(home: &Home, overrides: &Overrides, screen: &Screen) -> Result<Config, Failure> {
    if !home.config().exists() && overrides.0.is_empty() {
        return Err(Failure::new(ErrorCode::ConfigInvalid, "this home has no configuration yet")
            .at(home.config().display())
            .next("make one with `fedshield-cli init`, or choose another home with `--home`"));
    }
    let loaded = Loaded::read(home, overrides).map_err(|error| invalid(&error, home))?;
    for warning in &loaded.warnings {
        screen.remark(&format!("warning: {warning}"));
    }
    Ok(loaded.config)
}

fn invalid(error: &ConfigError, home: &Home) -> Failure {
    Failure::new(error.code(), error.to_string())
        .at(home.config().display())
        .next("the comments in the file that `fedshield-cli init` writes explain every setting")
}

/// Returns the gravest of `findings` as the failure; shows the others as remarks.
fn judge(mut findings: Vec<Finding>, home: &Home, screen: &Screen) -> Result<(), Failure> {
    findings.sort_by_key(|finding| match finding.impact {
        Impact::PreventsStart => 0,
        Impact::DelaysStart => 1,
        Impact::DisablesFeature => 2,
    });
    let mut findings = findings.into_iter();
    let Some(first) = findings.next() else { return Ok(()) };
    for other in findings {
        screen.remark(&format!("also: {} ({})", other.message, consequence(other.impact)));
    }
    let what = format!("{} ({})", first.message, consequence(first.impact));
    let failure = Failure::new(first.code, what).at(home.config().display());
    let next = match (first.hint, first.code) {
        (Some(hint), _) => hint,
        (None, ErrorCode::NoIdentity) => "make one with `fedshield-cli init`".to_owned(),
        (None, _) => "correct the setting, then run this again".to_owned(),
    };
    Err(failure.next(next))
}

/// What the daemon does about the finding.
const fn consequence(impact: Impact) -> &'static str {
    match impact {
        Impact::PreventsStart => "the daemon does not start",
        Impact::DelaysStart => {
            "the daemon starts, waits, and continues by itself when this is fixed"
        }
        Impact::DisablesFeature => "the daemon takes part all the same, and tries again by itself",
    }
}

fn render(config: &Config, _: Colours) -> String {
    toml::to_string_pretty(config).unwrap_or_else(|error| format!("# {error}\n"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use fedshieldd::identity::{Identity, Protection};

    use super::*;

    #[test]
    fn a_setting_is_a_key_and_a_value() {
        assert_eq!(key_and_value("a.b = c=d").unwrap(), ("a.b".into(), "c=d".into()));
        assert!(key_and_value("a.b").is_err());
    }

    /// A home whose configuration says `text`, and what `config check` makes of it.
    async fn check(text: &str, with_identity: bool) -> Result<(), Failure> {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        std::fs::write(home.config(), text).unwrap();
        if with_identity {
            Identity::create(&home.identity(), &Protection::None).unwrap();
        }
        run(&ConfigCommand::Check(ConfigArgs::default()), &home).await
    }

    #[tokio::test]
    async fn what_the_daemon_refuses_or_waits_for_is_not_good() {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/train/assets/base");
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let line = "{\"instruction\": \"a\", \"input\": \"\", \"output\": \"b\"}\n";
        let (good, empty) = (file("good.jsonl", &line.repeat(20)), file("empty.jsonl", "\n"));
        let broken = file("broken.jsonl", &format!("{line}not json\n"));
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = taken.local_addr().unwrap();
        let with = |model: &str, data: &str, more: &str| {
            format!(
                "name = \"a\"\n{more}\n[model]\npath = \"{model}\"\n[data]\ntrain = [\"{data}\"]\n"
            )
        };
        let model = model.display().to_string();
        check(&with(&model, &good, ""), true).await.unwrap();
        let (dies, waits) = ("does not start", "waits");
        for (text, code, word, consequence) in [
            (
                format!("name = \"a\"\n[data]\ntrain = [\"{good}\"]"),
                ErrorCode::ConfigInvalid,
                "model.path",
                dies,
            ),
            (
                format!("name = \"a\"\n[model]\npath = \"{model}\""),
                ErrorCode::ConfigInvalid,
                "data.train",
                dies,
            ),
            (with("/gone/model", &good, ""), ErrorCode::ModelUnreadable, "/gone/model", waits),
            (with(&good, &good, ""), ErrorCode::ModelUnreadable, "good.jsonl", waits),
            (with(&model, "/gone.jsonl", ""), ErrorCode::DataUnreadable, "/gone.jsonl", waits),
            (with(&model, &empty, ""), ErrorCode::DataUnreadable, "no examples", waits),
            (with(&model, &broken, ""), ErrorCode::DataUnreadable, "broken.jsonl:2", waits),
            (
                with(&model, &good, &format!("http.listen = \"{taken}\"")),
                ErrorCode::AddressInUse,
                "http.listen",
                "takes part",
            ),
            (
                with(&model, &good, "log.level = \"inof\""),
                ErrorCode::ConfigInvalid,
                "log.level",
                "",
            ),
        ] {
            let failure = check(&text, true).await.unwrap_err();
            let said = failure.to_string();
            assert_eq!(failure.code, code, "{said}");
            assert!(said.contains(word) && said.contains(consequence), "{said}");
            assert!(failure.next.is_some(), "{said}");
        }
        let failure = check(&with(&model, &good, ""), false).await.unwrap_err();
        assert_eq!(failure.code, ErrorCode::NoIdentity);
    }
}
