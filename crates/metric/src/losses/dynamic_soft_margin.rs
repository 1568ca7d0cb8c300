use super::{Gradient, Term, term::reduce};
use crate::{
    Distance, MetricError, Pairwise, Reducer, Tuples, distance::NORMALIZED_EUCLIDEAN, tuples::triplets_or_all,
};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// The running histogram of `d(anchor, positive) - d(anchor, negative)`: the memory of [`DynamicSoftMargin`], which
/// belongs to a training run and its checkpoints. Empty before the first batch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GapHistogram(Vec<f64>);

impl GapHistogram {
    /// With these shares, as [`GapHistogram::shares`] gave them; without any share that is not zero it is empty.
    ///
    /// # Errors
    /// When a share is negative or not finite.
    pub fn restored(shares: Vec<f64>) -> Result<Self, MetricError> {
        shares.iter().try_for_each(|share| MetricError::not_negative("shares", *share))?;
        Ok(Self(if shares.iter().all(|share| *share == 0.0) { Vec::new() } else { shares }))
    }

    /// The share of triplets at every node; empty before the first batch.
    pub fn shares(&self) -> &[f64] {
        &self.0
    }
}

/// The dynamic soft margin loss (Zhang and Rusinkiewicz, "Learning local descriptors with a CDF-based dynamic soft
/// margin", 2019): every triplet's gap `x = d(anchor, positive) - d(anchor, negative)`, weighed by the share of
/// triplets that are as easy or easier, from a running histogram.
///
/// ```text
/// mean over triplets of C(x) x        C: the distribution function of the histogram, batch included
/// ```
///
/// There is no margin to choose: the hardest triplets count fully, the easiest hardly. A gap is shared linearly between
/// two of `bins + 1` nodes; `C` is that of its lower node. As in pytorch-metric-learning, the gradient flows through
/// the batch's part of the histogram. Takes the Euclidean distance of normalised rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DynamicSoftMargin {
    /// The histogram spans `[-span, span]`, > 0. Default 2, as in pytorch-metric-learning: the most that distances of
    /// normalised rows differ.
    pub span: f32,
    /// Intervals, at least 1. Default 10, as in pytorch-metric-learning.
    pub bins: usize,
    /// Weight of the newest batch, in (0, 1]. Default 0.01, as in pytorch-metric-learning. The first batch has weight
    /// 1.
    pub momentum: f32,
}

impl Default for DynamicSoftMargin {
    fn default() -> Self {
        Self { span: 2.0, bins: 10, momentum: 0.01 }
    }
}

impl DynamicSoftMargin {
    /// The distance that the loss is defined for.
    pub fn default_distance(&self) -> Distance {
        Distance::default()
    }

    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), MetricError> {
        MetricError::positive("span", self.span.into())?;
        MetricError::check(self.bins >= 1, "bins", "at least 1", self.bins as f64)?;
        let momentum = self.momentum;
        MetricError::check(momentum > 0.0 && momentum <= 1.0, "momentum", "in (0, 1]", momentum.into())
    }

    /// Checks that the loss is defined for this distance.
    ///
    /// # Errors
    /// When it is not the Euclidean distance of normalised rows.
    pub fn accepts(&self, distance: Distance) -> Result<(), MetricError> {
        let fits = distance.euclidean() == Some((true, 1.0));
        MetricError::defined(fits, "the dynamic soft margin loss", NORMALIZED_EUCLIDEAN, distance)
    }

    /// The lower of the two nodes around a gap, and the share of the upper one.
    fn place(&self, gap: f64) -> (usize, f64) {
        let at = ((gap / f64::from(self.span) + 1.0) / 2.0 * self.bins as f64).clamp(0.0, self.bins as f64);
        let lower = (at as usize).min(self.bins - 1);
        (lower, at - lower as f64)
    }

    /// The loss `[1]` over `tuples`, or over every triplet of the batch; `histogram` takes the batch in.
    ///
    /// # Errors
    /// When a setting is out of range, the distance is another, a tuple lies outside the batch, or the histogram has
    /// another number of bins.
    pub fn forward(
        &self,
        on: &Pairwise,
        tuples: Option<&Tuples>,
        histogram: &mut GapHistogram,
    ) -> Result<Tensor<1>, MetricError> {
        self.validate()?;
        tuples.map_or(Ok(()), |tuples| tuples.check(on))?;
        self.accepts(on.distance())?;
        let nodes = self.bins + 1;
        if !histogram.0.is_empty() && histogram.0.len() != nodes {
            return Err(MetricError::Settings("the histogram was filled with another number of bins"));
        }
        let triplets = triplets_or_all(on, tuples);
        if triplets.is_empty() {
            return reduce(on, Vec::new(), &Reducer::Sum);
        }
        let gap = |t: &crate::Triplet| {
            let row = on.values().row(t.anchor as usize);
            f64::from(row[t.positive as usize]) - f64::from(row[t.negative as usize])
        };
        let gaps: Vec<f64> = triplets.iter().map(gap).collect();

        let momentum = if histogram.0.is_empty() { 1.0 } else { f64::from(self.momentum) };
        let mut counts = vec![0.0; nodes];
        counts.iter_mut().zip(&histogram.0).for_each(|(count, old)| *count = (1.0 - momentum) * old);
        let mut sums = vec![0.0; nodes]; // of the gaps of every node
        for gap in &gaps {
            let (lower, share) = self.place(*gap);
            counts[lower] += momentum * (1.0 - share);
            counts[lower + 1] += momentum * share;
            sums[lower] += gap;
        }
        let total: f64 = counts.iter().sum();
        counts.iter_mut().for_each(|count| *count /= total);
        let mut up_to = counts.clone();
        (1..nodes).for_each(|r| up_to[r] += up_to[r - 1]);
        histogram.0 = counts;

        let count = gaps.len() as f64;
        let value = gaps.iter().map(|gap| up_to[self.place(*gap).0] * gap).sum::<f64>() / count;
        // A larger gap moves its triplet out of the lower node, and so lowers that node's distribution function.
        let out = momentum * self.bins as f64 / (2.0 * f64::from(self.span) * total);
        let slope = |gap: f64| {
            let (lower, _) = self.place(gap);
            (up_to[lower] - out * sums[lower]) / count
        };
        let term = Term::whole(value, |weight, gradient: &mut Gradient| {
            for (t, gap) in triplets.iter().zip(&gaps) {
                let slope = weight * slope(*gap) as f32;
                let row = gradient.row_mut(t.anchor as usize);
                row[t.positive as usize] += slope;
                row[t.negative as usize] -= slope;
            }
        });
        reduce(on, vec![term], &Reducer::Sum)
    }
}
