//! A home with configuration and identity, all of it or nothing.

use std::fs;
use std::path::{Path, PathBuf};

use fedshield_protocol::ids::IdentityKey;
use fedshieldd::config::{Config, Loaded, Overrides, default_file};
use fedshieldd::control::api::ErrorCode;
use fedshieldd::durable;
use fedshieldd::home::Home;
use fedshieldd::identity::{Identity, Protection};
use fedshieldd::private;
use serde::Serialize;

use super::identity_failure;
use crate::failure::Failure;

/// What a home is made from.
#[derive(Debug, Clone)]
pub struct NewNode {
    /// The folder.
    pub home: PathBuf,
    /// The settings that differ from the defaults. Paths are taken relative to the current folder.
    pub config: Config,
    /// How the identity is kept.
    pub protection: Protection,
}

/// What was made.
#[derive(Debug, Clone, Serialize)]
pub struct MadeNode {
    /// The folder.
    pub home: PathBuf,
    /// The configuration file.
    pub config: PathBuf,
    /// The node's public key: its name for all others.
    pub identity_key: IdentityKey,
    /// The identity is encrypted with a passphrase.
    #[serde(rename = "sealed")]
    pub encrypted: bool,
}

/// Makes the home of a node: configuration first, identity last, so that a home with an identity is
/// complete.
///
/// # Errors
/// See [`run`](super::run).
pub fn make_node(new: &NewNode) -> Result<MadeNode, Failure> {
    let home = Home::new(std::path::absolute(&new.home).unwrap_or_else(|_| new.home.clone()));
    refuse_a_second(&home)?;
    let config = with_absolute_paths(&new.config)?;
    let text = config_file(&config, &home)?;
    durable::make_folder(home.path())
        .and_then(|()| private::make_folder_private(home.path()))
        .map_err(|error| Failure::from_disk(&error, home.path()))?;
    // All of it or nothing: half a configuration would refuse the next attempt.
    durable::replace(&home.config(), text.as_bytes())
        .map_err(|error| Failure::from_disk(&error, &home.config()))?;
    let identity = Identity::create(&home.identity(), &new.protection).map_err(|error| {
        // An incomplete home would refuse the next attempt.
        let _ = fs::remove_file(home.config());
        identity_failure(&error)
    })?;
    Ok(MadeNode {
        home: home.path().to_path_buf(),
        config: home.config(),
        identity_key: identity.key(),
        encrypted: identity.is_protected(),
    })
}

/// Refuses a home that has a node already, before anything is asked or made.
pub(super) fn refuse_a_second(home: &Home) -> Result<(), Failure> {
    for (path, what) in [(home.identity(), "an identity"), (home.config(), "a configuration")] {
        if path.exists() {
            return Err(Failure::new(
                ErrorCode::WrongState,
                format!("this home has {what} already"),
            )
            .at(path.display())
            .next("nothing was changed; choose another home with `--home`"));
        }
    }
    Ok(())
}

/// Makes the paths in the configuration absolute: the daemon runs in another folder than this
/// command.
fn with_absolute_paths(config: &Config) -> Result<Config, Failure> {
    let mut config = config.clone();
    if let Some(model) = &mut config.model.path {
        *model = existing(model, ErrorCode::ModelUnreadable, "the base model")?;
    }
    let data = &mut config.data;
    for file in data.train.iter_mut().chain(&mut data.held_out).chain(&mut data.test) {
        *file = existing(file, ErrorCode::DataUnreadable, "the data")?;
    }
    Ok(config)
}

fn existing(path: &Path, code: ErrorCode, what: &str) -> Result<PathBuf, Failure> {
    path.canonicalize().map_err(|error| {
        Failure::new(code, format!("cannot find {what}: {error}"))
            .at(path.display())
            .next("check the path for a typing error")
    })
}

/// The commented default file, with the settings of `config` that differ in their places.
fn config_file(config: &Config, home: &Home) -> Result<String, Failure> {
    let mut text = default_file(&config.name);
    let usual = table(&Config { name: config.name.clone(), ..Config::default() })?;
    for (name, value) in &table(config)? {
        let usual = usual.get(name);
        match value {
            toml::Value::Table(section) => {
                for (key, value) in section {
                    if usual.and_then(|usual| usual.get(key)) != Some(value) {
                        text = with_setting(&text, name, key, value);
                    }
                }
            }
            value if usual != Some(value) => text = with_setting(&text, "", name, value),
            _ => {}
        }
    }
    // What the daemon will read must be what was asked for.
    let read = Loaded::from_sources(home, &home.config(), &text, [], &Overrides::default())
        .map_err(|error| Failure::new(error.code(), error.to_string()))?;
    if read.config != config.clone().rooted(home.path()) {
        return Err(Failure::new(
            ErrorCode::Internal,
            "a setting has no place in the configuration",
        )
        .at(home.config().display()));
    }
    Ok(text)
}

