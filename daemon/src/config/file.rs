//! The settings. The comments in [`default_file`](super::default_file) explain the same to
//! operators.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use fedshield_net::limits::MAX_OPERATOR_ADDRESSES;
use fedshield_net::{IpNetwork, Multiaddr, check_dial, check_listen};
use fedshield_protocol::hidden::first_hidden;
use fedshield_protocol::limits::MAX_ADDRESSES;
use fedshield_train::model::{BasePrecision, ComputePrecision};
use fedshield_train::text::Template;
use fedshield_train::{ComputeDevice, TrainError};
use serde::{Deserialize, Serialize};

use super::{ConfigError, DataConfig};
use crate::service::check_level;

const MAX_NAME_BYTES: usize = 64;
const MAX_SHARED_ORIGINS: usize = 64;
const MAX_THREADS: usize = 1024;
/// As the manifest's `weight_cap`.
const MAX_WEIGHT: u32 = 1 << 24;
const DEFAULT_COMMAND_TIMEOUT_S: u64 = 3600;
/// A week.
const MAX_COMMAND_TIMEOUT_S: u64 = 7 * 24 * 3600;

/// All settings. Relative paths are relative to the home folder once [`Config::rooted`] has been
/// called, as [`Loaded`](super::Loaded) does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The name other members see.
    pub name: String,
    /// This member's weight in the mean, where the terms say that weights are declared; by
    /// convention its number of examples.
    pub weight: u32,
    /// Multiaddresses to listen on.
    pub listen: Vec<String>,
    /// Multiaddresses under which others reach this node, if they differ from `listen` (NAT, port
    /// forwarding).
    pub external_addresses: Vec<String>,
    /// IP addresses and networks of the operator's own reverse proxies: connections from them are
    /// not counted as one origin.
    pub shared_origins: Vec<String>,
    /// The frozen model.
    pub model: ModelConfig,
    /// This organisation's examples.
    pub data: DataConfig,
    /// How to compute.
    pub training: TrainingConfig,
    /// The control socket.
    pub control: ControlConfig,
    /// Metrics and dashboard.
    pub http: HttpConfig,
    /// Logs.
    pub log: LogConfig,
    /// Multiaddresses of other members, by member name: dialled in addition to those that the
    /// members announce.
    pub peers: BTreeMap<String, Vec<String>>,
}

/// The frozen model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// A Hugging Face folder (config.json, tokenizer.json, safetensors) or a GGUF file.
    pub path: Option<PathBuf>,
}

/// How to compute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingConfig {
    /// Which program trains.
    pub trainer: TrainerKind,
    /// With `trainer = "command"`: the program and its arguments.
    pub command: Vec<String>,
    /// Longest run time of the command, in seconds.
    pub command_timeout_s: u64,
    /// `auto`, `cpu`, `wgpu` or `cuda`; the last two need a build with the feature of that name.
    pub device: String,
    /// Compute each layer's activations again in the backward pass instead of keeping them.
    pub gradient_checkpointing: bool,
    /// Put several short examples into one row of a batch.
    pub packing: bool,
    /// How the frozen matrices are held in memory: `f32`, `bf16`, `f16`, `q8`, `q4` or
    /// `stored`.
    pub base_precision: BasePrecision,
    /// The least precision of matrix products: `f32`, `tf32` or `bf16`.
    pub compute_precision: ComputePrecision,
    /// Threads for training and encryption; 0: as many as the machine has cores.
    pub threads: usize,
    /// Whether this node trains on from the common adapter once the federation is done, for itself,
    /// without being asked.
    pub personal: bool,
}

/// Which program trains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrainerKind {
    /// The built-in trainer.
    #[default]
    Builtin,
    /// An external program, which is given a PEFT folder and returns one.
    Command,
}

/// The control socket.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ControlConfig {
    /// Path of the Unix socket; by default `control.sock` in the home folder.
    pub socket: Option<PathBuf>,
}

/// Metrics and dashboard.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// `127.0.0.1:9464`, or port 0 for any; not served without it.
    pub listen: Option<SocketAddr>,
    /// Must be true for an address that other machines can reach, because the pages have no
    /// password.
    pub allow_remote: bool,
    /// Host names besides `localhost` that requests may name: a check against DNS rebinding.
    pub allowed_hosts: Vec<String>,
}

/// Logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// The format of the lines.
    pub format: LogFormat,
    /// `info`, or per part: `info,fedshield_net=debug`.
    pub level: String,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For terminals.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
    /// Syslog priorities in front and no time: systemd's journal adds its own.
    Journald,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: String::new(),
            weight: 1,
            listen: vec!["/ip4/0.0.0.0/udp/7000/quic-v1".into(), "/ip4/0.0.0.0/tcp/7000".into()],
            external_addresses: Vec::new(),
            shared_origins: Vec::new(),
            model: ModelConfig::default(),
            data: DataConfig::default(),
            training: TrainingConfig::default(),
            control: ControlConfig::default(),
            http: HttpConfig::default(),
            log: LogConfig::default(),
            peers: BTreeMap::new(),
        }
    }
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            trainer: TrainerKind::Builtin,
            command: Vec::new(),
            command_timeout_s: DEFAULT_COMMAND_TIMEOUT_S,
            device: "cpu".into(),
            gradient_checkpointing: false,
            packing: true,
            base_precision: BasePrecision::F32,
            compute_precision: ComputePrecision::F32,
            threads: 0,
            personal: true,
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Human, level: "info".into() }
    }
}

