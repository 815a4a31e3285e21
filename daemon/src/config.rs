//! The configuration. Precedence, highest first: flags, environment, file, defaults.

mod data;
mod error;
mod file;
mod load;
mod sources;

pub use data::DataConfig;
pub use error::ConfigError;
pub use fedshield_train::ComputeDevice;
pub use fedshield_train::model::BasePrecision;
pub use file::{
    Config, ControlConfig, HttpConfig, LogConfig, LogFormat, ModelConfig, TrainerKind,
    TrainingConfig,
};
pub use load::{Loaded, Overrides, default_file};
pub use sources::SETTINGS;
