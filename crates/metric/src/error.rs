use thiserror::Error;

/// Why a loss, a miner or a method cannot take what it was given.
#[derive(Debug, Error, PartialEq)]
pub enum MetricError {
    /// Not one label an embedding.
    #[error("{rows} {what} came with {labels} labels: every row needs one")]
    Labels {
        /// Embeddings or references.
        what: &'static str,
        /// Rows given.
        rows: usize,
        /// Labels given.
        labels: usize,
    },
    /// Embeddings and references of different length.
    #[error("embeddings have {embeddings} dimensions and the references {references}: both must come from one encoder")]
    Dimensions {
        /// Columns of the embeddings.
        embeddings: usize,
        /// Columns of the references.
        references: usize,
    },
    /// A setting is out of range.
    #[error("`{name}` must be {range}, got {value}")]
    Setting {
        /// The field.
        name: &'static str,
        /// Allowed values.
        range: &'static str,
        /// What was given.
        value: f64,
    },
    /// The device failed while distances were read.
    #[error("the pairwise distances could not be read from the device: {0}")]
    Device(String),
}

impl MetricError {
    /// An error unless `ok`.
    pub(crate) fn check(ok: bool, name: &'static str, range: &'static str, value: f64) -> Result<(), Self> {
        if ok { Ok(()) } else { Err(Self::Setting { name, range, value }) }
    }
}
