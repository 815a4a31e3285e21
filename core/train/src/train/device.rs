//! Where to compute, chosen at run time.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::Result;

/// A compute device by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ComputeDevice {
    /// The best one this build and machine have.
    #[default]
    Auto,
    /// The processor. Threads: the environment variable `RAYON_NUM_THREADS`.
    Cpu,
}

impl ComputeDevice {
    /// Opens the device.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Auto | Self::Cpu => Ok(Device::flex()),
        }
    }
}
