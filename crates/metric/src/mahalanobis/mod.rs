//! Learned Mahalanobis distances: linear metric learning in host memory, without a neural network.
//!
//! A learner turns rows and labels into a linear map `L`, and the distance is `d(a, b) = |L (a - b)|`. Rows may be raw
//! features or the output of a frozen encoder.
//!
//! | learner | supervision | what it wants | cost of one iteration |
//! |---|---|---|---|
//! | [`Covariance`] | none | every direction of unit variance | closed form |
//! | [`Rca`] | chunks, or classes | no variation inside chunks | closed form |
//! | [`Lfda`] | classes | classes apart, each held together only where it is near | closed form, after `n^2 d` |
//! | [`Lmnn`] | classes | nearest neighbours of the own class, by a margin | `n^2 k`, plus the impostors |
//! | [`Nca`] | classes | most of each row's soft neighbourhood in its own class | `n^2 (k + d)` |
//! | [`Mlkr`] | targets, or classes | targets predicted by the neighbours' | as [`Nca`] |
//! | [`Itml`] | pairs, or classes | same pairs within one distance, different pairs beyond another | `pairs * d^2` |
//! | [`Mmc`] | pairs, or classes | different pairs far in sum, same pairs near in sum | `pairs * d^2` |
//! | [`Sdml`] | pairs, or classes | the same, with few features that interact | `d^3` |
//! | [`Lsml`] | quadruplets, or classes | one pair nearer than another | `quadruplets * d^2` |
//! | [`Scml`] | triplets, or classes | one row nearer than another by a margin | `triplets * d`, `(n + bases) d^2` |
//! | [`Pca`] | none | the directions of greatest variance: the baseline | one eigendecomposition |
//!
//! Weak supervision (pairs, triplets, quadruplets, chunks) comes as the types of [`crate::weak`]; a [`WeakLearner`]
//! also learns from the kinds that it is not made for, where they say as much. [`pairs_from_labels`], [`quadruplets_from_labels`], [`chunks_from_labels`] and [`knn_triplets`] make it from
//! classes.
//!
//! Rows cross the boundary as [`Matrix`] (`f32`); all computing is in `f64`. Results do not depend on the number of
//! threads, and those of [`Lmnn`], [`Nca`] and [`Lfda`] not on the order of the rows.
//!
//! **When not to use these.** A linear map cannot bend: where classes are not linearly closer in the features given,
//! learn features first. With more features than rows, reduce them by [`Pca`]; learners with `d^2` free values overfit.

mod bases;
mod bounds;
mod composition;
mod constraints;
mod covariance;
mod data;
mod discriminant;
mod error;
mod gradient;
mod graphical_lasso;
mod hinge;
mod init;
mod itml;
mod knn;
mod lbfgs;
mod lfda;
mod linalg;
mod lmnn;
mod lsml;
mod mlkr;
mod mmc;
mod model;
mod nca;
mod neighbourhood;
mod order;
mod pca;
mod prior;
mod rca;
mod regions;
mod scml;
mod screen;
mod sdml;
mod threshold;
mod weak;

pub use constraints::{chunks_from_labels, pairs_from_labels, quadruplets_from_labels};
pub use covariance::Covariance;
pub use error::MahalanobisError;
pub use init::Init;
pub use itml::Itml;
pub use knn::knn_triplets;
pub use lfda::{Embedding, Lfda};
pub use lmnn::Lmnn;
pub use lsml::Lsml;
pub use mlkr::Mlkr;
pub use mmc::Mmc;
pub use model::Mahalanobis;
pub use nca::Nca;
pub use pca::{Keep, Pca};
pub use prior::Prior;
pub use rca::Rca;
pub use scml::Scml;
pub use sdml::Sdml;
pub use threshold::{ThresholdStrategy, choose_threshold};
pub use weak::WeakLearner;

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
    /// The learner's own objective: for [`Lmnn`], [`Mlkr`], [`Lsml`], [`Scml`] (falling), [`Nca`] and [`Mmc`] (rising)
    /// at the start and after each iteration, for [`Itml`] and [`Sdml`] after each sweep; empty for closed forms.
    pub objective: Vec<f64>,
    /// Whether the solver met its tolerance, or could go no further, before its iterations ran out.
    pub converged: bool,
    /// Rows that the distance was learned from: fewer than were given where a setting asks for a sample.
    pub rows_used: usize,
}

impl Fitted {
    /// A distance that no search was needed for.
    fn closed_form(model: Mahalanobis, rows_used: usize) -> Self {
        Self { model, iterations: 0, objective: Vec::new(), converged: true, rows_used }
    }

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
