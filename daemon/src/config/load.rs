//! Loading the configuration from flags, environment, file and defaults.

use std::path::Path;

use serde::Deserialize;
use toml::Table;

use super::sources::{self, SETTINGS, variable};
use super::{Config, ConfigError};
use crate::control::MAX_SOCKET_NAME_BYTES;
use crate::durable::DiskError;
use crate::home::Home;

/// Variables with the prefix of settings that are read elsewhere.
const OTHER_VARIABLES: [&str; 2] = ["FEDSHIELD_HOME", "FEDSHIELD_PASSPHRASE_FILE"];

/// Settings from the command line, in order: key as in the file, and text.
#[derive(Debug, Clone, Default)]
pub struct Overrides(pub Vec<(String, String)>);

/// A configuration, checked, with paths rooted in the home folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Warnings for the operator: variables with the prefix of settings that name no setting.
    pub warnings: Vec<String>,
}

impl Loaded {
    /// Reads the file in `home` (a missing one is empty), then the environment, then `flags`.
    ///
    /// # Errors
    /// The first thing that is wrong, naming its key and where it comes from.
    pub fn read(home: &Home, flags: &Overrides) -> Result<Self, ConfigError> {
        let path = home.config();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(DiskError::at(&path, error).into()),
        };
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self::from_sources(home, &path, &text, environment, flags)
    }

    /// The same from given sources; `path` is for messages.
    ///
    /// # Errors
    /// See [`Self::read`].
    pub fn from_sources(
        home: &Home,
        path: &Path,
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &Overrides,
    ) -> Result<Self, ConfigError> {
        let file = |error: toml::de::Error| ConfigError::File {
            path: path.to_path_buf(),
            message: error.to_string().trim_end().to_owned(),
        };
        // The unchanged text first: only here does the parser know line numbers.
        toml::from_str::<Config>(text).map_err(file)?;
        let mut table: Table = toml::from_str(text).map_err(file)?;
        let mut warnings = Vec::new();
        let mut variables: Vec<(String, String)> = environment
            .into_iter()
            .filter(|(name, _)| name.starts_with("FEDSHIELD_"))
            .filter(|(name, _)| !OTHER_VARIABLES.contains(&name.as_str()))
            .collect();
        variables.sort();
        for (name, value) in &variables {
            match SETTINGS.iter().find(|(key, _)| variable(key) == *name) {
                Some((key, _)) => set(&mut table, key, value, name)?,
                None => warnings.push(format!("{name} is not a setting and is ignored")),
            }
        }
        for (key, value) in &flags.0 {
            set(&mut table, key, value, &format!("--set {key}"))?;
        }
        let config = Config::deserialize(table).map_err(|error| ConfigError::File {
            path: path.to_path_buf(),
            message: error.message().to_owned(),
        })?;
        config.check()?;
        let config = config.rooted(home.path());
        check_socket(&config, home)?;
        Ok(Self { config, warnings })
    }
}

/// Sets one value from outside the file. The table was valid before, so an error is due to this
/// value.
fn set(table: &mut Table, key: &str, text: &str, origin: &str) -> Result<(), ConfigError> {
    sources::set(table, key, text, origin)?;
    Config::deserialize(table.clone()).map(drop).map_err(|error| ConfigError::Value {
        origin: origin.to_owned(),
        value: text.to_owned(),
        reason: error.message().trim_end().to_owned(),
    })
}

/// The folder of a socket may have a path of any length, but the socket's name has a limit.
fn check_socket(config: &Config, home: &Home) -> Result<(), ConfigError> {
    let socket = config.control.socket.clone().unwrap_or_else(|| home.control_socket());
    let name = socket.file_name().unwrap_or_default().len();
    if name == 0 || name > MAX_SOCKET_NAME_BYTES {
        let reason = format!(
            "`{}`: the name of a socket has 1 to {MAX_SOCKET_NAME_BYTES} bytes",
            socket.display()
        );
        return Err(ConfigError::Range { key: "control.socket", reason });
    }
    Ok(())
}