fn table(config: &Config) -> Result<toml::Table, Failure> {
    toml::Table::try_from(config)
        .map_err(|error| Failure::new(ErrorCode::Internal, error.to_string()))
}

/// `text` with the line of `key` in `section` replaced, whether or not it was a comment.
fn with_setting(text: &str, section: &str, key: &str, value: &toml::Value) -> String {
    let mut current = String::new();
    let mut out = String::with_capacity(text.len() + 64);
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut current);
        }
        let bare = line.trim_start_matches("# ");
        let here =
            current == section && bare.split_once(" = ").is_some_and(|(name, _)| name == key);
        out.push_str(&if here { format!("{key} = {value}") } else { line.to_owned() });
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use fedshieldd::config::{BasePrecision, DataConfig, HttpConfig, ModelConfig, TrainingConfig};

    use super::*;

    fn node(folder: &Path) -> NewNode {
        let training = TrainingConfig {
            base_precision: BasePrecision::Q8,
            device: "auto".into(),
            gradient_checkpointing: true,
            packing: false,
            threads: 2,
            ..TrainingConfig::default()
        };
        let data = folder.join("a \"quoted\" name.jsonl");
        fs::write(&data, "{}\n").unwrap();
        NewNode {
            home: folder.join("home"),
            config: Config {
                name: "bank".into(),
                listen: vec!["/ip4/127.0.0.1/tcp/0".into()],
                external_addresses: vec!["/dns4/bank.example/tcp/7000".into()],
                model: ModelConfig { path: Some(folder.to_path_buf()) },
                data: DataConfig {
                    train: vec![data],
                    held_out_fraction: Some(0.2),
                    ..DataConfig::default()
                },
                training,
                http: HttpConfig {
                    listen: Some(([127, 0, 0, 1], 0).into()),
                    ..HttpConfig::default()
                },
                ..Config::default()
            },
            protection: Protection::None,
        }
    }

    #[test]
    fn the_daemon_reads_what_was_asked_for_and_the_comments_stay() {
        let folder = tempfile::tempdir().unwrap();
        let new = node(folder.path());
        let made = make_node(&new).unwrap();
        let text = fs::read_to_string(&made.config).unwrap();
        assert!(text.contains("# This organisation's examples"));
        let home = Home::new(&made.home);
        let read = Loaded::from_sources(&home, &made.config, &text, [], &Overrides::default());
        let config = read.unwrap().config;
        assert_eq!(config.data.held_out_fraction, Some(0.2));
        assert_eq!(config.training, new.config.training);
        assert_eq!(config.http.listen.unwrap().port(), 0);
        assert!(config.data.train[0].ends_with("a \"quoted\" name.jsonl"));
        assert_eq!(Identity::public_key_at(&home.identity()).unwrap(), made.identity_key);
    }

    #[test]
    fn every_way_to_compute_stands_in_the_file_with_its_default() {
        let folder = tempfile::tempdir().unwrap();
        let mut new = node(folder.path());
        new.config.training = TrainingConfig::default();
        let text = fs::read_to_string(make_node(&new).unwrap().config).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for setting in [
            "device = \"cpu\"",
            "gradient_checkpointing = false",
            "packing = true",
            "base_precision = \"f32\"",
            "compute_precision = \"f32\"",
            "threads = 0",
        ] {
            let at = lines.iter().position(|line| *line == setting);
            let at = at.unwrap_or_else(|| panic!("{setting} is missing in\n{text}"));
            assert!(lines[at - 1].starts_with("# "), "{setting} is not explained");
        }
    }

    #[test]
    fn an_identity_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let first = make_node(&node(folder.path())).unwrap();
        let failure = make_node(&node(folder.path())).unwrap_err();
        assert_eq!(failure.code, ErrorCode::WrongState);
        let home = Home::new(&first.home);
        assert_eq!(Identity::public_key_at(&home.identity()).unwrap(), first.identity_key);
    }

    #[test]
    fn a_failed_init_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let mut new = node(folder.path());
        new.config.listen = vec!["localhost".into()];
        assert_eq!(make_node(&new).unwrap_err().code, ErrorCode::ConfigInvalid);
        new = node(folder.path());
        new.config.data.train = vec![folder.path().join("gone.jsonl")];
        assert_eq!(make_node(&new).unwrap_err().code, ErrorCode::DataUnreadable);
        assert!(!new.home.exists());
    }
}
