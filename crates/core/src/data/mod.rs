//! Labelled data in memory, readers, splits and samplers.
//!
//! A [`Source`] comes from [`catalog::open`], by the name of a set that ships or by a path: IDX files, CIFAR batches,
//! image folders, CSV tables. [`split`] divides it, [`Shuffled`] and [`MPerClass`] put its items into batches. Nothing
//! here writes or prints, and every draw is fixed by its seed.

mod bytes;
pub mod catalog;
mod cifar;
mod csv;
mod dataset;
mod decode;
mod error;
mod folder;
mod idx;
mod random;
mod resize;
mod sampler;
pub mod split;

pub use dataset::{Dataset, Inputs, Shape};
pub use error::DataError;
pub use folder::IMAGE_EXTENSIONS;
pub use sampler::{MPerClass, Shuffled};

/// The parts in which a data set comes.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// To train on.
    pub train: Dataset,
    /// To choose settings on, if the source has its own.
    pub validation: Option<Dataset>,
    /// To score on, if the source has its own.
    pub test: Option<Dataset>,
}
