use super::{Miner, seed_at};
use crate::{Distance, MetricError, Pairwise, Triplet, Tuples, distance::NORMALIZED_EUCLIDEAN};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// For every positive pair one negative, drawn so that its distance to the anchor is spread evenly (Wu et al.,
/// "Sampling matters in deep embedding learning", 2017).
///
/// Points that are uniform on a sphere in `D` dimensions have distances `d` with the density
/// `q(d) ~ d^(D-2) (1 - d^2/4)^((D-3)/2)`; a negative is drawn with the weight `1 / q(max(d, cutoff))`, and never where
/// `d >= nonzero_loss_cutoff`. An anchor whose negatives are all that far gives nothing.
///
/// Takes Euclidean distances of normalised rows. pytorch-metric-learning draws the positives too; here every positive
/// pair comes once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DistanceWeightedMiner {
    /// Distances below this weigh like it, in (0, 2): the nearest pairs have noisy gradients. Default 0.5, as in
    /// pytorch-metric-learning.
    pub cutoff: f32,
    /// Negatives as far as this have no loss any more and are not drawn, above 0. Default 1.4, as in
    /// pytorch-metric-learning.
    pub nonzero_loss_cutoff: f32,
    /// Seed of the draws; [`Miner::mine_at`] takes another draw at every step. Default 0.
    pub seed: u64,
}

impl Default for DistanceWeightedMiner {
    fn default() -> Self {
        Self { cutoff: 0.5, nonzero_loss_cutoff: 1.4, seed: 0 }
    }
}

impl Miner for DistanceWeightedMiner {
    fn validate(&self) -> Result<(), MetricError> {
        MetricError::check(self.cutoff > 0.0 && self.cutoff < 2.0, "cutoff", "in (0, 2)", self.cutoff.into())?;
        MetricError::positive("nonzero_loss_cutoff", self.nonzero_loss_cutoff.into())
    }

    fn accepts(&self, distance: Distance) -> Result<(), MetricError> {
        let fits = distance.euclidean() == Some((true, 1.0));
        MetricError::defined(fits, "distance-weighted mining", NORMALIZED_EUCLIDEAN, distance)
    }

    fn mine(&self, on: &Pairwise) -> Result<Tuples, MetricError> {
        self.validate()?;
        self.accepts(on.distance())?;
        let dimension = on.dimension() as f64;
        let log_weight = |d: f32| {
            let kept = f64::from(d.max(self.cutoff));
            (2.0 - dimension) * kept.ln() - (dimension - 3.0) / 2.0 * (1.0 - kept * kept / 4.0).ln()
        };
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let (mut triplets, mut negatives, mut sums) = (Vec::new(), Vec::new(), Vec::new());
        for anchor in 0..on.anchors() {
            let row = on.values().row(anchor);
            negatives.clear();
            for negative in on.negatives(anchor).filter(|n| row[*n] < self.nonzero_loss_cutoff) {
                let weight = log_weight(row[negative]);
                if weight.is_finite() {
                    negatives.push((negative, weight));
                }
            }
            // Only ratios matter: the largest weight of the anchor becomes 1.
            let largest = negatives.iter().map(|(_, weight)| *weight).fold(f64::NEG_INFINITY, f64::max);
            let mut sum = 0.0;
            sums.clear();
            sums.extend(negatives.iter().map(|(_, weight)| {
                sum += (weight - largest).exp();
                sum
            }));
            if negatives.is_empty() {
                continue;
            }
            for positive in on.positives(anchor) {
                let drawn = rng.random::<f64>() * sum;
                let place = sums.partition_point(|sum| *sum <= drawn).min(negatives.len() - 1);
                triplets.push(Triplet::new(anchor, positive, negatives[place].0));
            }
        }
        Ok(Tuples::Triplets(triplets))
    }

    fn mine_at(&self, on: &Pairwise, step: u64) -> Result<Tuples, MetricError> {
        Self { seed: seed_at(self.seed, step), ..*self }.mine(on)
    }
}
