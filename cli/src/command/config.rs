//! `config check` and `config show`: the configuration as the daemon reads it.

use clap::{Args, Subcommand};
use fedshieldd::config::{Config, ConfigError, Loaded, Overrides};
use fedshieldd::control::api::ErrorCode;
use fedshieldd::home::Home;

use super::JsonFlag;
use crate::failure::Failure;
use crate::screen::{Colours, Screen};

/// `config ...`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Read it as the daemon would, and look whether its files are there
    Check(ConfigArgs),
    /// Print every setting as it takes effect
    Show(ConfigArgs),
}

/// Arguments of `config check` and `config show`.
#[derive(Debug, Args)]
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
    /// As the daemon library takes them.
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
/// [`ErrorCode::ConfigInvalid`] with key and line, or the code of the first file that is missing.
pub fn run(command: &ConfigCommand, home: &Home) -> Result<(), Failure> {
    let screen = Screen::new(command.json());
    match command {
        ConfigCommand::Check(args) => {
            let config = load(home, &args.set.overrides(), &screen)?;
            check_files(&config, home)?;
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

/// The configuration of `home`, with its warnings shown.
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

/// What must be there before a daemon can train.
fn check_files(config: &Config, home: &Home) -> Result<(), Failure> {
    let missing = |code, key: &str, path: &std::path::Path| {
        Failure::new(code, format!("`{key}` names a file that cannot be read"))
            .at(path.display())
            .next(format!("correct it in {}", home.config().display()))
    };
    if let Some(model) = &config.model.path
        && !model.exists()
    {
        return Err(missing(ErrorCode::ModelUnreadable, "model.path", model));
    }
    for (key, files) in
        [("data.train", &config.data.train), ("data.held_out", &config.data.held_out)]
    {
        if let Some(file) = files.iter().find(|file| std::fs::File::open(file).is_err()) {
            return Err(missing(ErrorCode::DataUnreadable, key, file));
        }
    }
    Ok(())
}

fn render(config: &Config, _: Colours) -> String {
    toml::to_string_pretty(config).unwrap_or_else(|error| format!("# {error}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_a_key_and_a_value() {
        assert_eq!(key_and_value("a.b = c=d").unwrap(), ("a.b".into(), "c=d".into()));
        assert!(key_and_value("a.b").is_err());
    }

    #[test]
    fn a_missing_data_file_has_the_exit_code_of_data() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        std::fs::write(home.config(), "name = \"a\"\n[data]\ntrain = [\"gone.jsonl\"]\n").unwrap();
        let screen = Screen::new(false);
        let config = load(&home, &Overrides::default(), &screen).unwrap();
        let failure = check_files(&config, &home).unwrap_err();
        assert_eq!(failure.code, ErrorCode::DataUnreadable);
        assert!(failure.place.unwrap().ends_with("gone.jsonl"));
    }
}
