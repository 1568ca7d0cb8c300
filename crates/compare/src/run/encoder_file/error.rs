//! What can be wrong with the file of an encoder.

use super::FORMAT;
use metric::mahalanobis::MahalanobisError;
use nearfar_core::{augment::AugmentError, encoder::EncoderError, weights::WeightsError};
use std::{
    io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Why such a file cannot be used.
#[derive(Debug, Error)]
pub enum EncoderFileError {
    /// A folder stands where a file is needed.
    #[error("{path} is a folder; --checkpoint takes one of the files in a run's `encoders`: {known}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The files that it has.
        known: String,
    },
    /// The system refused to read.
    #[error(
        "cannot read the encoder {path}: {source}; `compare run` writes one a row, DIR/encoders/METHOD-seedN.safetensors"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The tensors are damaged or do not fit.
    #[error("the encoder {path} cannot be used: {source}")]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: WeightsError,
    },
    /// A layout that this version does not know.
    #[error(
        "the encoder {path} has format {found}, this version reads format {expected}: use the version that wrote it"
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The format that can be read.
        expected: u32,
    },
    /// The description is damaged.
    #[error("the description in the encoder {path} is damaged: {reason}; write the file again with `compare run`")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// What is wrong with a file, before its path is known.
pub(super) enum Trouble {
    Weights(WeightsError),
    Format(u64),
    Damaged(String),
}

impl Trouble {
    pub(super) fn at(self, path: &Path) -> EncoderFileError {
        let path = path.to_owned();
        match self {
            Self::Weights(source) => EncoderFileError::Weights { path, source },
            Self::Format(found) => EncoderFileError::Format { path, found, expected: FORMAT },
            Self::Damaged(reason) => EncoderFileError::Damaged { path, reason },
        }
    }
}

impl From<WeightsError> for Trouble {
    fn from(error: WeightsError) -> Self {
        Self::Weights(error)
    }
}

impl From<serde_json::Error> for Trouble {
    fn from(error: serde_json::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<AugmentError> for Trouble {
    fn from(error: AugmentError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<EncoderError> for Trouble {
    fn from(error: EncoderError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<MahalanobisError> for Trouble {
    fn from(error: MahalanobisError) -> Self {
        Self::Damaged(error.to_string())
    }
}