impl Config {
    /// Makes every relative path relative to `home`.
    #[must_use]
    pub fn rooted(mut self, home: &Path) -> Self {
        let data = self.data.train.iter_mut().chain(&mut self.data.held_out);
        let data = data.chain(&mut self.data.test);
        let single = self.model.path.iter_mut().chain(&mut self.control.socket);
        for path in data.chain(single) {
            *path = home.join(&*path);
        }
        self
    }

    /// The networks of the operator's own proxies.
    ///
    /// # Errors
    /// An entry that is not an address or network, or too many entries.
    pub fn shared_networks(&self) -> Result<Vec<IpNetwork>, ConfigError> {
        let key = "shared_origins";
        let refuse = |reason| ConfigError::Range { key, reason };
        if self.shared_origins.len() > MAX_SHARED_ORIGINS {
            return Err(refuse(format!("at most {MAX_SHARED_ORIGINS}")));
        }
        let parse = |text: &String| {
            text.trim().parse().map_err(|error| refuse(format!("`{text}`: {error}")))
        };
        self.shared_origins.iter().map(parse).collect()
    }

    /// Refuses addresses that cannot become valid by waiting.
    fn check_addresses(&self) -> Result<(), ConfigError> {
        let peers = self.peers.values().map(|addresses| ("peers", addresses));
        let all = [("listen", &self.listen), ("external_addresses", &self.external_addresses)];
        for (key, addresses) in all.into_iter().chain(peers) {
            for text in addresses {
                let parsed = text.parse::<Multiaddr>();
                let outcome = match &parsed {
                    Err(_) => Err("not a multiaddress like /ip4/192.0.2.7/tcp/7000".to_owned()),
                    Ok(address) if key == "listen" => check_listen(address),
                    Ok(address) => check_dial(address),
                };
                outcome.map_err(|why| ConfigError::Range {
                    key,
                    reason: format!("`{text}`: {why}"),
                })?;
            }
        }
        let most = [
            ("external_addresses", self.external_addresses.len(), MAX_ADDRESSES),
            ("peers", self.peers.values().map(Vec::len).max().unwrap_or(0), MAX_OPERATOR_ADDRESSES),
        ];
        for (key, count, max) in most {
            if count > max {
                let reason = format!("{count} addresses are more than the {max} that are used");
                return Err(ConfigError::Range { key, reason });
            }
        }
        Ok(())
    }

    /// Checks what types cannot express. Whether named files and devices exist is checked by
    /// [`preflight`](crate::node::preflight), not here.
    ///
    /// # Errors
    /// The first value that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let range = |key, reason: &str| Err(ConfigError::Range { key, reason: reason.into() });
        if self.name.is_empty() {
            return Err(ConfigError::Missing { key: "name", hint: "the name other members see" });
        }
        if self.name.len() > MAX_NAME_BYTES {
            return range("name", "at most 64 bytes");
        }
        if let Some(hidden) = first_hidden(&self.name) {
            return range("name", &format!("without {hidden}, a character that nobody sees"));
        }
        if self.weight == 0 || self.weight > MAX_WEIGHT {
            return range("weight", &format!("take 1 to {MAX_WEIGHT}"));
        }
        self.check_addresses()?;
        self.shared_networks()?;
        if let Some(Err(error)) = self.data.template.as_deref().map(Template::parse) {
            return range("data.template", &error.to_string());
        }
        if let Err(TrainError::Setting { name, reason }) = self.data.reading() {
            return range(name, &reason);
        }
        if let Err(reason) = check_level(&self.log.level) {
            return range("log.level", &reason.to_string());
        }
        if let Some(host) = self.http.allowed_hosts.iter().find(|host| !is_host_name(host)) {
            let reason =
                format!("`{host}` is not a name like fed.example, without scheme and port");
            return range("http.allowed_hosts", &reason);
        }
        self.data.check_fractions()?;
        if ComputeDevice::parse(&self.training.device).is_err() {
            let names = ComputeDevice::NAMES.join(", ");
            let reason = format!("`{}` is not one of {names}", self.training.device);
            return range("training.device", &reason);
        }
        let command = &self.training.command;
        if self.training.trainer == TrainerKind::Command && command.is_empty() {
            let hint = "with trainer = \"command\", the program and its arguments";
            return Err(ConfigError::Missing { key: "training.command", hint });
        }
        if !(1..=MAX_COMMAND_TIMEOUT_S).contains(&self.training.command_timeout_s) {
            return range("training.command_timeout_s", "1 to 604800, which is a week");
        }
        if self.training.threads > MAX_THREADS {
            return range("training.threads", "at most 1024");
        }
        match self.http.listen {
            Some(address) if !address.ip().is_loopback() && !self.http.allow_remote => range(
                "http.listen",
                "not a loopback address: say allow_remote = true if you mean it",
            ),
            _ => Ok(()),
        }
    }
}

/// Whether `text` is a host name as a browser sends it, or an IP address.
fn is_host_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    text.parse::<std::net::IpAddr>().is_ok()
        || (!text.is_empty()
            && text.split('.').all(|part| !part.is_empty() && part.chars().all(plain)))
}
