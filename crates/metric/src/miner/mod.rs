//! Miners choose the tuples of a batch that are worth learning from.
//!
//! A miner is a pure function of the distances; those that draw take their seed as a setting, so that a batch and a
//! seed give the same tuples on every machine. Ties go to the smaller index.

mod angular;
mod batch_easy_hard;
mod batch_hard;
mod distance_weighted;
mod hdc;
mod multi_similarity;
mod n_hard;
mod pair_margin;
mod report;
mod triplet_margin;
mod uniform_histogram;

pub use angular::AngularMiner;
pub use batch_easy_hard::{BatchEasyHardMiner, Strategy};
pub use batch_hard::BatchHardMiner;
pub use distance_weighted::DistanceWeightedMiner;
pub use hdc::HdcMiner;
pub use multi_similarity::MultiSimilarityMiner;
pub use n_hard::{NHardMiner, Ranks};
pub use pair_margin::PairMarginMiner;
pub use report::{DistanceStatistics, MiningReport};
pub use triplet_margin::{TripletKind, TripletMarginMiner};
pub use uniform_histogram::UniformHistogramMiner;

use crate::{Distance, MetricError, Pairwise, Tuples};
use std::fmt::Debug;

/// Chooses tuples.
pub trait Miner: Debug + Send + Sync {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    fn validate(&self) -> Result<(), MetricError>;

    /// Checks that the miner is defined for this distance; by default it is for all.
    ///
    /// # Errors
    /// When it is not; the message says which to take.
    fn accepts(&self, _distance: Distance) -> Result<(), MetricError> {
        Ok(())
    }

    /// The tuples, ordered by anchor.
    ///
    /// # Errors
    /// When a setting is out of range, the miner is not defined for this distance, or the device fails.
    fn mine(&self, on: &Pairwise) -> Result<Tuples, MetricError>;

    /// The tuples of one step of a training run. Miners that draw take another draw at every step; all others give what
    /// [`Miner::mine`] gives.
    ///
    /// # Errors
    /// As [`Miner::mine`].
    fn mine_at(&self, on: &Pairwise, step: u64) -> Result<Tuples, MetricError> {
        let _ = step;
        self.mine(on)
    }
}

/// The seed of a step: neighbouring seeds and steps share none.
fn seed_at(seed: u64, step: u64) -> u64 {
    seed ^ step.wrapping_mul(0x9e37_79b9_7f4a_7c15) // an odd number, so that no two steps meet
}

#[cfg(test)]
mod tests;
