use super::term::{Term, reduce};
use crate::{Distance, MetricError, Pairwise, Reducer, Tuples};
use burn::tensor::Tensor;
use std::fmt::Debug;

/// The least that a loss must be told about a batch to learn from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Which pairs belong together and which do not: every pair has a value of its own.
    Pairs,
    /// For an anchor, what it belongs with and what it does not: neither has a value without the other.
    Triplets,
    /// The class of every item: tuples at most choose anchors or weigh them.
    Classes,
}

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

    /// Checks that the loss is defined for this distance; by default it is for all.
    ///
    /// # Errors
    /// When it is not; the message says which to take.
    fn accepts(&self, _distance: Distance) -> Result<(), MetricError> {
        Ok(())
    }

    /// Checks that the loss takes tuples of a miner; by default it does.
    ///
    /// # Errors
    /// When it compares whole rows.
    fn accepts_tuples(&self) -> Result<(), MetricError> {
        Ok(())
    }

    /// The least that it must be told; by default a positive and a negative of the same anchor.
    fn evidence(&self) -> Evidence {
        Evidence::Triplets
    }

    /// The groups of elements that are reduced apart, over `tuples` or over every tuple of the batch. The tuples must
    /// lie inside the batch ([`Tuples::check`]), and the loss must accept them and the distance.
    ///
    /// # Errors
    /// When the device fails, or the references are not those that the loss needs.
    fn terms<'a>(&'a self, on: &'a Pairwise, tuples: Option<&'a Tuples>) -> Result<Vec<Term<'a>>, MetricError>;

    /// The values of the elements of each group, not reduced.
    ///
    /// # Errors
    /// When a setting is out of range, the loss is not defined for this distance or takes no tuples, or a tuple lies
    /// outside the batch.
    fn values(&self, on: &Pairwise, tuples: Option<&Tuples>) -> Result<Vec<Vec<f32>>, MetricError> {
        self.check(on, tuples)?;
        Ok(self.terms(on, tuples)?.iter().map(|term| term.values().to_vec()).collect())
    }

    /// The loss `[1]` over `tuples`, or over every tuple of the batch.
    ///
    /// # Errors
    /// As [`PairLoss::values`], and when the reducer does not fit the loss or its labels.
    fn forward(&self, on: &Pairwise, tuples: Option<&Tuples>) -> Result<Tensor<1>, MetricError> {
        self.check(on, tuples)?;
        reduce(on, self.terms(on, tuples)?, self.reducer())
    }

    /// Everything that can be checked before the loss is computed.
    ///
    /// # Errors
    /// As [`PairLoss::values`].
    fn check(&self, on: &Pairwise, tuples: Option<&Tuples>) -> Result<(), MetricError> {
        self.validate()?;
        if let Some(tuples) = tuples {
            tuples.check(on)?;
            self.accepts_tuples()?;
        }
        self.accepts(on.distance())
    }

    /// The loss `[1]` of embeddings `[n, d]` over every tuple, on the loss's own distance.
    ///
    /// # Errors
    /// As [`PairLoss::forward`], and when labels do not number the rows.
    fn of(&self, embeddings: Tensor<2>, labels: &[usize]) -> Result<Tensor<1>, MetricError> {
        self.forward(&Pairwise::new(self.default_distance(), embeddings, labels, None)?, None)
    }
}
