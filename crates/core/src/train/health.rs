//! Whether the embeddings still differ from one another. Nothing here knows a method.

use crate::matrix::Matrix;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Below this share of a healthy spread, embeddings count as collapsed. SimSiam's paper plots the same number: near 1
/// in training that works, 0 in training that does not.
const COLLAPSED_SPREAD: f64 = 0.1;

/// Below this number of dimensions, embeddings lie almost on one line.
const COLLAPSED_DIMENSIONS: f64 = 1.5;

/// How near, relatively, the loss must come to its value at collapse to be named.
const FINGERPRINT: f64 = 2e-3;

/// Rows that are compared pair by pair at most: the first ones.
const MOST_ROWS: usize = 512;

/// State of a batch's embeddings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Mean over dimensions of the standard deviation of the normalised embeddings, times the root of the dimension:
    /// about 1 for directions spread evenly, 0 when all are equal.
    pub spread: f64,
    /// Mean Euclidean norm before normalisation.
    pub norm: f64,
    /// In how many dimensions the normalised embeddings vary: the participation ratio `(sum of l)^2 / sum of l^2` of
    /// their covariance's eigenvalues `l`. Between 1 (a line) and their length; 0 when all are equal.
    pub dimensions: f64,
    /// `log` of the mean of `exp(-2 |x - y|^2)` over distinct normalised rows (Wang and Isola, 2020): 0 when all are
    /// equal, lower the more evenly they lie.
    pub uniformity: f64,
    /// What the views of the same images say, where a batch holds several.
    pub pairs: Option<Pairs>,
}

/// Views of the same image against views of others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pairs {
    /// Mean cosine of two views of one image.
    pub positive: f64,
    /// Mean cosine of views of different images.
    pub negative: f64,
    /// Share of the pairs of different images that have the same label, where labels are known.
    pub false_negatives: Option<f64>,
}

impl Pairs {
    /// Mean squared distance of two normalised views of one image (Wang and Isola, 2020), in [0, 4].
    pub fn alignment(&self) -> f64 {
        2.0 - 2.0 * self.positive
    }

    /// `unit` holds the views of `images` images, view by view.
    fn of(unit: &Matrix, images: usize, labels: &[usize]) -> Option<Self> {
        let views = unit.rows() / images.max(1);
        if views < 2 || images < 2 || views * images != unit.rows() {
            return None;
        }
        let add = |sum: &mut [f64], row: &[f32]| sum.iter_mut().zip(row).for_each(|(s, v)| *s += f64::from(*v));
        let square = |sum: &[f64]| sum.iter().map(|v| v * v).sum::<f64>();
        // The squared length of a sum is the sum over all ordered pairs: no pair need be formed.
        let mut total = vec![0.0; unit.cols()];
        let mut within = 0.0;
        for image in 0..images {
            let mut of_image = vec![0.0; unit.cols()];
            (0..views).for_each(|view| add(&mut of_image, unit.row(view * images + image)));
            within += square(&of_image);
            total.iter_mut().zip(&of_image).for_each(|(t, v)| *t += v);
        }
        let itself: f64 = unit.as_slice().iter().map(|v| f64::from(*v).powi(2)).sum();
        let (rows, same) = (unit.rows() as f64, (images * views * views) as f64);
        Some(Self {
            positive: (within - itself) / (same - rows),
            negative: (square(&total) - within) / (rows * rows - same),
            false_negatives: (labels.len() == images).then(|| same_label_share(labels)),
        })
    }
}

/// Share of the pairs of distinct items that have the same label.
fn same_label_share(labels: &[usize]) -> f64 {
    let mut counts = std::collections::BTreeMap::new();
    labels.iter().for_each(|label| *counts.entry(label).or_insert(0.0) += 1.0);
    let n = labels.len() as f64;
    counts.values().map(|c: &f64| c * (c - 1.0)).sum::<f64>() / (n * (n - 1.0))
}

impl Health {
    /// Measures embeddings `[n, d]`.
    pub fn of(embeddings: &Matrix) -> Self {
        Self::of_views(embeddings, embeddings.rows(), &[])
    }