/// The file that `init` writes: every setting with its default, explained.
#[must_use]
pub fn default_file(name: &str) -> String {
    let name = toml::Value::String(name.to_owned()).to_string();
    include_str!("default.toml").replace("\"NAME\"", &name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(
        text: &str,
        environment: &[(&str, &str)],
        flags: &[(&str, &str)],
    ) -> Result<Loaded, ConfigError> {
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let home = Home::new("/home/node");
        let flags = Overrides(flags.iter().map(pair).collect());
        Loaded::from_sources(
            &home,
            &home.config(),
            text,
            environment.iter().map(pair).collect::<Vec<_>>(),
            &flags,
        )
    }

    #[test]
    fn flags_win_over_the_environment_over_the_file_over_defaults() {
        let text = "name = \"a\"\n[training]\nthreads = 1\n[data]\ntrain = [\"x\"]";
        let loaded = load(
            text,
            &[("FEDSHIELD_TRAINING_THREADS", "2"), ("FEDSHIELD_DATA_TRAIN", "y, /z"), ("A", "b")],
            &[("training.threads", "3"), ("http.listen", "127.0.0.1:0")],
        )
        .unwrap();
        assert_eq!(loaded.config.training.threads, 3);
        assert_eq!(loaded.config.training.device, "cpu");
        assert_eq!(loaded.config.data.train, [Path::new("/home/node/y"), Path::new("/z")]);
        assert_eq!(loaded.config.http.listen.unwrap().port(), 0);
        assert!(loaded.warnings.is_empty());
    }

    #[test]
    fn an_unknown_device_is_an_error_that_lists_those_there_are() {
        let error = load("name = \"a\"\n[training]\ndevice = \"gpu\"", &[], &[]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("training.device") && text.contains("cuda"), "{text}");
        let flags = [("training.device", "auto"), ("training.gradient_checkpointing", "true")];
        let training = load("name = \"a\"", &[], &flags).unwrap().config.training;
        assert!(training.device == "auto" && training.gradient_checkpointing);
    }

    #[test]
    fn the_base_precision_is_one_of_six_wherever_it_comes_from() {
        for precision in ["f32", "bf16", "f16", "q8", "q4", "stored"] {
            let text = format!("name = \"a\"\n[training]\nbase_precision = \"{precision}\"");
            let from_file = load(&text, &[], &[]).unwrap();
            let pair = ("training.base_precision", precision);
            let from_flag = load("name = \"a\"", &[], &[pair]).unwrap();
            let pair = ("FEDSHIELD_TRAINING_BASE_PRECISION", precision);
            let from_environment = load("name = \"a\"", &[pair], &[]).unwrap();
            for loaded in [from_file, from_flag, from_environment] {
                assert_eq!(loaded.config.training.base_precision.name(), precision);
            }
        }
        assert_eq!(
            load("name = \"a\"", &[], &[]).unwrap().config.training.base_precision.name(),
            "f32"
        );
        let text = "name = \"a\"\n[training]\nbase_precision = \"q5\"";
        let error = load(text, &[], &[]).unwrap_err().to_string();
        assert!(
            error.contains("q5") && error.contains("bf16") && error.contains("line 3"),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let error = load("name = \"a\"\n[data]\ntrian = []", &[], &[]).unwrap_err().to_string();
        assert!(error.contains("trian") && error.contains("line 3"), "{error}");
        let error = load("name = \"a\"", &[], &[("data.trian", "x")]).unwrap_err().to_string();
        assert!(error.contains("data.trian"), "{error}");
        let loaded = load("name = \"a\"", &[("FEDSHIELD_DATA_TRIAN", "x")], &[]).unwrap();
        assert!(loaded.warnings[0].contains("FEDSHIELD_DATA_TRIAN"));
    }

    #[test]
    fn a_wrong_value_says_what_is_expected_and_where_it_came_from() {
        for (text, environment, expected) in [
            ("name = 3", vec![], "line 1"),
            ("", vec![], "`name` is missing"),
            ("name = \"a\\u202eb\"", vec![], "U+202E"),
            (
                "name = \"a\"",
                vec![("FEDSHIELD_TRAINING_THREADS", "-1")],
                "FEDSHIELD_TRAINING_THREADS",
            ),
            ("name = \"a\"", vec![("FEDSHIELD_HTTP_LISTEN", "0.0.0.0:1")], "allow_remote"),
            ("name = \"a\"", vec![("FEDSHIELD_LOG_FORMAT", "xml")], "xml"),
            ("name = \"a\"\nlisten = [\"localhost:7\"]", vec![], "localhost:7"),
            ("name = \"a\"\nlisten = [\"/ip4/1.2.3.4/tcp/7/ws\"]", vec![], "/ws"),
            ("name = \"a\"\nlisten = [\"/dns4/a.example/tcp/7\"]", vec![], "external_addresses"),
            ("name = \"a\"\nlisten = [\"/ip4/1.2.3.400/tcp/7\"]", vec![], "not a multiaddress"),
            (
                "name = \"a\"\nexternal_addresses = [\"/ip4/0.0.0.0/tcp/7\"]",
                vec![],
                "no single machine",
            ),
            ("name = \"a\"\n[peers]\nclinic = [\"/ip4/1.2.3.4/tcp/0\"]", vec![], "`peers`"),
            ("name = \"a\"\n[data]\nheld_out_fraction = 0.6", vec![], "held_out_fraction"),
            ("name = \"a\"\n[training]\ntrainer = \"command\"", vec![], "training.command"),
            ("name = \"a\"\n[training]\ncommand_timeout_s = 0", vec![], "command_timeout_s"),
        ] {
            let error = load(text, &environment, &[]).unwrap_err();
            assert_eq!(error.code(), crate::error_code::ErrorCode::ConfigInvalid);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    /// The daemon reads the configuration with this function, so it refuses the same values.
    #[test]
    fn every_refusal_names_its_origin_its_value_and_the_form_wanted() {
        let flag = |key, value| load("name = \"a\"", &[], &[(key, value)]);
        for (key, value, words) in [
            ("listen", "/ip4/999.1.1.1/tcp/7000", vec!["listen", "999.1.1.1", "multiaddress like"]),
            (
                "shared_origins",
                "10.0.0.0/40",
                vec!["shared_origins", "10.0.0.0/40", "like 10.0.0.0/8"],
            ),
            ("listen", "/ip4/127.0.0.1/tcp", vec!["listen", "/ip4/127.0.0.1/tcp"]),
            ("external_addresses", "fed.example:7000", vec!["external_addresses", "multiaddress"]),
            ("log.level", "inof", vec!["log.level", "inof", "debug"]),
            ("log", "", vec!["log.level", "info"]),
            ("data.template", "foo", vec!["data.template", "foo", "alpaca"]),
            (
                "http.listen",
                "localhost:9464",
                vec!["--set http.listen", "localhost:9464", "address"],
            ),
            ("http.listen", "127.0.0.1", vec!["--set http.listen", "127.0.0.1", "address"]),
            (
                "http.allowed_hosts",
                "https://fed.example/",
                vec!["http.allowed_hosts", "fed.example"],
            ),
            ("training.base_precision", "q5", vec!["--set training.base_precision", "q5", "bf16"]),
            (
                "training.compute_precision",
                "f16",
                vec!["--set training.compute_precision", "f16", "tf32"],
            ),
            ("training.trainer", "mine", vec!["--set training.trainer", "mine", "builtin"]),
            ("training.threads", "many", vec!["--set training.threads", "many", "whole number"]),
            ("http.allow_remote", "yes", vec!["--set http.allow_remote", "yes", "true or false"]),
            ("data.train", "[[a]]", vec!["--set data.train", "commas"]),
            ("data.trian", "a", vec!["--set data.trian", "data.train"]),
            ("datas", "a", vec!["--set datas", "data.train", "listen"]),
        ] {
            let error = flag(key, value).unwrap_err().to_string();
            for word in words {
                assert!(error.contains(word), "{key}={value}: `{word}` is not in: {error}");
            }
        }
        let long = format!("/run/{}", "s".repeat(65));
        assert!(flag("control.socket", &long).unwrap_err().to_string().contains("64 bytes"));
        let both = flag("listen", "[/ip4/127.0.0.1/tcp/1, /ip6/::1/tcp/1]").unwrap();
        assert_eq!(both.config.listen, ["/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1"]);
        let environment = ("FEDSHIELD_LISTEN", "[\"/ip4/127.0.0.1/tcp/1\"]");
        let one = load("name = \"a\"", &[environment], &[]).unwrap();
        assert_eq!(one.config.listen, ["/ip4/127.0.0.1/tcp/1"]);
        assert_eq!(
            flag("http.allowed_hosts", "fed.example, ::1").unwrap().config.http.allowed_hosts.len(),
            2
        );
    }

    #[test]
    fn the_file_that_init_writes_is_the_default_with_a_name() {
        let name = "St. \"Mary's\" Hospital";
        let loaded = load(&default_file(name), &[], &[]).unwrap();
        let expected = Config { name: name.to_owned(), ..Config::default() };
        assert_eq!(loaded.config, expected.rooted(Path::new("/home/node")));
        for (key, _) in SETTINGS {
            let field = key.rsplit('.').next().unwrap();
            assert!(default_file("a").contains(field), "{key} is not explained");
        }
    }
}
