use super::{Evidence, Gradient, PairLoss, Term};
use crate::{
    Distance, MetricError, Pairwise, Reducer, Tuples,
    reducer::ElementKind,
    tuples::{Pair, pairs_or_all},
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The intra-pair variance loss (Yu and Tao, "Deep metric learning with tuplet margin loss", 2019): positive pairs
/// should be as similar as the mean positive pair, negative pairs as dissimilar as the mean negative one.
///
/// ```text
/// positive pairs: [(1 - positive_slack) mean(s) - s]+^2        negative pairs: [s - (1 + negative_slack) mean(s)]+^2
/// ```
///
/// `s` is the cosine similarity; for a distance the two forms change places. The gradient flows through the means. The
/// two kinds are reduced apart and added. In the paper it accompanies [`super::TupletMargin`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IntraPairVariance {
    /// Share of the mean that positives may stay away, at least 0. Default 0.01, as in pytorch-metric-learning.
    pub positive_slack: f32,
    /// The same for negatives. Default 0.01, as in pytorch-metric-learning.
    pub negative_slack: f32,
    /// How pairs become one number. Default [`Reducer::Mean`], as in pytorch-metric-learning.
    pub reducer: Reducer,
}

impl Default for IntraPairVariance {
    fn default() -> Self {
        Self { positive_slack: 0.01, negative_slack: 0.01, reducer: Reducer::Mean }
    }
}

/// Pairs that should not fall below (`side` 1) or not exceed (`side` -1) their mean: the values
/// `[side (c mean - v)]+^2` with `c = 1 - side * slack`.
fn variance<'a>(on: &'a Pairwise, pairs: Cow<'a, [Pair]>, side: f64, slack: f32) -> Term<'a> {
    let at = |pair: &Pair| f64::from(on.values().row(pair.anchor as usize)[pair.other as usize]);
    let count = pairs.len().max(1) as f64;
    let mean = pairs.iter().map(at).sum::<f64>() / count;
    let factor = 1.0 - side * f64::from(slack);
    let excess = |pair: &Pair| {
        let x = side * (factor * mean - at(pair));
        if x <= 0.0 { 0.0 } else { x } // NaN passes through
    };
    let excesses: Vec<f64> = pairs.iter().map(excess).collect();
    let values = excesses.iter().map(|x| (x * x) as f32).collect();
    let anchors = pairs.iter().map(|pair| pair.anchor).collect();
    let pullback = move |weights: &[f32], gradient: &mut Gradient| {
        let pulls = excesses.iter().zip(weights).map(|(x, weight)| 2.0 * x * f64::from(*weight) * side);
        let through_mean = factor * pulls.clone().sum::<f64>() / count;
        for (pair, pull) in pairs.iter().zip(pulls) {
            gradient.row_mut(pair.anchor as usize)[pair.other as usize] += (through_mean - pull) as f32;
        }
    };
    Term::new(ElementKind::Tuple, values, anchors, pullback)
}

impl PairLoss for IntraPairVariance {
    fn default_distance(&self) -> Distance {
        Distance::Cosine
    }

    fn reducer(&self) -> &Reducer {
        &self.reducer
    }

    fn validate(&self) -> Result<(), MetricError> {
        MetricError::not_negative("positive_slack", self.positive_slack.into())?;
        MetricError::not_negative("negative_slack", self.negative_slack.into())?;
        self.reducer.validate_without_divisor()
    }

    fn evidence(&self) -> Evidence {
        Evidence::Pairs
    }

    fn terms<'a>(&'a self, on: &'a Pairwise, tuples: Option<&'a Tuples>) -> Result<Vec<Term<'a>>, MetricError> {
        let [positive, negative] = pairs_or_all(on, tuples);
        let side = f64::from(-on.sign());
        Ok(vec![variance(on, positive, side, self.positive_slack), variance(on, negative, -side, self.negative_slack)])
    }
}
