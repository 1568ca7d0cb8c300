//! What losses are built of: values of elements, and the way back from weights of elements to the distances.

use super::{Row, Sets, math::log_sum_exp};
use crate::{
    MetricError, Pairwise, Reducer,
    reducer::{Anchors, ElementKind, Elements},
    tuples::{Pair, Triplet},
};
use burn::tensor::Tensor;
use nearfar_core::matrix::Matrix;
use rayon::prelude::*;
use std::{borrow::Cow, fmt};

/// Elements that are summed by one thread.
const PIECE: usize = 1 << 14;

/// The derivative of a loss with respect to every distance.
#[derive(Debug)]
pub struct Gradient {
    entries: Vec<f32>,
    rows: usize,
    cols: usize,
    others: Vec<(Pairwise, Gradient)>,
}

impl Gradient {
    /// Zero for every distance of `on`.
    pub fn zeros(on: &Pairwise) -> Self {
        let (rows, cols) = (on.anchors(), on.references());
        Self { entries: vec![0.0; rows * cols], rows, cols, others: Vec::new() }
    }

    /// With respect to the distances of an anchor.
    pub fn row_mut(&mut self, anchor: usize) -> &mut [f32] {
        &mut self.entries[anchor * self.cols..(anchor + 1) * self.cols]
    }

    /// With respect to the distances of all anchors, in order.
    pub fn par_rows_mut(&mut self) -> impl IndexedParallelIterator<Item = &mut [f32]> {
        self.entries.par_chunks_mut(self.cols.max(1))
    }

    /// With respect to further distances, for losses that depend on more than one matrix.
    pub fn also(&mut self, on: Pairwise, gradient: Self) {
        self.others.push((on, gradient));
    }

    fn row(&self, anchor: usize) -> &[f32] {
        &self.entries[anchor * self.cols..(anchor + 1) * self.cols]
    }

    /// The loss of this value and derivative.
    fn objective(self, on: &Pairwise, value: f64) -> Tensor<1> {
        let own = Matrix::new(self.entries, self.rows, self.cols).expect("one entry a distance");
        let own = on.objective(value as f32, own);
        self.others.into_iter().fold(own, |sum, (on, gradient)| sum + gradient.objective(&on, 0.0))
    }
}

/// Adds the derivative of `sum w_i v_i` to a gradient, given the weights `w`.
type Pullback<'a> = Box<dyn FnOnce(&[f32], &mut Gradient) + 'a>;

/// One group of elements that is reduced by itself; the loss is the sum of its groups.
pub struct Term<'a> {
    values: Vec<f32>,
    kind: ElementKind,
    anchors: Anchors,
    divisor: Option<f64>,
    pullback: Pullback<'a>,
}

