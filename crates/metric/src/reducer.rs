use crate::MetricError;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// How the values of all elements (items, pairs or triplets) become one number.
///
/// Once the selection is made every reducer is linear: it gives each element a weight `w_i`, the reduced value is
/// `sum w_i v_i`, and `w_i` is its derivative ([`Reducer::weights`]). The names are pytorch-metric-learning's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reducer {
    /// Mean over all elements.
    Mean,
    /// Sum over all elements.
    Sum,
    /// Mean over the elements whose value is above zero: easy tuples do not water down the gradient.
    #[default]
    AverageNonZero,
    /// Mean over the elements with `low < value < high`; a bound that is not given does not bind.
    Threshold {
        /// Exclusive lower bound.
        low: Option<f32>,
        /// Exclusive upper bound.
        high: Option<f32>,
    },
    /// Mean over all elements of the value times the weight of its anchor's class. The divisor is the number of
    /// elements, not the sum of the weights.
    ClassWeighted {
        /// One weight a class, by class index; finite and not negative.
        weights: Vec<f32>,
    },
    /// Sum over all elements, divided by what the loss says ([`crate::losses::Margin`]: its active pairs). Losses that
    /// say nothing refuse it.
    Divisor,
    /// The mean of every anchor over its pairs or triplets, then the mean over all embeddings of the batch: those
    /// without tuples count as zeros. Elements that are items are averaged as [`Reducer::Mean`] does. The original
    /// refuses triplets; here they are treated like pairs.
    PerAnchor,
}

/// What an element of a loss is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementKind {
    /// An embedding of the batch: at most one element an anchor.
    Item,
    /// A pair or a triplet: any number of elements an anchor.
    Tuple,
}

/// The anchor of every element, as a row of the batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Anchors {
    /// Element `k` belongs to row `k`.
    Each,
    /// Element `k` belongs to this row.
    Listed(Vec<u32>),
    /// The elements of row `i` are those from entry `i` to before entry `i + 1`: elements in the order of their rows.
    Runs(Vec<usize>),
}

impl Anchors {
    /// Anchors below `rows`, one an element.
    pub fn new(rows: usize, anchors: impl Iterator<Item = u32> + Clone) -> Self {
        let mut starts = Vec::with_capacity(rows + 1);
        let mut elements = 0;
        for anchor in anchors.clone() {
            if starts.len() > anchor as usize + 1 {
                return Self::Listed(anchors.collect());
            }
            starts.resize(anchor as usize + 1, elements);
            elements += 1;
        }
        starts.resize(rows + 1, elements);
        Self::Runs(starts)
    }

    /// The row of element `k`.
    pub fn row(&self, k: usize) -> usize {
        match self {
            Self::Each => k,
            Self::Listed(rows) => rows[k] as usize,
            Self::Runs(starts) => starts.partition_point(|start| *start <= k) - 1,
        }
    }
}

/// What a [`Reducer`] may ask of the elements beside their values.
#[derive(Clone, Copy, Debug)]
pub struct Elements<'a> {
    /// What an element is.
    pub kind: ElementKind,
    /// The anchor of every element.
    pub anchors: &'a Anchors,
    /// The class of every embedding of the batch.
    pub labels: &'a [usize],
    /// What the loss says that [`Reducer::Divisor`] divides by.
    pub divisor: Option<f64>,
}

impl<'a> Elements<'a> {
    /// One element an embedding, in order: what losses with class weights have.
    pub fn items(labels: &'a [usize]) -> Self {
        Self { kind: ElementKind::Item, anchors: &Anchors::Each, labels, divisor: None }
    }

    /// The class of the anchor of element `k`.
    pub fn label(&self, k: usize) -> usize {
        self.labels[self.anchors.row(k)]
    }
}

impl Reducer {
    /// Checks bounds and weights.
    ///
    /// # Errors
    /// When a threshold has no bound, a bound that is no number or an empty range, or a class weight is negative or
    /// not finite.
    pub fn validate(&self) -> Result<(), MetricError> {
        match self {
            Self::Threshold { low: None, high: None } => {
                MetricError::check(false, "threshold", "bounded by `low`, by `high` or by both", f64::NAN)
            }
            Self::Threshold { low, high } => {
                let (low, high) = (low.unwrap_or(f32::NEG_INFINITY), high.unwrap_or(f32::INFINITY));
                MetricError::check(!low.is_nan(), "threshold.low", "a number", low.into())?;
                MetricError::check(low < high, "threshold.high", "a number above `low`", high.into())
            }
            Self::ClassWeighted { weights } => weights.iter().try_for_each(|w| {
                let ok = w.is_finite() && *w >= 0.0;
                MetricError::check(ok, "class_weighted.weights", "finite and not negative", (*w).into())
            }),
            _ => Ok(()),
        }
    }

