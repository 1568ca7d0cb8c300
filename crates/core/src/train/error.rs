use super::{CheckpointError, PassesError};
use crate::{augment::AugmentError, data::DataError, encoder::EncoderError};
use std::path::PathBuf;
use thiserror::Error;

/// Why a batch has no loss.
pub type BatchError = Box<dyn std::error::Error + Send + Sync>;

/// Why a run could not begin or go on.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The data do not fit the run.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The augmenter makes fewer views than the method needs.
    #[error("{method} needs {needed} views of each image, the augmentation gives {given}: add a recipe for every view")]
    Views {
        /// Which method.
        method: &'static str,
        /// Views that it needs.
        needed: usize,
        /// Views that the augmenter makes.
        given: usize,
    },
    /// The recipes do not fit the data.
    #[error(transparent)]
    Augment(#[from] AugmentError),
    /// The encoder cannot take a view.
    #[error("view {view} does not fit the encoder: {reason}")]
    View {
        /// Number of the view, from 0.
        view: usize,
        /// What the encoder says.
        reason: EncoderError,
    },
    /// The loss of a batch could not be computed.
    #[error("{method} has no loss at step {step}: {reason}")]
    NoLoss {
        /// Which method.
        method: &'static str,
        /// Step, from 1.
        step: usize,
        /// What the method said.
        reason: BatchError,
    },
    /// The loss became NaN or infinite.
    #[error(
        "the loss of {method} is {loss} at step {step}: lower the learning rate or raise the temperature{}",
        .checkpoint.as_ref().map_or_else(String::new, |p| format!("; the last good checkpoint is {}", p.display()))
    )]
    NonFinite {
        /// Which method.
        method: &'static str,
        /// The loss.
        loss: f64,
        /// Step, from 1.
        step: usize,
        /// The last checkpoint written before.
        checkpoint: Option<PathBuf>,
    },
    /// The device failed.
    #[error("the device failed at step {step}: {reason}")]
    Device {
        /// Step, from 1.
        step: usize,
        /// What it said.
        reason: String,
    },
    /// A checkpoint could not be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A setting is out of range.
    #[error(transparent)]
    Optimizer(#[from] crate::optim::OptimizerError),
    /// The method cannot pass its batches as asked for.
    #[error(transparent)]
    Passes(#[from] PassesError),
}