    /// Measures the embeddings `[views * images, d]` of several views, the first view first, and their pairs; `labels`
    /// of the images may be empty.
    pub fn of_views(embeddings: &Matrix, images: usize, labels: &[usize]) -> Self {
        let (n, d) = (embeddings.rows() as f64, embeddings.cols());
        let norm =
            embeddings.iter_rows().map(|r| r.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt()).sum::<f64>()
                / n;
        let unit = embeddings.normalized_rows();
        let (mut sum, mut squares) = (vec![0.0f64; d], vec![0.0f64; d]);
        for row in unit.iter_rows() {
            for (j, v) in row.iter().enumerate() {
                sum[j] += f64::from(*v);
                squares[j] += f64::from(*v).powi(2);
            }
        }
        let spread =
            sum.iter().zip(&squares).map(|(s, q)| (q / n - (s / n).powi(2)).max(0.0).sqrt()).sum::<f64>() / d as f64;
        let (dimensions, uniformity) = pairwise(&unit);
        let pairs = Pairs::of(&unit, images, labels);
        Self { spread: spread * (d as f64).sqrt(), norm, dimensions, uniformity, pairs }
    }
}

/// Dimensions and uniformity of unit rows.
fn pairwise(unit: &Matrix) -> (f64, f64) {
    let rows = unit.rows().min(MOST_ROWS);
    if rows < 2 {
        return (0.0, 0.0);
    }
    let mut mean = vec![0.0f32; unit.cols()];
    for row in (0..rows).map(|i| unit.row(i)) {
        mean.iter_mut().zip(row).for_each(|(m, v)| *m += v / rows as f32);
    }
    let centred = Matrix::from_fn(rows, unit.cols(), |i, j| unit.row(i)[j] - mean[j]);
    let dot = |a: &[f32], b: &[f32]| f64::from(a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>());
    // The traces of the covariance and of its square are those of the rows' products, up to one common factor.
    let (mut trace, mut of_square, mut potential) = (0.0, 0.0, 0.0);
    for i in 0..rows {
        let own = dot(centred.row(i), centred.row(i));
        trace += own;
        of_square += own * own;
        for j in 0..i {
            of_square += 2.0 * dot(centred.row(i), centred.row(j)).powi(2);
            potential += (4.0 * (dot(unit.row(i), unit.row(j)) - 1.0)).exp(); // |x - y|^2 = 2 - 2 x.y
        }
    }
    let pairs = (rows * (rows - 1) / 2) as f64;
    // A trace of rounding errors has no dimensions.
    let dimensions = if trace > 1e-9 * rows as f64 { trace * trace / of_square } else { 0.0 };
    (dimensions, (potential / pairs).ln())
}

/// Trouble worth telling a person about while a method trains.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Warning {
    /// All embeddings point the same way.
    Collapsed {
        /// [`Health::spread`].
        spread: f64,
        /// Step, from 1.
        step: usize,
        /// The likely cause and what to change.
        remedy: String,
    },
    /// The embeddings lie almost on one line.
    FewDimensions {
        /// [`Health::dimensions`].
        dimensions: f64,
        /// Step, from 1.
        step: usize,
        /// The likely cause and what to change.
        remedy: String,
    },
    /// The loss sits at the value that it has when all embeddings are equal.
    StuckAtCollapse {
        /// The loss.
        loss: f64,
        /// Step, from 1.
        step: usize,
        /// The likely cause and what to change.
        remedy: String,
    },
}