    /// The same for a loss that says nothing to divide by.
    ///
    /// # Errors
    /// As [`Reducer::validate`], and when this is [`Reducer::Divisor`].
    pub fn validate_without_divisor(&self) -> Result<(), MetricError> {
        if *self == Self::Divisor { Err(MetricError::NoDivisor) } else { self.validate() }
    }

    /// Checks the reducer against data of so many classes.
    ///
    /// # Errors
    /// When this is [`Reducer::ClassWeighted`] with more or fewer weights than there are classes.
    pub fn validate_for(&self, classes: usize) -> Result<(), MetricError> {
        let Self::ClassWeighted { weights } = self else { return Ok(()) };
        let count = weights.len();
        if count < classes {
            return Err(MetricError::ClassWeight { class: count, classes: count });
        }
        MetricError::check(count == classes, "class_weighted.weights", "one for each class", count as f64)
    }

    /// The weight of every element; they depend on `values` only through which elements are selected. A value that is
    /// no number is always selected, so that it reaches the loss.
    ///
    /// # Errors
    /// When a class has no weight, or the loss gives no divisor.
    pub fn weights(&self, values: &[f32], of: &Elements<'_>) -> Result<Vec<f32>, MetricError> {
        let n = values.len();
        Ok(match self {
            Self::Mean => vec![share(n); n],
            Self::Sum => vec![1.0; n],
            Self::AverageNonZero => mean_where(values, |v| v > 0.0),
            Self::Threshold { low, high } => {
                mean_where(values, |v| low.is_none_or(|low| v > low) && high.is_none_or(|high| v < high))
            }
            Self::ClassWeighted { weights } => {
                let weight = |class: usize| {
                    let weight = weights.get(class).map(|w| w * share(n));
                    weight.ok_or(MetricError::ClassWeight { class, classes: weights.len() })
                };
                (0..n).map(|k| weight(of.label(k))).collect::<Result<_, _>>()?
            }
            Self::Divisor => {
                let divisor = of.divisor.ok_or(MetricError::NoDivisor)?;
                vec![if divisor == 0.0 { 0.0 } else { (1.0 / divisor) as f32 }; n]
            }
            Self::PerAnchor => match of.kind {
                ElementKind::Item => vec![share(n); n],
                ElementKind::Tuple => {
                    let mut counts = vec![0usize; of.labels.len()];
                    (0..n).for_each(|k| counts[of.anchors.row(k)] += 1);
                    let rows = share(of.labels.len());
                    (0..n).map(|k| rows * share(counts[of.anchors.row(k)])).collect()
                }
            },
        })
    }
}

/// One part of `n`.
fn share(n: usize) -> f32 {
    1.0 / n.max(1) as f32
}

