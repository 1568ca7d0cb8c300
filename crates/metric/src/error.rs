use crate::Distance;
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
    /// A loss or miner that is defined for other distances only.
    #[error("the distance is {got}, but {what} is defined for {needs} only")]
    Distance {
        /// The loss or miner.
        what: &'static str,
        /// What it takes, and how settings name it.
        needs: &'static str,
        /// The distance given.
        got: String,
    },
    /// A tuple that points outside the batch.
    #[error("a tuple has {what} {index}, but there are {rows} of them")]
    Tuple {
        /// Anchor or reference.
        what: &'static str,
        /// Its index.
        index: usize,
        /// How many there are.
        rows: usize,
    },
    /// Weak supervision that says too little for a loss.
    #[error("the loss `{loss}` cannot learn from {given}: {reason}; take a loss over {given}, such as `{instead}`")]
    Evidence {
        /// The loss.
        loss: &'static str,
        /// Pairs, triplets, quadruplets or chunks.
        given: &'static str,
        /// What it lacks.
        reason: &'static str,
        /// A loss that can.
        instead: &'static str,
    },
    /// Chunks for a loss that needs something far.
    #[error(
        "the loss `{loss}` cannot learn from chunks: nothing is said to be far, and all images may go to one point; \
         where no two chunks belong together, train on them as classes"
    )]
    NothingFar {
        /// The loss.
        loss: &'static str,
    },
    /// A class without a weight.
    #[error("class {class} has no weight: `weights` names {classes} classes")]
    ClassWeight {
        /// The class.
        class: usize,
        /// Weights given.
        classes: usize,
    },
    /// The divisor reducer on a loss that gives none.
    #[error("the reducer `divisor` needs a loss that says what to divide by; this one does not: take `mean`")]
    NoDivisor,
    /// More rows than the memory holds.
    #[error("a batch of {batch} does not fit a memory of {capacity}: every row must be in memory once")]
    Memory {
        /// Rows of the batch.
        batch: usize,
        /// Rows of the memory.
        capacity: usize,
    },
    /// Two settings that exclude each other.
    #[error("{0}")]
    Settings(&'static str),
    /// A label beyond the classes that have weights.
    #[error("label {label} has no weights: there are {classes} classes, counted from 0")]
    ClassLabel {
        /// The label.
        label: usize,
        /// Classes with weights.
        classes: usize,
    },
    /// Embeddings and class weights of different length.
    #[error("embeddings have {embeddings} dimensions and the class weights {weights}: both must have the encoder's")]
    ClassDimensions {
        /// Columns of the embeddings.
        embeddings: usize,
        /// Columns of the weights.
        weights: usize,
    },
    /// Not one weight an embedding.
    #[error("{rows} embeddings came with {weights} weights: every row needs one")]
    Weights {
        /// Embeddings given.
        rows: usize,
        /// Weights given.
        weights: usize,
    },
    /// A name that is not in the table.
    #[error("unknown {kind} `{name}`{hint}; there are: {known}")]
    Unknown {
        /// Loss or miner.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// The nearest name as a question, or nothing.
        hint: String,
        /// All names.
        known: String,
    },
    /// A sampling out of range.
    #[error("{0}")]
    Sampling(String),
    /// A loss that gave nothing to reduce.
    #[error("the loss has no elements: `ClassLoss::parts` must give at least one part")]
    NoElements,
    /// The device failed while distances or losses were read.
    #[error("values could not be read from the device: {0}")]
    Device(String),
}

impl MetricError {
    /// An error unless `value` is finite.
    pub(crate) fn finite(name: &'static str, value: f64) -> Result<(), Self> {
        Self::check(value.is_finite(), name, "finite", value)
    }

    /// An error unless `value` is finite and above zero.
    pub(crate) fn positive(name: &'static str, value: f64) -> Result<(), Self> {
        Self::check(value.is_finite() && value > 0.0, name, "a finite number above 0", value)
    }

    /// An error unless `value` is finite and not below zero.
    pub(crate) fn not_negative(name: &'static str, value: f64) -> Result<(), Self> {
        Self::check(value.is_finite() && value >= 0.0, name, "a finite number of at least 0", value)
    }

    /// An error unless `ok`: `what` is not defined for this distance.
    pub(crate) fn defined(ok: bool, what: &'static str, needs: &'static str, got: Distance) -> Result<(), Self> {
        if ok { Ok(()) } else { Err(Self::Distance { what, needs, got: format!("{got:?}") }) }
    }

    /// An error unless `ok`.
    pub(crate) fn check(ok: bool, name: &'static str, range: &'static str, value: f64) -> Result<(), Self> {
        if ok { Ok(()) } else { Err(Self::Setting { name, range, value }) }
    }
}
