//! Burn's backends by name. Only an application opens one; libraries take the [`Device`] they are given.

pub use nearfar_kernels::keep_freed_memory;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use thiserror::Error;

/// A backend that training can run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// A real GPU through wgpu if there is one, else [`Backend::Flex`].
    Auto,
    /// Burn's pure-Rust CPU backend.
    Flex,
    /// The older CPU backend over `ndarray`, with the same fused operations.
    NdArray,
    /// Vulkan, Metal, DirectX or OpenGL through wgpu.
    Wgpu,
    /// NVIDIA's CUDA; a cargo feature of the application.
    Cuda,
}

/// Why a backend cannot be used.
#[derive(Debug, Error)]
pub enum BackendError {
    /// Not one of the names.
    #[error("unknown backend `{name}`{hint}; known: {known}", known = Backend::NAMES.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The nearest known name, as a sentence part.
        hint: String,
    },
    /// Left out of this build.
    #[error("this build has no {0} backend: build again with `--features {0}`")]
    NotCompiled(Backend),
    /// wgpu found nothing to run on.
    #[error(
        "wgpu found no adapter ({reason}): install a Vulkan driver (software: Debian's mesa-vulkan-drivers) or use `--backend flex`"
    )]
    NoAdapter {
        /// What wgpu said.
        reason: String,
    },
}

impl Backend {
    /// Every name that [`Backend::from_str`] takes.
    pub const NAMES: [&'static str; 5] = ["auto", "wgpu", "ndarray", "flex", "cuda"];
    /// The backends themselves, `auto` aside.
    pub const ALL: [Self; 4] = [Self::Flex, Self::NdArray, Self::Wgpu, Self::Cuda];

    /// Opens the backend's first device; for [`Backend::Auto`] also says which one it became.
    ///
    /// # Errors
    /// When the backend is not part of this build or has no adapter.
    pub fn open(self) -> Result<(Self, Device), BackendError> {
        match self {
            Self::Auto => match open_gpu() {
                Ok(device) => Ok((Self::Wgpu, device)),
                Err(_) => Self::Flex.open(),
            },
            #[cfg(feature = "flex")]
            Self::Flex => Ok((self, Device::flex())),
            // Burn recommends Flex instead; this project keeps the backend because its users name it.
            #[cfg(feature = "ndarray")]
            #[allow(deprecated)]
            Self::NdArray => Ok((self, Device::ndarray())),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => open_wgpu().map(|device| (self, device)),
            #[cfg(feature = "cuda")]
            Self::Cuda => Ok((self, Device::cuda(0))),
            #[allow(unreachable_patterns)]
            other => Err(BackendError::NotCompiled(other)),
        }
    }
}

/// The wgpu device, and whether it is only software on the CPU.
#[cfg(feature = "wgpu")]
fn wgpu_device() -> Result<(Device, bool), BackendError> {
    // A device can be registered once per process: later calls get the first one's clone.
    static DEVICE: std::sync::OnceLock<Result<(Device, bool), String>> = std::sync::OnceLock::new();
    let opened = DEVICE.get_or_init(|| {
        let (device, setup) = Device::wgpu_options().init_with_setup().map_err(|e| format!("{e:?}"))?;
        // By its name in wgpu's list of kinds, because wgpu itself is no dependency of this crate.
        let software = format!("{:?}", setup.adapter.get_info().device_type) == "Cpu";
        Ok((device, software))
    });
    opened.clone().map_err(|reason| BackendError::NoAdapter { reason })
}

#[cfg(feature = "wgpu")]
fn open_wgpu() -> Result<Device, BackendError> {
    wgpu_device().map(|(device, _)| device)
}

/// A wgpu device that is a real GPU: on a software adapter a machine trains slower than on Flex.
#[cfg(feature = "wgpu")]
fn open_gpu() -> Result<Device, BackendError> {
    match wgpu_device()? {
        (_, true) => Err(BackendError::NoAdapter { reason: "only a software adapter".into() }),
        (device, false) => Ok(device),
    }
}

#[cfg(not(feature = "wgpu"))]
fn open_gpu() -> Result<Device, BackendError> {
    Err(BackendError::NotCompiled(Backend::Wgpu))
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Flex => "flex",
            Self::NdArray => "ndarray",
            Self::Wgpu => "wgpu",
            Self::Cuda => "cuda",
        })
    }
}

impl FromStr for Backend {
    type Err = BackendError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "auto" => Ok(Self::Auto),
            "flex" => Ok(Self::Flex),
            "ndarray" => Ok(Self::NdArray),
            "wgpu" => Ok(Self::Wgpu),
            "cuda" => Ok(Self::Cuda),
            _ => Err(BackendError::Unknown { name: name.to_owned(), hint: did_you_mean(name, Self::NAMES) }),
        }
    }
}

/// `, did you mean X?` for the nearest of `known`, or nothing when none is near.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let nearest = known
        .into_iter()
        .map(|k| (strsim::jaro_winkler(&name.to_lowercase(), k), k))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(similarity, _)| *similarity > 0.7);
    nearest.map_or_else(String::new, |(_, k)| format!(", did you mean `{k}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_typos_get_a_hint() {
        for name in Backend::NAMES {
            assert_eq!(name.parse::<Backend>().unwrap().to_string(), name);
        }
        let message = "wpgu".parse::<Backend>().unwrap_err().to_string();
        assert!(message.contains("did you mean `wgpu`?"), "{message}");
    }
}
