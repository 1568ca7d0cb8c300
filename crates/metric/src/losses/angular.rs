use super::{Evidence, Gradient, PairLoss, Term, math::log_one_plus_sum_exp};
use crate::{
    Distance, MetricError, Pairwise, Reducer, Tuples,
    distance::COSINE,
    grouped::Grouped,
    reducer::ElementKind,
    tuples::{Pair, pairs_or_all},
};
use nearfar_core::similarity::normalize_rows;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// The angular loss (Wang et al., "Deep metric learning with angular loss", 2017), for every positive pair against all
/// references of another label:
///
/// ```text
/// log(1 + sum over n of exp(4 tan^2(alpha) (a + p) . n - 2 (1 + tan^2(alpha)) a . p))
/// ```
///
/// It bounds the angle at which a negative sees the positive pair. `a` and `p` are normalised; `n` is not, as in
/// pytorch-metric-learning (the paper normalises all: give normalised embeddings). The distance must be the cosine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Angular {
    /// The bound in degrees, in (0, 90). Default 40, as in pytorch-metric-learning; the paper's are 36 to 55.
    pub alpha: f32,
    /// How positive pairs become one number. Default [`Reducer::Mean`], as in pytorch-metric-learning.
    pub reducer: Reducer,
}

impl Default for Angular {
    fn default() -> Self {
        Self { alpha: 40.0, reducer: Reducer::Mean }
    }
}

impl PairLoss for Angular {
    fn default_distance(&self) -> Distance {
        Distance::Cosine
    }

    fn reducer(&self) -> &Reducer {
        &self.reducer
    }

    fn validate(&self) -> Result<(), MetricError> {
        let alpha = self.alpha;
        MetricError::check(alpha > 0.0 && alpha < 90.0, "alpha", "in (0, 90) degrees", alpha.into())?;
        self.reducer.validate_without_divisor()
    }

    fn accepts(&self, distance: Distance) -> Result<(), MetricError> {
        MetricError::defined(distance.is_cosine(), "the angular loss", COSINE, distance)
    }

    fn evidence(&self) -> Evidence {
        Evidence::Classes
    }

    fn terms<'a>(&'a self, on: &'a Pairwise, tuples: Option<&'a Tuples>) -> Result<Vec<Term<'a>>, MetricError> {
        let [positive, _] = pairs_or_all(on, tuples);
        let negatives = Grouped::collect(on.anchors(), |a| on.negatives(a));

        // Dot products with references that are not normalised: of the anchors, and of the positives.
        let dot = Distance::Dot { normalized: false };
        let references = || Some((on.reference_tensor(), on.reference_labels()));
        let anchors = Pairwise::new(dot, normalize_rows(on.embedding_tensor()), on.labels(), references())?;
        let positives = if on.is_square() {
            None
        } else {
            let normalized = normalize_rows(on.reference_tensor());
            Some(Pairwise::new(dot, normalized, on.reference_labels(), references())?)
        };

        let square = f64::from(self.alpha).to_radians().tan().powi(2);
        let [push, pull] = [4.0 * square, 2.0 * (1.0 + square)];
        let cosines = on.values();
        let (values, columns) = {
            let from_anchor = anchors.values();
            let from_positive = positives.as_ref().unwrap_or(&anchors).values();
            let value = |pair: &Pair| {
                let (a, p) = (pair.anchor as usize, pair.other as usize);
                let (row, other) = (from_anchor.row(a), from_positive.row(p));
                let base = pull * f64::from(cosines.row(a)[p]);
                let logit = |&n: &u32| push * f64::from(row[n as usize] + other[n as usize]) - base;
                log_one_plus_sum_exp(negatives.get(a).iter().map(logit))
            };
            let values: Vec<f64> = (*positive).par_iter().map(value).collect();
            (values, positive.iter().map(|pair| pair.anchor).collect())
        };
        let elements = values.iter().map(|value| *value as f32).collect();
        let pullback = move |weights: &[f32], gradient: &mut Gradient| {
            let mut by_anchor = Gradient::zeros(&anchors);
            let mut by_positive = positives.as_ref().map(Gradient::zeros);
            for ((pair, value), weight) in positive.iter().zip(&values).zip(weights) {
                let (a, p) = (pair.anchor as usize, pair.other as usize);
                let row = anchors.values().row(a);
                let other = positives.as_ref().unwrap_or(&anchors).values().row(p);
                let base = pull * f64::from(cosines.row(a)[p]);
                let mut total = 0.0;
                for n in negatives.get(a).iter().map(|&n| n as usize) {
                    let share = (push * f64::from(row[n] + other[n]) - base - value).exp() * f64::from(*weight);
                    let slope = (push * share) as f32;
                    by_anchor.row_mut(a)[n] += slope;
                    by_positive.as_mut().unwrap_or(&mut by_anchor).row_mut(p)[n] += slope;
                    total += share;
                }
                gradient.row_mut(a)[p] -= (pull * total) as f32;
            }
            gradient.also(anchors, by_anchor);
            if let (Some(positives), Some(by_positive)) = (positives, by_positive) {
                gradient.also(positives, by_positive);
            }
        };
        Ok(vec![Term::new(ElementKind::Tuple, elements, columns, pullback)])
    }
}