impl fmt::Debug for Term<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Term").field("values", &self.values).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl<'a> Term<'a> {
    /// Elements with these values and anchors; `pullback` adds the derivative of their weighted sum to a gradient.
    pub fn new(
        kind: ElementKind,
        values: Vec<f32>,
        anchors: Vec<u32>,
        pullback: impl FnOnce(&[f32], &mut Gradient) + 'a,
    ) -> Self {
        Self { values, kind, anchors: Anchors::Listed(anchors), divisor: None, pullback: Box::new(pullback) }
    }

    /// Tuples with these values, whose derivative is the sum of their own: `add(weight, k, row)` adds that of tuple `k`
    /// to the row of its anchor.
    fn tuples(values: Vec<f32>, anchors: Anchors, add: impl Fn(f32, usize, &mut [f32]) + Sync + 'a) -> Self {
        let of = anchors.clone();
        let pullback = move |weights: &[f32], gradient: &mut Gradient| {
            let add = |k: usize, row: &mut [f32]| {
                if weights[k] != 0.0 {
                    add(weights[k], k, row);
                }
            };
            match of {
                // Tuples in the order of their anchors: the rows are shared among threads.
                Anchors::Runs(starts) => gradient.par_rows_mut().enumerate().for_each(|(anchor, row)| {
                    (starts[anchor]..starts[anchor + 1]).for_each(|k| add(k, row));
                }),
                of => (0..weights.len()).for_each(|k| add(k, gradient.row_mut(of.row(k)))),
            }
        };
        Self { values, kind: ElementKind::Tuple, anchors, divisor: None, pullback: Box::new(pullback) }
    }

    /// One value for the whole batch.
    pub fn whole(value: f64, pullback: impl FnOnce(f32, &mut Gradient) + 'a) -> Self {
        let pullback = move |weights: &[f32], gradient: &mut Gradient| pullback(weights[0], gradient);
        Self::new(ElementKind::Item, vec![value as f32], vec![0], pullback)
    }

    /// Says what [`Reducer::Divisor`] divides by.
    pub fn divided_by(self, divisor: f64) -> Self {
        Self { divisor: Some(divisor), ..self }
    }

    /// Pairs whose value is a function of their distance; `f` gives it and its slope.
    pub fn pairs(on: &'a Pairwise, pairs: Cow<'a, [Pair]>, f: impl Fn(f32) -> (f32, f32) + Sync + 'a) -> Self {
        let distances = on.values();
        let at = move |pair: &Pair| f(distances.row(pair.anchor as usize)[pair.other as usize]);
        let values = pairs.par_iter().map(|pair| at(pair).0).collect();
        let anchors = Anchors::new(on.anchors(), pairs.iter().map(|pair| pair.anchor));
        Self::tuples(values, anchors, move |weight, k, row| {
            row[pairs[k].other as usize] += weight * at(&pairs[k]).1;
        })
    }

    /// Triplets whose value is a function of the anchor and of the distances of positive and negative; `f` gives it and
    /// both slopes.
    pub fn triplets(
        on: &'a Pairwise,
        triplets: Cow<'a, [Triplet]>,
        f: impl Fn(usize, f32, f32) -> (f32, [f32; 2]) + Sync + 'a,
    ) -> Self {
        let distances = on.values();
        let at = move |t: &Triplet| {
            let row = distances.row(t.anchor as usize);
            f(t.anchor as usize, row[t.positive as usize], row[t.negative as usize])
        };
        let values = triplets.par_iter().map(|t| at(t).0).collect();
        let anchors = Anchors::new(on.anchors(), triplets.iter().map(|t| t.anchor));
        Self::tuples(values, anchors, move |weight, k, row| {
            let (t, (_, slopes)) = (&triplets[k], at(&triplets[k]));
            row[t.positive as usize] += weight * slopes[0];
            row[t.negative as usize] += weight * slopes[1];
        })
    }

    /// One element an anchor: `f` writes the slopes of its value with respect to the anchor's distances, which are zero
    /// before, and gives the value; `None` where the anchor has no element.
    pub fn items(on: &Pairwise, sets: &Sets, f: impl Fn(&Row<'_>, &mut [f32]) -> Option<f64> + Sync) -> Self {
        let mut slopes = Gradient::zeros(on);
        let (distances, rows) = (on.values(), slopes.par_rows_mut().enumerate());
        let found: Vec<Option<f64>> = rows.map(|(anchor, slopes)| f(&sets.row(distances, anchor), slopes)).collect();
        let anchors: Vec<u32> = (0u32..).zip(&found).filter_map(|(anchor, value)| value.map(|_| anchor)).collect();
        let values = found.iter().flatten().map(|value| *value as f32).collect();
        let own = anchors.clone();
        Self::new(ElementKind::Item, values, anchors, move |weights, gradient| {
            for (&anchor, weight) in own.iter().zip(weights).filter(|(_, weight)| **weight != 0.0) {
                let slopes = slopes.row(anchor as usize);
                let row = gradient.row_mut(anchor as usize);
                row.iter_mut().zip(slopes).for_each(|(entry, slope)| *entry += weight * slope);
            }
        })
    }

    /// One element a positive pair, in competition with all negatives of its anchor:
    ///
    /// ```text
    /// v_p = link( x(d_p) + log(sum over negatives n of exp(y(d_n))) )
    /// ```
    ///
    /// `x`, `y` and `link` give their value and their slope. Elements are ordered by anchor. The sum over negatives is
    /// shared: the work is that of the pairs, not of the triplets.
    pub fn ratios(
        on: &'a Pairwise,
        sets: Sets,
        x: impl Fn(f32) -> (f64, f64) + Sync + 'a,
        y: impl Fn(f32) -> (f64, f64) + Sync + 'a,
        link: impl Fn(f64) -> (f64, f64) + Sync + 'a,
    ) -> Self {
        let distances = on.values();
        let crowd = |anchor: usize| log_sum_exp(sets.row(distances, anchor).negatives().map(|d| y(d).0));
        let crowds: Vec<f64> = (0..on.anchors()).into_par_iter().map(crowd).collect();
        let anchors = sets.positive_anchors();
        let mut values = Vec::with_capacity(anchors.len());
        for (anchor, crowd) in crowds.iter().enumerate() {
            values.extend(sets.row(distances, anchor).positives().map(|d| link(x(d).0 + crowd).0 as f32));
        }
        Self::new(ElementKind::Tuple, values, anchors, move |weights, gradient| {
            gradient.par_rows_mut().enumerate().for_each(|(anchor, gradient)| {
                let (row, crowd) = (sets.row(distances, anchor), crowds[anchor]);
                let weights = &weights[sets.first_positive(anchor)..];
                let mut pull = 0.0;
                for ((&p, d), weight) in row.positive.iter().zip(row.positives()).zip(weights) {
                    let (logit, slope) = x(d);
                    let share = f64::from(*weight) * link(logit + crowd).1;
                    gradient[p as usize] += (share * slope) as f32;
                    pull += share;
                }
                if pull != 0.0 {
                    for (&n, d) in row.negative.iter().zip(row.negatives()) {
                        let (logit, slope) = y(d);
                        gradient[n as usize] += (pull * (logit - crowd).exp() * slope) as f32;
                    }
                }
            });
        })
    }

    /// The values of the elements, not reduced.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The weights that a reducer gives the elements.
    pub(crate) fn weights(&self, on: &Pairwise, reducer: &Reducer) -> Result<Vec<f32>, MetricError> {
        let (anchors, labels) = (&self.anchors, on.labels());
        let elements = Elements { kind: self.kind, anchors, labels, divisor: self.divisor };
        reducer.weights(&self.values, &elements)
    }

    fn reduce(self, on: &Pairwise, reducer: &Reducer, gradient: &mut Gradient) -> Result<f64, MetricError> {
        let weights = self.weights(on, reducer)?;
        // Sums of fixed pieces, in order: the same for every number of threads.
        let of_piece = |(weights, values): (&[f32], &[f32])| -> f64 {
            let chosen = weights.iter().zip(values).filter(|(weight, _)| **weight != 0.0);
            chosen.map(|(weight, value)| f64::from(*weight) * f64::from(*value)).sum()
        };
        let pieces = weights.par_chunks(PIECE).zip(self.values.par_chunks(PIECE));
        let sums: Vec<f64> = pieces.map(of_piece).collect();
        (self.pullback)(&weights, gradient);
        Ok(sums.iter().sum())
    }
}

/// Reduces every group and adds them up.
pub(crate) fn reduce(on: &Pairwise, terms: Vec<Term<'_>>, reducer: &Reducer) -> Result<Tensor<1>, MetricError> {
    let mut gradient = Gradient::zeros(on);
    let mut sum = 0.0;
    for term in terms {
        sum += term.reduce(on, reducer, &mut gradient)?;
    }
    Ok(gradient.objective(on, sum))
}
