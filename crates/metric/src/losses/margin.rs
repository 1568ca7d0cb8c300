use super::{PairLoss, Term, math::hinge, term::reduce};
use crate::{
    Distance, MetricError, Pairwise, Reducer, Tuples,
    tuples::{Triplet, triplets_or_all},
};
use burn::tensor::Tensor;
use nearfar_core::similarity::with_gradient;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The margin loss (Wu et al., "Sampling matters in deep embedding learning", 2017), for every triplet:
///
/// ```text
/// [d(anchor, positive) - beta + margin]+ + [beta - d(anchor, negative) + margin]+
/// ```
///
/// divided by the number of hinges that are active (the default [`Reducer::Divisor`]). [`PairLoss::forward`] has a
/// fixed `beta`; [`Margin::with_boundary`] learns one for all classes or one a class. Meant to be used with
/// [`crate::miner::DistanceWeightedMiner`], which is the other half of the paper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Margin {
    /// Half the width of the band between positives and negatives, finite. Default 0.2, as in pytorch-metric-learning.
    pub margin: f32,
    /// The boundary between positives and negatives, finite. Default 1.2, as in pytorch-metric-learning.
    pub beta: f32,
    /// Weight of the regulariser of a learnt boundary, at least 0. Default 0, as in pytorch-metric-learning.
    pub nu: f32,
    /// How triplets become one number. Default [`Reducer::Divisor`], as in pytorch-metric-learning.
    pub reducer: Reducer,
}

impl Default for Margin {
    fn default() -> Self {
        Self { margin: 0.2, beta: 1.2, nu: 0.0, reducer: Reducer::Divisor }
    }
}

impl Margin {
    /// The loss `[1]` with a boundary that is learnt: `beta [1]`, or `beta [classes]`, where a triplet takes that of
    /// its anchor's class. `nu` times the boundary is added: once for `[1]`; for `[classes]` as the mean over triplets
    /// that the reducer's weights give, as in pytorch-metric-learning.
    ///
    /// # Errors
    /// As [`PairLoss::forward`], and when a class has no boundary.
    pub fn with_boundary(
        &self,
        on: &Pairwise,
        tuples: Option<&Tuples>,
        beta: Tensor<1>,
    ) -> Result<Tensor<1>, MetricError> {
        self.validate()?;
        tuples.map_or(Ok(()), |tuples| tuples.check(on))?;
        let read = beta.clone().detach().try_into_vec_as::<f32>();
        let values = read.map_err(|e| MetricError::Device(e.to_string()))?;
        let class = |anchor: usize| if values.len() == 1 { 0 } else { on.labels()[anchor] };
        if let Some(class) = (0..on.anchors()).map(class).find(|class| *class >= values.len()) {
            return Err(MetricError::ClassWeight { class, classes: values.len() });
        }
        let triplets = triplets_or_all(on, tuples);
        let term = self.term(on, Cow::Borrowed(&triplets), |anchor| values[class(anchor)]);
        let mut slopes = vec![0.0f64; values.len()];
        let mut regulariser = 0.0f64;
        for (t, weight) in triplets.iter().zip(term.weights(on, &self.reducer)?) {
            let class = class(t.anchor as usize);
            let row = on.values().row(t.anchor as usize);
            let (beta, weight) = (values[class], f64::from(weight));
            let (_, slope) = self.cost(on.sign(), beta, row[t.positive as usize], row[t.negative as usize]);
            // In each hinge the boundary stands against the distance.
            slopes[class] -= weight * f64::from(slope[0] + slope[1]);
            if values.len() > 1 {
                slopes[class] += weight * f64::from(self.nu);
                regulariser += weight * f64::from(self.nu * beta);
            }
        }
        if values.len() == 1 && !triplets.is_empty() {
            slopes[0] += f64::from(self.nu);
            regulariser = f64::from(self.nu * values[0]);
        }
        let still = with_gradient(beta, slopes.into_iter().map(|slope| slope as f32).collect());
        let loss = reduce(on, vec![term], &self.reducer)?;
        Ok(loss + still.add_scalar(regulariser as f32))
    }

    /// Value of a triplet and its slopes with respect to the distances of positive and negative.
    fn cost(&self, sign: f32, beta: f32, positive: f32, negative: f32) -> (f32, [f32; 2]) {
        let (near, pull) = hinge(sign * (positive - beta) + self.margin);
        let (far, push) = hinge(sign * (beta - negative) + self.margin);
        (near + far, [sign * pull, -sign * push])
    }

    fn term<'a>(
        &'a self,
        on: &'a Pairwise,
        triplets: Cow<'a, [Triplet]>,
        beta: impl Fn(usize) -> f32 + Sync + 'a,
    ) -> Term<'a> {
        let sign = on.sign();
        let cost = move |anchor: usize, positive, negative| self.cost(sign, beta(anchor), positive, negative);
        let active = |t: &Triplet| {
            let row = on.values().row(t.anchor as usize);
            let (_, slopes) = cost(t.anchor as usize, row[t.positive as usize], row[t.negative as usize]);
            slopes.iter().filter(|slope| **slope != 0.0).count()
        };
        let divisor = triplets.iter().map(active).sum::<usize>() as f64;
        Term::triplets(on, triplets, cost).divided_by(divisor)
    }
}

impl PairLoss for Margin {
    fn default_distance(&self) -> Distance {
        Distance::default()
    }

    fn reducer(&self) -> &Reducer {
        &self.reducer
    }

    fn validate(&self) -> Result<(), MetricError> {
        MetricError::finite("margin", self.margin.into())?;
        MetricError::finite("beta", self.beta.into())?;
        MetricError::not_negative("nu", self.nu.into())?;
        self.reducer.validate()
    }

    fn terms<'a>(&'a self, on: &'a Pairwise, tuples: Option<&'a Tuples>) -> Result<Vec<Term<'a>>, MetricError> {
        Ok(vec![self.term(on, triplets_or_all(on, tuples), move |_| self.beta)])
    }
}
