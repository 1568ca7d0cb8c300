use super::{Miner, seed_at};
use crate::{MetricError, Pair, Pairwise, Tuples, tuples::pairs_or_all};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Pairs whose distances are spread evenly: the range of distances is cut into bins, and of every bin that is not empty
/// the same number of pairs is drawn, with replacement (pytorch-metric-learning's miner of this name).
///
/// Positive and negative pairs have bins of their own, from their smallest distance to their largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UniformHistogramMiner {
    /// Bins, at least 1. Default 100, as in pytorch-metric-learning.
    pub bins: usize,
    /// Positive pairs drawn of each bin. Default 10, as in pytorch-metric-learning.
    pub positives_per_bin: usize,
    /// Negative pairs drawn of each bin. Default 10, as in pytorch-metric-learning.
    pub negatives_per_bin: usize,
    /// Seed of the draws; [`Miner::mine_at`] takes another draw at every step. Default 0.
    pub seed: u64,
}

impl Default for UniformHistogramMiner {
    fn default() -> Self {
        Self { bins: 100, positives_per_bin: 10, negatives_per_bin: 10, seed: 0 }
    }
}

impl UniformHistogramMiner {
    fn draw(&self, on: &Pairwise, pairs: &[Pair], per_bin: usize, rng: &mut ChaCha8Rng) -> Vec<Pair> {
        let distance = |pair: &Pair| on.values().row(pair.anchor as usize)[pair.other as usize];
        let least = pairs.iter().map(distance).fold(f32::INFINITY, f32::min);
        let most = pairs.iter().map(distance).fold(f32::NEG_INFINITY, f32::max);
        let width = (most - least) / self.bins as f32;
        let mut bins = vec![Vec::new(); self.bins];
        for pair in pairs {
            // The last bin has its upper end; where all distances are one, there is one bin.
            let bin = if width > 0.0 { ((distance(pair) - least) / width) as usize } else { 0 };
            bins[bin.min(self.bins - 1)].push(*pair);
        }
        let mut drawn = Vec::new();
        for bin in bins.iter().filter(|bin| !bin.is_empty()) {
            drawn.extend((0..per_bin).map(|_| bin[rng.random_range(0..bin.len())]));
        }
        drawn.sort_unstable();
        drawn
    }
}

impl Miner for UniformHistogramMiner {
    fn validate(&self) -> Result<(), MetricError> {
        MetricError::check(self.bins >= 1, "bins", "at least 1", self.bins as f64)
    }

    fn mine(&self, on: &Pairwise) -> Result<Tuples, MetricError> {
        self.validate()?;
        let [positive, negative] = pairs_or_all(on, None);
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let positive = self.draw(on, &positive, self.positives_per_bin, &mut rng);
        let negative = self.draw(on, &negative, self.negatives_per_bin, &mut rng);
        Ok(Tuples::Pairs { positive, negative })
    }

    fn mine_at(&self, on: &Pairwise, step: u64) -> Result<Tuples, MetricError> {
        Self { seed: seed_at(self.seed, step), ..*self }.mine(on)
    }
}