/// Weights of the mean over the values that `keep` holds for, or that are no number.
fn mean_where(values: &[f32], keep: impl Fn(f32) -> bool + Sync) -> Vec<f32> {
    let keep = |v: f32| keep(v) || v.is_nan();
    let weight = share(values.par_iter().filter(|v| keep(**v)).count());
    values.par_iter().map(|v| if keep(*v) { weight } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [f32; 4] = [0.0, 0.25, 0.5, 1.0];

    fn reduced(reducer: &Reducer, of: &Elements<'_>) -> f32 {
        let weights = reducer.weights(&VALUES, of).unwrap();
        weights.iter().zip(VALUES).map(|(w, v)| w * v).sum()
    }

    #[test]
    fn runs_and_lists_name_the_same_rows() {
        for anchors in [vec![0u32, 0, 2, 2, 2, 4], vec![3, 3], vec![], vec![2, 0, 1]] {
            let found = Anchors::new(5, anchors.iter().copied());
            let sorted = anchors.is_sorted();
            assert_eq!(matches!(found, Anchors::Runs(_)), sorted, "{anchors:?}");
            let rows: Vec<u32> = (0..anchors.len()).map(|k| found.row(k) as u32).collect();
            assert_eq!(rows, anchors);
        }
    }

    #[test]
    fn every_reducer_has_its_worked_value() {
        let items = Elements::items(&[0, 1, 1, 0]);
        let threshold = |low, high| Reducer::Threshold { low, high };
        let weights = vec![2.0, 4.0];
        for (reducer, wanted) in [
            (Reducer::Mean, 1.75 / 4.0),
            (Reducer::Sum, 1.75),
            (Reducer::AverageNonZero, 1.75 / 3.0),
            (threshold(Some(0.25), None), 0.75),
            (threshold(None, Some(1.0)), 0.25),
            (threshold(Some(0.0), Some(1.0)), 0.375),
            (threshold(Some(2.0), None), 0.0),
            (Reducer::ClassWeighted { weights }, (1.0 + 2.0 + 2.0) / 4.0),
            (Reducer::PerAnchor, 1.75 / 4.0),
        ] {
            assert!((reduced(&reducer, &items) - wanted).abs() < 1e-6, "{reducer:?}");
        }
        let divided = Elements { divisor: Some(7.0), ..items };
        assert!((reduced(&Reducer::Divisor, &divided) - 0.25).abs() < 1e-6);
        assert_eq!(reduced(&Reducer::Divisor, &Elements { divisor: Some(0.0), ..items }), 0.0);
    }

    /// Rows 0 and 2 have tuples, row 1 has none: it counts in the mean over the rows.
    #[test]
    fn per_anchor_averages_anchors_first() {
        let anchors = Anchors::Listed(vec![0, 2, 2, 2]);
        let of = Elements { kind: ElementKind::Tuple, anchors: &anchors, labels: &[0, 0, 1], divisor: None };
        let wanted = (0.0 + (0.25 + 0.5 + 1.0) / 3.0) / 3.0;
        assert!((reduced(&Reducer::PerAnchor, &of) - wanted).abs() < 1e-6);
    }

    #[test]
    fn what_is_no_number_is_always_selected() {
        let values = [f32::NAN, -1.0, 5.0];
        let of = Elements::items(&[0, 0, 0]);
        for reducer in [Reducer::AverageNonZero, Reducer::Threshold { low: Some(0.0), high: Some(1.0) }] {
            let weights = reducer.weights(&values, &of).unwrap();
            assert!(weights[0] > 0.0 && weights[1] == 0.0, "{reducer:?}: {weights:?}");
        }
    }

    #[test]
    fn settings_and_elements_that_make_no_sense_are_refused() {
        let threshold = |low, high| Reducer::Threshold { low, high };
        for reducer in [
            threshold(None, None),
            threshold(Some(1.0), Some(1.0)),
            threshold(Some(f32::NAN), None),
            Reducer::ClassWeighted { weights: vec![1.0, -1.0] },
        ] {
            assert!(reducer.validate().is_err(), "{reducer:?}");
        }
        let of = Elements::items(&[0, 1, 2, 0]);
        assert_eq!(Reducer::Divisor.weights(&VALUES, &of), Err(MetricError::NoDivisor));
        assert_eq!(Reducer::Divisor.validate_without_divisor(), Err(MetricError::NoDivisor));
        let weights = Reducer::ClassWeighted { weights: vec![1.0, 1.0] };
        assert_eq!(weights.weights(&VALUES, &of), Err(MetricError::ClassWeight { class: 2, classes: 2 }));
    }

    #[test]
    fn reducers_survive_storage() {
        for reducer in [
            Reducer::AverageNonZero,
            Reducer::Threshold { low: Some(0.5), high: None },
            Reducer::ClassWeighted { weights: vec![1.0, 0.5] },
        ] {
            let text = serde_json::to_string(&reducer).unwrap();
            assert_eq!(serde_json::from_str::<Reducer>(&text).unwrap(), reducer, "{text}");
        }
        assert_eq!(serde_json::from_str::<Reducer>(r#""average_non_zero""#).unwrap(), Reducer::AverageNonZero);
        assert!(serde_json::from_str::<Reducer>(r#"{ "threshold": { "lo": 1.0 } }"#).is_err());
    }
}