impl Warning {
    /// What the measured state means, if anything bad.
    pub(super) fn find(
        health: Health,
        loss: f64,
        collapsed_loss: Option<f64>,
        remedy: &str,
        step: usize,
    ) -> Option<Self> {
        let remedy = remedy.to_owned();
        if health.spread < COLLAPSED_SPREAD {
            return Some(Self::Collapsed { spread: health.spread, step, remedy });
        }
        // Labels of two classes may well put images on a line; views without labels should not.
        if health.pairs.is_some() && health.dimensions < COLLAPSED_DIMENSIONS {
            return Some(Self::FewDimensions { dimensions: health.dimensions, step, remedy });
        }
        collapsed_loss
            .filter(|mark| (loss - mark).abs() <= FINGERPRINT * mark.abs().max(1.0))
            .map(|_| Self::StuckAtCollapse { loss, step, remedy })
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Collapsed { spread, step, remedy } => {
                write!(f, "collapse at step {step}: the embeddings' spread is {spread:.3} (healthy: about 1); {remedy}")
            }
            Self::FewDimensions { dimensions, step, remedy } => write!(
                f,
                "collapse at step {step}: the embeddings vary in {dimensions:.1} dimensions, almost along one line; {remedy}"
            ),
            Self::StuckAtCollapse { loss, step, remedy } => {
                write!(f, "the loss is {loss:.4} at step {step}, its value when all embeddings are equal; {remedy}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_is_one_for_axes_and_zero_for_copies() {
        let axes = Matrix::from_fn(100, 10, |i, j| if i % 10 == j { 3.0 } else { 0.0 });
        let health = Health::of(&axes);
        assert!((health.spread - 0.9486832981).abs() < 1e-6 && (health.norm - 3.0).abs() < 1e-6, "{health:?}");
        // Ten axes around their mean span nine directions, evenly.
        assert!((health.dimensions - 9.0).abs() < 1e-4, "{health:?}");
        assert_eq!(health.pairs, None);
        let copies = Matrix::from_fn(50, 4, |_, j| j as f32);
        let health = Health::of(&copies);
        assert!(health.spread < 1e-6 && health.dimensions == 0.0 && health.uniformity.abs() < 1e-5, "{health:?}");
    }

    #[test]
    fn uniformity_has_its_worked_value() {
        let axes = Matrix::new(vec![1.0, 0.0, 0.0, 1.0], 2, 2).unwrap();
        assert!((Health::of(&axes).uniformity + 4.0).abs() < 1e-6);
        let rows = Matrix::new(vec![1.0, 2.0, 3.0, -1.0, -1.0, 1.0], 3, 2).unwrap();
        assert!((Health::of(&rows).uniformity + 3.4250037761).abs() < 1e-5);
    }

    #[test]
    fn pairs_equal_double_loops() {
        let (images, views, d) = (5, 3, 4);
        let z = Matrix::from_fn(images * views, d, |i, j| ((3 * i + 7 * j) as f32).sin());
        let labels = [0, 1, 0, 2, 0];
        let got = Health::of_views(&z, images, &labels).pairs.unwrap();
        let unit = z.normalized_rows();
        let (mut positive, mut negative) = (Vec::new(), Vec::new());
        for i in 0..images * views {
            for j in (0..images * views).filter(|j| *j != i) {
                let cosine: f32 = unit.row(i).iter().zip(unit.row(j)).map(|(a, b)| a * b).sum();
                if i % images == j % images { positive.push(cosine) } else { negative.push(cosine) }
            }
        }
        let mean = |v: &[f32]| f64::from(v.iter().sum::<f32>()) / v.len() as f64;
        assert!((got.positive - mean(&positive)).abs() < 1e-5 && (got.negative - mean(&negative)).abs() < 1e-5);
        assert_eq!(got.false_negatives, Some(6.0 / 20.0));
        assert!((got.alignment() - (2.0 - 2.0 * got.positive)).abs() < 1e-12);
        assert_eq!(Health::of_views(&z, images, &[]).pairs.unwrap().false_negatives, None);
        assert_eq!(Health::of_views(&z, 4, &labels).pairs, None, "rows that are no whole views have no pairs");
    }

    #[test]
    fn fingerprints_are_named_with_their_remedy() {
        let find = |health, loss, mark| Warning::find(health, loss, mark, "raise the momentum", 5);
        let pairs = Some(Pairs::default());
        let fine = Health { spread: 0.9, norm: 1.0, dimensions: 20.0, uniformity: -3.0, pairs };
        let mark = Some(511f64.ln());
        assert_eq!(find(fine, 3.0, mark), None);
        assert!(matches!(find(fine, 511f64.ln(), mark), Some(Warning::StuckAtCollapse { .. })));
        let flat = Health { spread: 0.01, ..fine };
        assert!(matches!(find(flat, 3.0, None), Some(Warning::Collapsed { .. })));
        let line = Health { dimensions: 1.1, ..fine };
        assert_eq!(find(Health { pairs: None, ..line }, 3.0, None), None);
        let warning = find(line, 3.0, None).unwrap();
        assert!(matches!(warning, Warning::FewDimensions { .. }));
        assert!(warning.to_string().contains("1.1 dimensions") && warning.to_string().contains("raise the momentum"));
    }
}
