//! The compute device, chosen at run time among those of the build.

use burn_tensor::Device;
use serde::{Deserialize, Serialize};

use super::probe;
use crate::{Result, TrainError};

/// A compute device by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ComputeDevice {
    /// CUDA, else a GPU through wgpu, else the processor: the first that this build and machine
    /// support.
    #[default]
    Auto,
    /// The processor. `RAYON_NUM_THREADS` sets the number of threads.
    Cpu,
    /// Any GPU through Vulkan, Metal or DirectX; needs a build with the feature `wgpu`.
    Wgpu,
    /// An NVIDIA GPU; needs a build with the feature `cuda`.
    Cuda,
}

impl ComputeDevice {
    /// All names, for error messages.
    pub const NAMES: [&str; 4] = ["auto", "cpu", "wgpu", "cuda"];

    /// Parses a name.
    ///
    /// # Errors
    /// An unknown name; the error lists the valid ones.
    pub fn parse(name: &str) -> Result<Self> {
        Ok(match name {
            "auto" => Self::Auto,
            "cpu" => Self::Cpu,
            "wgpu" => Self::Wgpu,
            "cuda" => Self::Cuda,
            _ => {
                let reason = format!("is not one of {}", Self::NAMES.join(", "));
                return Err(TrainError::Device { name: name.to_owned(), reason });
            }
        })
    }

    /// Its name in settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Wgpu => "wgpu",
            Self::Cuda => "cuda",
        }
    }

    /// Whether this build supports the device.
    #[must_use]
    pub fn is_built(self) -> bool {
        match self {
            Self::Auto | Self::Cpu => true,
            Self::Wgpu => cfg!(feature = "wgpu"),
            Self::Cuda => cfg!(feature = "cuda"),
        }
    }

    /// The device that `open` would open; never `Auto`. A GPU is tried in a child process first if
    /// this program answers probes (see [`answer_device_probe`](crate::answer_device_probe)),
    /// because a missing driver can hang or end a process. In a program that does not, `Auto` is
    /// the processor.
    ///
    /// # Errors
    /// A device requested by name that this build or machine does not have.
    pub fn resolve(self) -> Result<Self> {
        match self {
            Self::Cpu => Ok(Self::Cpu),
            Self::Auto => {
                let usable = |device: &Self| {
                    device.is_built() && probe::answers() && probe::run(*device, true).is_ok()
                };
                Ok([Self::Cuda, Self::Wgpu].into_iter().find(usable).unwrap_or(Self::Cpu))
            }
            Self::Wgpu | Self::Cuda if !self.is_built() => Err(self.error(format!(
                "this program was built without it: build with `--features {}`, or set the device to cpu",
                self.name()
            ))),
            Self::Wgpu | Self::Cuda => {
                if probe::answers() {
                    probe::run(self, false).map_err(|reason| self.error(reason))?;
                }
                Ok(self)
            }
        }
    }

    /// Opens the device.
    ///
    /// # Errors
    /// Those of [`Self::resolve`].
    pub fn open(self) -> Result<Device> {
        self.resolve()?.device()
    }

    /// The Burn device, without trying it. Burn opens it on first use.
    pub(super) fn device(self) -> Result<Device> {
        match self {
            Self::Auto | Self::Cpu => Ok(Device::flex()),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => Ok(Device::wgpu(burn_tensor::DeviceKind::DefaultDevice)),
            #[cfg(feature = "cuda")]
            Self::Cuda => Ok(Device::cuda(0)),
            #[cfg(not(all(feature = "wgpu", feature = "cuda")))]
            other => Err(other.error("this program was built without it".to_owned())),
        }
    }

    fn error(self, reason: String) -> TrainError {
        TrainError::Device { name: self.name().to_owned(), reason }
    }
}

impl std::fmt::Display for ComputeDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for ComputeDevice {
    type Err = TrainError;

    fn from_str(name: &str) -> Result<Self> {
        Self::parse(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for name in ComputeDevice::NAMES {
            assert_eq!(ComputeDevice::parse(name).unwrap().name(), name);
            let json: ComputeDevice = serde_json::from_value(name.into()).unwrap();
            assert_eq!(json.name(), name);
        }
        let error = ComputeDevice::parse("gpu").unwrap_err().to_string();
        assert!(error.contains("auto, cpu, wgpu, cuda"), "{error}");
    }

    #[test]
    fn what_is_not_built_is_refused_and_auto_still_works() {
        for device in [ComputeDevice::Wgpu, ComputeDevice::Cuda] {
            if !device.is_built() {
                let error = device.open().unwrap_err().to_string();
                assert!(error.contains(&format!("--features {}", device.name())), "{error}");
            }
        }
        // The test program does not answer probes.
        assert_eq!(ComputeDevice::Auto.resolve().unwrap(), ComputeDevice::Cpu);
    }
}
