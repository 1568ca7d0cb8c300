use crate::{MetricError, Pair, Pairwise, Tuples};
use serde::{Deserialize, Serialize};

/// Distances of one kind of pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DistanceStatistics {
    /// Pairs counted.
    pub count: usize,
    /// Mean; 0 of nothing, like the others.
    pub mean: f64,
    /// Standard deviation.
    pub std: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

impl DistanceStatistics {
    fn new(on: &Pairwise, pairs: &[Pair]) -> Self {
        if pairs.is_empty() {
            return Self::default();
        }
        let distance = |pair: &Pair| f64::from(on.values().row(pair.anchor as usize)[pair.other as usize]);
        let count = pairs.len() as f64;
        let mean = pairs.iter().map(distance).sum::<f64>() / count;
        let variance = pairs.iter().map(|pair| (distance(pair) - mean).powi(2)).sum::<f64>() / count;
        let least = pairs.iter().map(distance).fold(f64::INFINITY, f64::min);
        let most = pairs.iter().map(distance).fold(f64::NEG_INFINITY, f64::max);
        Self { count: pairs.len(), mean, std: variance.sqrt(), least, most }
    }
}

/// What a miner found in a batch: few active tuples, or positives as far as negatives, tell early that a loss will not
/// learn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MiningReport {
    /// Pairs or triplets that were chosen.
    pub tuples: usize,
    /// Pairs or triplets of the batch, of the same kind.
    pub possible: usize,
    /// Their ratio; 0 of nothing. Above 1 where a miner draws with replacement.
    pub active: f64,
    /// The positive pairs of the tuples.
    pub positive: DistanceStatistics,
    /// The negative pairs of the tuples.
    pub negative: DistanceStatistics,
}

impl MiningReport {
    /// Looks at tuples of a batch, whoever chose them.
    ///
    /// # Errors
    /// When a tuple lies outside the batch.
    pub fn new(on: &Pairwise, tuples: &Tuples) -> Result<Self, MetricError> {
        tuples.check(on)?;
        let counts = (0..on.anchors()).map(|a| (on.positives(a).count(), on.negatives(a).count()));
        let possible = match tuples {
            Tuples::Pairs { .. } => counts.map(|(p, n)| p + n).sum(),
            Tuples::Triplets(_) => counts.map(|(p, n)| p * n).sum::<usize>(),
        };
        let [positive, negative] = tuples.pairs().map(|pairs| DistanceStatistics::new(on, &pairs));
        let active = tuples.len() as f64 / possible.max(1) as f64;
        Ok(Self { tuples: tuples.len(), possible, active, positive, negative })
    }
}
