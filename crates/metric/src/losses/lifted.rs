use super::{
    PairLoss, Term,
    math::{larger, log_sum_exp},
};
use crate::{
    Distance, MetricError, Pairwise, Reducer, Tuples,
    grouped::Grouped,
    reducer::ElementKind,
    tuples::{Pair, pairs_or_all},
};
use serde::{Deserialize, Serialize};

/// The lifted structure loss (Oh Song et al., 2016), for every positive pair `(a, p)`:
///
/// ```text
/// 1/2 [d_ap - positive_margin + log(sum of exp(negative_margin - d_in))]+^2
///     over the negative pairs (i, n) with i = a or i = p
/// ```
///
/// For a similarity both differences change their sign. A positive pair without negatives costs nothing.
///
/// Where references are separate, `p` is a reference and no anchor: the negative pairs that it takes part in are then
/// the pairs `(i, p)` of other anchors. pytorch-metric-learning compares the index of a reference with that of an
/// anchor there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LiftedStructure {
    /// Taken off the distances of positives, finite. Default 0, as in pytorch-metric-learning.
    pub positive_margin: f32,
    /// Distances of negatives are taken off this, finite. Default 1, as in pytorch-metric-learning.
    pub negative_margin: f32,
    /// How positive pairs become one number. Default [`Reducer::Mean`], as in pytorch-metric-learning.
    pub reducer: Reducer,
}

impl Default for LiftedStructure {
    fn default() -> Self {
        Self { positive_margin: 0.0, negative_margin: 1.0, reducer: Reducer::Mean }
    }
}

/// The logarithm of the sum of two numbers given by their logarithms.
fn log_add(a: f64, b: f64) -> f64 {
    log_sum_exp([a, b].into_iter())
}

/// `exp(part - whole)`, the share of a part in a sum of exponentials; nothing of nothing.
fn share(part: f64, whole: f64) -> f64 {
    if part == f64::NEG_INFINITY { 0.0 } else { (part - whole).exp() }
}

impl PairLoss for LiftedStructure {
    fn default_distance(&self) -> Distance {
        Distance::default()
    }

    fn reducer(&self) -> &Reducer {
        &self.reducer
    }

    fn validate(&self) -> Result<(), MetricError> {
        MetricError::finite("positive_margin", self.positive_margin.into())?;
        MetricError::finite("negative_margin", self.negative_margin.into())?;
        self.reducer.validate_without_divisor()
    }

    fn terms<'a>(&'a self, on: &'a Pairwise, tuples: Option<&'a Tuples>) -> Result<Vec<Term<'a>>, MetricError> {
        let [sign, near, far] = [on.sign(), self.positive_margin, self.negative_margin].map(f64::from);
        let pull = move |d: f32| sign * (f64::from(d) - near);
        let push = move |d: f32| sign * (far - f64::from(d));
        let distances = on.values();
        let [positive, negative] = pairs_or_all(on, tuples);

        // The negative pairs of an anchor; and of a reference, as (column, row).
        let by_anchor = Grouped::new(&negative, on.anchors());
        let by_reference = (!on.is_square()).then(|| {
            let turned: Vec<Pair> =
                negative.iter().map(|pair| Pair { anchor: pair.other, other: pair.anchor }).collect();
            Grouped::new(&turned, on.references())
        });
        let of_anchor = |a: usize| {
            let row = distances.row(a);
            log_sum_exp(by_anchor.get(a).iter().map(|&n| push(row[n as usize])))
        };
        let anchors: Vec<f64> = (0..on.anchors()).map(of_anchor).collect();
        let references: Vec<f64> = match &by_reference {
            None => anchors.clone(),
            Some(turned) => {
                let of_reference =
                    |p: usize| log_sum_exp(turned.get(p).iter().map(|&i| push(distances.row(i as usize)[p])));
                (0..on.references()).map(of_reference).collect()
            }
        };

        // What is inside the brackets.
        let inside = move |pair: &Pair, anchors: &[f64], references: &[f64]| {
            let (a, p) = (pair.anchor as usize, pair.other as usize);
            let crowd = log_add(anchors[a], references[p]);
            (larger(pull(distances.row(a)[p]) + crowd, 0.0), crowd)
        };
        let value = |pair: &Pair| {
            let (x, _) = inside(pair, &anchors, &references);
            (x * x / 2.0) as f32
        };
        let values = positive.iter().map(value).collect();
        let rows = positive.iter().map(|pair| pair.anchor).collect();
        Ok(vec![Term::new(ElementKind::Tuple, values, rows, move |weights, gradient| {
            // How much the sums over negatives of anchors and of references weigh.
            let mut pulls = vec![0.0f64; anchors.len()];
            let mut turned_pulls = vec![0.0f64; references.len()];
            for (pair, weight) in positive.iter().zip(weights) {
                let (a, p) = (pair.anchor as usize, pair.other as usize);
                let (x, crowd) = inside(pair, &anchors, &references);
                let slope = f64::from(*weight) * x;
                if slope == 0.0 {
                    continue;
                }
                gradient.row_mut(a)[p] += (slope * sign) as f32;
                pulls[a] += slope * share(anchors[a], crowd);
                let of_positive = if by_reference.is_some() { &mut turned_pulls } else { &mut pulls };
                of_positive[p] += slope * share(references[p], crowd);
            }
            let mut add = |a: usize, n: usize, pull: f64, crowd: f64| {
                if pull != 0.0 {
                    let slope = pull * (push(distances.row(a)[n]) - crowd).exp() * sign;
                    gradient.row_mut(a)[n] -= slope as f32;
                }
            };
            for (a, pull) in pulls.iter().enumerate() {
                by_anchor.get(a).iter().for_each(|&n| add(a, n as usize, *pull, anchors[a]));
            }
            if let Some(turned) = &by_reference {
                for (p, pull) in turned_pulls.iter().enumerate() {
                    turned.get(p).iter().for_each(|&i| add(i as usize, p, *pull, references[p]));
                }
            }
        })])
    }
}
