//! Learned Mahalanobis distances: linear metric learning in host memory, without a neural network.
//!
//! A learner turns rows and labels into a linear map `L`, and the distance is `d(a, b) = |L (a - b)|`. Rows may be raw
//! features or the output of a frozen encoder.
//!
//! | learner | supervision | what it wants | cost of one iteration |
//! |---|---|---|---|
//! | [`Lmnn`] | classes | nearest neighbours of the own class, by a margin | `n^2 k`, plus the impostors |
//! | [`Nca`] | classes | most of each row's soft neighbourhood in its own class | `n^2 (k + d)`, dense |
//! | [`Itml`] | pairs, or classes | same pairs within one distance, different pairs beyond another | `pairs * d^2` |
//! | [`Pca`] | none | the directions of greatest variance: the baseline | one eigendecomposition |
//!
//! Rows cross the boundary as [`Matrix`] (`f32`); all computing is in `f64`. Results do not depend on the number of
//! threads, and those of [`Lmnn`] and [`Nca`] not on the order of the rows.
//!
//! **When not to use these.** A linear map cannot bend: where classes are not linearly closer in the features given,
//! learn features first. With more features than rows, reduce them by [`Pca`]; learners with `d^2` free values overfit.

mod bounds;
mod constraints;
mod data;
mod error;
mod gradient;
mod hinge;
mod init;
mod itml;
mod lbfgs;
mod linalg;
mod lmnn;
mod model;
mod nca;
mod pca;
mod threshold;

pub use constraints::LabeledPairs;
pub use error::MahalanobisError;
pub use init::Init;
pub use itml::{Itml, Prior};
pub use lmnn::Lmnn;
pub use model::Mahalanobis;
pub use nca::Nca;
pub use pca::{Keep, Pca};
pub use threshold::{ThresholdStrategy, choose_threshold};

use nearfar_core::matrix::Matrix;

use self::lbfgs::Minimum;

/// Learns a distance from rows and class labels.
pub trait Learner {
    /// Learns from rows `x`, `[n, d]`, and `labels`, one class for each row; any numbers may name the classes.
    ///
    /// # Errors
    /// On settings outside their ranges, values that are not finite, lengths that differ, and labels that the learner
    /// can learn nothing from; see each learner.
    fn fit(&self, x: &Matrix, labels: &[usize]) -> Result<Fitted, MahalanobisError>;
}

/// A learned distance, and how it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// The distance.
    pub model: Mahalanobis,
    /// Iterations of the solver; 0 when the start could not be improved.
    pub iterations: usize,
    /// The learner's own objective: for [`Lmnn`] (falling) and [`Nca`] (rising) at the start and after each iteration,
    /// for [`Itml`] after each sweep.
    pub objective: Vec<f64>,
    /// Whether the solver met its tolerance, or could go no further, before its iterations ran out.
    pub converged: bool,
    /// Rows that the distance was learned from: fewer than were given where a setting asks for a sample.
    pub rows_used: usize,
}

impl Fitted {
    /// From a minimum of `sign` times the objective over maps of `input_dim` features.
    fn from_minimum(found: Minimum, input_dim: usize, rows_used: usize, sign: f64) -> Result<Self, MahalanobisError> {
        let Minimum { point, trace, converged } = found;
        if trace.iter().any(|v| !v.is_finite()) {
            return Err(MahalanobisError::Overflow { what: "the objective at the start" });
        }
        let objective: Vec<f64> = trace.into_iter().map(|v| sign * v).collect();
        let model = Mahalanobis::new(point, input_dim)?;
        Ok(Self { model, iterations: objective.len() - 1, objective, converged, rows_used })
    }
}
