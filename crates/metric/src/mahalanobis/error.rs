//! What can go wrong when a Mahalanobis distance is learned or used.

use nearfar_core::matrix::MatrixShapeError;
use thiserror::Error;

/// Why a learner, a model or a calibration refused its input.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum MahalanobisError {
    /// Not enough rows to learn from.
    #[error("{got} rows are too few: at least {needed} are needed; give more rows")]
    TooFewRows {
        /// Rows given.
        got: usize,
        /// Rows needed.
        needed: usize,
    },
    /// A matrix without columns.
    #[error("the matrix has no columns: a distance needs at least one feature")]
    NoFeatures,
    /// Two inputs that must run side by side do not.
    #[error("{what}: expected {expected}, got {got}")]
    LengthMismatch {
        /// Which input.
        what: &'static str,
        /// Length (or width) expected.
        expected: usize,
        /// Length (or width) given.
        got: usize,
    },
    /// A NaN or an infinity in the data.
    #[error("row {row}, column {column} is not finite; drop the row or impute the value first")]
    NonFinite {
        /// Row of the value.
        row: usize,
        /// Column of the value.
        column: usize,
    },
    /// Labels that name a single class.
    #[error("every row has label {class}: a learner that separates classes needs at least two")]
    OneClass {
        /// The only label.
        class: usize,
    },
    /// A class without enough members for its target neighbours.
    #[error(
        "class {class} has {rows} rows, but {neighbors} target neighbours need {}; {}drop or merge the class",
        neighbors + 1,
        if *rows > 1 { format!("lower `neighbors` to at most {}, or ", rows - 1) } else { String::new() }
    )]
    ClassTooSmall {
        /// The label of the class.
        class: usize,
        /// Its rows.
        rows: usize,
        /// Target neighbours asked for.
        neighbors: usize,
    },
    /// A setting outside its range.
    #[error("setting `{setting}` is {value}, but must be {allowed}")]
    InvalidSetting {
        /// Name of the setting.
        setting: &'static str,
        /// Value given.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A pair, triplet or quadruplet that names a row that does not exist.
    #[error("{kind} {tuple} names row {index}, but there are {rows} rows, counted from 0")]
    TupleOutOfRange {
        /// `pair`, `triplet` or `quadruplet`.
        kind: &'static str,
        /// Position of the tuple.
        tuple: usize,
        /// The index it holds.
        index: usize,
        /// Rows there are.
        rows: usize,
    },
    /// Nothing of the kind that is needed.
    #[error("there is no {kind}: give at least one of them")]
    NoTuples {
        /// What is needed.
        kind: &'static str,
    },
    /// No pair of the kind that is needed.
    #[error("there is no {kind} pair: give at least one of them")]
    MissingPairs {
        /// `same` or `different`.
        kind: &'static str,
    },
    /// Every pair joins two identical rows.
    #[error("every pair joins identical rows, which no linear distance can move; give pairs of distinct rows")]
    NoDistinctPairs,
    /// Triplets that no direction agrees with.
    #[error(
        "no direction brings the near rows of the triplets nearer than the far ones; check that each triplet is \
         (row, near row, far row)"
    )]
    ContradictoryTriplets,
    /// A covariance that cannot be inverted.
    #[error(
        "the covariance of {dim} features has rank {rank} and no inverse; reduce the features first (`Pca`), give more \
         rows, or use the identity prior"
    )]
    SingularCovariance {
        /// Its rank.
        rank: usize,
        /// Its size.
        dim: usize,
    },
    /// More components than directions in which the rows differ.
    #[error("{asked} components were asked for, but the rows vary in {rank} directions only; ask for at most {rank}")]
    RankTooLow {
        /// Components asked for.
        asked: usize,
        /// Directions of variation.
        rank: usize,
    },
    /// A matrix that is no metric.
    #[error("the matrix has the negative eigenvalue {eigenvalue}: a Mahalanobis matrix is positive semidefinite")]
    NotPositiveSemidefinite {
        /// The smallest eigenvalue.
        eigenvalue: f64,
    },
    /// A prediction before a threshold was chosen.
    #[error("the model has no threshold; call `calibrate` or `set_threshold` first")]
    NotCalibrated,
    /// Numbers left the range of floating point.
    #[error(
        "{what} left the range of floating point; bring the features to a common scale (for example unit variance)"
    )]
    Overflow {
        /// What was being computed.
        what: &'static str,
    },
    /// An eigendecomposition that did not finish.
    #[error("the eigendecomposition of a {dim} x {dim} matrix did not converge; rescale the features to unit variance")]
    EigenNotConverged {
        /// Its size.
        dim: usize,
    },
    /// A buffer that does not fit its shape.
    #[error(transparent)]
    Shape(#[from] MatrixShapeError),
}

impl MahalanobisError {
    /// A setting outside its range.
    pub(super) fn setting(setting: &'static str, value: impl ToString, allowed: &'static str) -> Self {
        Self::InvalidSetting { setting, value: value.to_string(), allowed }
    }
}
