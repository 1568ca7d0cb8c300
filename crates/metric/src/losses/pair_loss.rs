use super::term::{Term, reduce};
use crate::{Distance, MetricError, Pairwise, Reducer, Tuples};
use burn::tensor::Tensor;
use std::fmt::Debug;

/// A loss over the distances of a batch.
///
/// A loss says what its elements are worth and how their values change with the distances ([`PairLoss::terms`]); the
/// rest is the same for all: the reducer weighs the elements, and value and derivative go back to autodiff together.
/// A batch without tuples costs nothing, keeps its graph and has a gradient of zero. A distance that is no number makes
/// the loss no number.
pub trait PairLoss: Debug + Send + Sync {
    /// The distance that the loss's defaults are meant for.
    fn default_distance(&self) -> Distance;

    /// How elements become one number.
    fn reducer(&self) -> &Reducer;

    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    fn validate(&self) -> Result<(), MetricError>;

    /// The groups of elements that are reduced apart, over `tuples` or over every tuple of the batch. The tuples must
    /// lie inside the batch ([`Tuples::check`]).
    ///
    /// # Errors
    /// When the loss is not defined for this distance.
    fn terms<'a>(&'a self, on: &'a Pairwise, tuples: Option<&'a Tuples>) -> Result<Vec<Term<'a>>, MetricError>;

    /// The values of the elements of each group, not reduced.
    ///
    /// # Errors
    /// When a setting is out of range, the loss is not defined for this distance, or a tuple lies outside the batch.
    fn values(&self, on: &Pairwise, tuples: Option<&Tuples>) -> Result<Vec<Vec<f32>>, MetricError> {
        self.validate()?;
        tuples.map_or(Ok(()), |tuples| tuples.check(on))?;
        Ok(self.terms(on, tuples)?.iter().map(|term| term.values().to_vec()).collect())
    }

    /// The loss `[1]` over `tuples`, or over every tuple of the batch.
    ///
    /// # Errors
    /// As [`PairLoss::values`], and when the reducer does not fit the loss or its labels.
    fn forward(&self, on: &Pairwise, tuples: Option<&Tuples>) -> Result<Tensor<1>, MetricError> {
        self.validate()?;
        tuples.map_or(Ok(()), |tuples| tuples.check(on))?;
        reduce(on, self.terms(on, tuples)?, self.reducer())
    }

    /// The loss `[1]` of embeddings `[n, d]` over every tuple, on the loss's own distance.
    ///
    /// # Errors
    /// As [`PairLoss::forward`], and when labels do not number the rows.
    fn of(&self, embeddings: Tensor<2>, labels: &[usize]) -> Result<Tensor<1>, MetricError> {
        self.forward(&Pairwise::new(self.default_distance(), embeddings, labels, None)?, None)
    }
}
