//! Labelled data in memory, readers, splits and samplers.
//!
//! A [`Source`] comes from [`catalog::open`], by the name of a set that ships or by a path: IDX files, CIFAR batches,
//! image folders, also in a zip or tar, CSV tables. [`split`] divides it; [`Shuffled`], [`MPerClass`],
//! [`Hierarchical`], [`CrossGroups`] and [`FixedTuples`] put its items into batches, and a [`SamplerReport`] says what
//! they visit. [`Items`] are whatever an encoder that was trained before shall see. Nothing here writes or prints, and
//! every draw is fixed by its seed.

mod archive;
mod bytes;
pub mod catalog;
mod cifar;
mod columns;
mod cross_groups;
mod csv;
mod dataset;
mod decode;
mod error;
mod fixed_tuples;
mod folder;
mod hierarchical;
mod idx;
mod items;
mod noise;
mod notes;
mod random;
mod resize;
mod sampler;
mod sampler_report;
pub mod split;
mod tree;

pub use crate::digest::digest;
pub use archive::ArchiveError;
pub use columns::named_columns;
pub use cross_groups::CrossGroups;
pub use dataset::{Dataset, Inputs, Shape};
pub use error::DataError;
pub use fixed_tuples::FixedTuples;
pub use folder::IMAGE_EXTENSIONS;
pub use hierarchical::Hierarchical;
pub use items::{ItemKind, Items};
pub use noise::false_labels;
pub use notes::listed;
pub use sampler::{MPerClass, Shuffled};
pub use sampler_report::SamplerReport;

/// The parts in which a data set comes.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// To train on.
    pub train: Dataset,
    /// To choose settings on, if the source has its own.
    pub validation: Option<Dataset>,
    /// To score on, if the source has its own.
    pub test: Option<Dataset>,
    /// What a person should know about how it was read, one sentence each: images that were scaled, files that were
    /// left out, classes too small to be scored.
    pub notes: Vec<String>,
}

impl Source {
    /// A source of nothing but items to train on.
    pub fn of(train: Dataset) -> Self {
        Self { train, validation: None, test: None, notes: Vec::new() }
    }
}
