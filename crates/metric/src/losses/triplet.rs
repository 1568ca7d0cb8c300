use super::{
    Gradient, PairLoss, Term,
    math::{hinge, softplus},
    term::reduce,
};
use crate::{
    Distance, MetricError, Pairwise, Reducer, Tuples,
    reducer::ElementKind,
    tuples::{Triplet, triplets_or_all},
};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The triplet margin loss (Schroff, Kalenichenko and Philbin, 2015; Weinberger and Saul, 2009):
///
/// ```text
/// [d(anchor, positive) - d(anchor, negative) + margin]+
/// ```
///
/// or, with `smooth`, `log(1 + exp(...))` of the same (Hermans et al., 2017). With `swap` the nearer of
/// `d(anchor, negative)` and `d(positive, negative)` counts (Balntas et al., 2016); where references are separate, the
/// second one is a distance among references. pytorch-metric-learning takes a wrong row there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TripletMargin {
    /// How much nearer the positive must be, finite. Default 0.05, as in pytorch-metric-learning; 0.2 in FaceNet.
    pub margin: f32,
    /// Softplus in place of the hinge. Default false.
    pub smooth: bool,
    /// The negative may be compared with the positive instead of the anchor. Default false.
    pub swap: bool,
    /// How triplets become one number. Default [`Reducer::AverageNonZero`], as in pytorch-metric-learning.
    pub reducer: Reducer,
}

impl Default for TripletMargin {
    fn default() -> Self {
        Self { margin: 0.05, smooth: false, swap: false, reducer: Reducer::AverageNonZero }
    }
}

impl TripletMargin {
    /// Checks that the loss takes quadruplets: `swap` is about three rows.
    ///
    /// # Errors
    /// With `swap`.
    pub fn accepts_quadruplets(&self) -> Result<(), MetricError> {
        let what = "the two pairs of a quadruplet have no anchor in common to `swap`: leave it out";
        if self.swap { Err(MetricError::Settings(what)) } else { Ok(()) }
    }

    /// The loss `[1]` over quadruplets (a, b, c, d) in place of triplets: `[d(a, b) - d(c, d) + margin]+`. A triplet
    /// (a, p, n) is the quadruplet (a, p, a, n). `a` and `c` are rows of the embeddings, `b` and `d` of the references.
    ///
    /// # Errors
    /// As [`PairLoss::forward`], and with `swap`.
    pub fn forward_quadruplets(&self, on: &Pairwise, quadruplets: &[[usize; 4]]) -> Result<Tensor<1>, MetricError> {
        self.validate()?;
        self.accepts_quadruplets()?;
        for &[a, b, c, d] in quadruplets {
            let inside = [("anchor", a.max(c), on.anchors()), ("reference", b.max(d), on.references())];
            if let Some((what, index, rows)) = inside.into_iter().find(|(_, index, rows)| index >= rows) {
                return Err(MetricError::Tuple { what, index, rows });
            }
        }
        let sign = on.sign();
        let violation = move |&[a, b, c, d]: &[usize; 4]| {
            let (near, far) = (on.values().row(a)[b], on.values().row(c)[d]);
            sign * (near - far) + self.margin
        };
        let values = quadruplets.iter().map(|q| self.cost(violation(q)).0).collect();
        let anchors = quadruplets.iter().map(|q| q[0] as u32).collect();
        let term = Term::new(ElementKind::Tuple, values, anchors, move |weights, gradient| {
            for (q, weight) in quadruplets.iter().zip(weights).filter(|(_, weight)| **weight != 0.0) {
                let slope = weight * sign * self.cost(violation(q)).1;
                let &[a, b, c, d] = q;
                gradient.row_mut(a)[b] += slope;
                gradient.row_mut(c)[d] -= slope;
            }
        });
        reduce(on, vec![term], &self.reducer)
    }

    /// Value and slope of one violation.
    fn cost(&self, violation: f32) -> (f32, f32) {
        if self.smooth {
            let (cost, slope) = softplus(violation.into());
            (cost as f32, slope as f32)
        } else {
            hinge(violation)
        }
    }

    fn swapped<'a>(&'a self, on: &'a Pairwise, triplets: Cow<'a, [Triplet]>) -> Result<Term<'a>, MetricError> {
        let among = if on.is_square() { None } else { Some(on.among_references()?) };
        let sign = on.sign();
        // The violation, and whether the negative is nearer to the positive.
        let violation = move |t: &Triplet, among: Option<&Pairwise>| {
            let (p, n) = (t.positive as usize, t.negative as usize);
            let row = on.values().row(t.anchor as usize);
            let from_positive = among.unwrap_or(on).values().row(p)[n];
            let swap = sign * from_positive < sign * row[n];
            (sign * (row[p] - if swap { from_positive } else { row[n] }) + self.margin, swap)
        };
        let values = triplets.iter().map(|t| self.cost(violation(t, among.as_ref()).0).0).collect();
        let anchors = triplets.iter().map(|t| t.anchor).collect();
        Ok(Term::new(ElementKind::Tuple, values, anchors, move |weights, gradient| {
            let mut other = among.as_ref().map(Gradient::zeros);
            for (t, weight) in triplets.iter().zip(weights).filter(|(_, weight)| **weight != 0.0) {
                let (a, p, n) = (t.anchor as usize, t.positive as usize, t.negative as usize);
                let (violation, swap) = violation(t, among.as_ref());
                let slope = weight * sign * self.cost(violation).1;
                gradient.row_mut(a)[p] += slope;
                match &mut other {
                    Some(other) if swap => other.row_mut(p)[n] -= slope,
                    _ => gradient.row_mut(if swap { p } else { a })[n] -= slope,
                }
            }
            if let (Some(among), Some(other)) = (among, other) {
                gradient.also(among, other);
            }
        }))
    }
}

impl PairLoss for TripletMargin {
    fn default_distance(&self) -> Distance {
        Distance::default()
    }

    fn reducer(&self) -> &Reducer {
        &self.reducer
    }

    fn validate(&self) -> Result<(), MetricError> {
        MetricError::finite("margin", self.margin.into())?;
        self.reducer.validate_without_divisor()
    }

    fn terms<'a>(&'a self, on: &'a Pairwise, tuples: Option<&'a Tuples>) -> Result<Vec<Term<'a>>, MetricError> {
        let triplets = triplets_or_all(on, tuples);
        if self.swap {
            return Ok(vec![self.swapped(on, triplets)?]);
        }
        let sign = on.sign();
        Ok(vec![Term::triplets(on, triplets, move |_, positive, negative| {
            let (cost, slope) = self.cost(sign * (positive - negative) + self.margin);
            (cost, [sign * slope, -sign * slope])
        })])
    }
}
