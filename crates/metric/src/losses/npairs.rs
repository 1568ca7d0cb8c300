use super::{Evidence, Gradient, PairLoss, Term, math::log_sum_exp};
use crate::{
    Distance, MetricError, Pairwise, Reducer, Tuples,
    reducer::ElementKind,
    tuples::{Pair, pairs_or_all},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The N-pairs loss (Sohn, 2016): one positive pair `(a_i, p_i)` a class, its positive against those of all classes.
///
/// ```text
/// -log( exp(s(a_i, p_i)) / sum over j of exp(s(a_i, p_j)) )
/// ```
///
/// `s` is the dot product, of normalised rows by default as in pytorch-metric-learning; the paper leaves rows as they
/// are and regularises their norms. Of several pairs of a class the first counts. For a distance `s` is its negative.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NPairs {
    /// How classes become one number. Default [`Reducer::Mean`], as in pytorch-metric-learning.
    pub reducer: Reducer,
}

impl Default for NPairs {
    fn default() -> Self {
        Self { reducer: Reducer::Mean }
    }
}

impl PairLoss for NPairs {
    fn default_distance(&self) -> Distance {
        Distance::Dot { normalized: true }
    }

    fn reducer(&self) -> &Reducer {
        &self.reducer
    }

    fn validate(&self) -> Result<(), MetricError> {
        self.reducer.validate_without_divisor()
    }

    fn evidence(&self) -> Evidence {
        Evidence::Classes
    }

    fn terms<'a>(&'a self, on: &'a Pairwise, tuples: Option<&'a Tuples>) -> Result<Vec<Term<'a>>, MetricError> {
        let [positive, _] = pairs_or_all(on, tuples);
        let mut first: BTreeMap<usize, Pair> = BTreeMap::new();
        for pair in positive.iter() {
            first.entry(on.labels()[pair.anchor as usize]).or_insert(*pair);
        }
        let pairs: Vec<Pair> = first.into_values().collect();
        let scale = f64::from(-on.sign());
        let logit = move |a: u32, p: u32| scale * f64::from(on.values().row(a as usize)[p as usize]);
        let all = |a: u32| log_sum_exp(pairs.iter().map(|pair| logit(a, pair.other)));
        let sums: Vec<f64> = pairs.iter().map(|pair| all(pair.anchor)).collect();
        let values = pairs.iter().zip(&sums).map(|(pair, sum)| (sum - logit(pair.anchor, pair.other)) as f32).collect();
        let anchors = pairs.iter().map(|pair| pair.anchor).collect();
        let pullback = move |weights: &[f32], gradient: &mut Gradient| {
            for ((pair, sum), weight) in pairs.iter().zip(&sums).zip(weights) {
                let row = gradient.row_mut(pair.anchor as usize);
                let weight = f64::from(*weight) * scale;
                for other in &pairs {
                    row[other.other as usize] += (weight * (logit(pair.anchor, other.other) - sum).exp()) as f32;
                }
                row[pair.other as usize] -= weight as f32;
            }
        };
        Ok(vec![Term::new(ElementKind::Item, values, anchors, pullback)])
    }
}
