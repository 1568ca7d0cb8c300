//! Neighbourhood components analysis (NCA).
//!
//! Goldberger, Roweis, Hinton and Salakhutdinov, "Neighbourhood components analysis", NIPS 17 (2004).

use nearfar_core::matrix::Matrix;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::data::Training;
use super::init::{Init, initial_components};
use super::lbfgs::{Minimum, Stop, minimize};
use super::linalg::sum;
use super::lmnn::check_stop;
use super::neighbourhood::evaluate;
use super::{Fitted, Learner, MahalanobisError};

/// Learns a distance that maximises the expected number of rows that a stochastic nearest-neighbour rule, leaving the
/// row itself out, assigns to their own class.
///
/// ```text
/// p_ij = exp(-|L(x_i - x_j)|^2) / sum_{k /= i} exp(-|L(x_i - x_k)|^2)        p_i = sum_{j of the class of i} p_ij
/// f(L) = sum_i p_i
/// ```
///
/// (Equations 1 to 3 of the paper.) `f` is maximised by limited-memory BFGS, as in metric-learn. It is not concave:
/// the result depends on the start. Where the classes can be separated, `L` keeps growing slowly, because sharper
/// neighbourhoods are always a little better; only ratios of distances then mean something.
///
/// Cost: one evaluation takes two dense products, `n^2 k` and `n^2 d` multiplications, and `n^2` exponentials, in
/// blocks of rows: memory is O(n d), one block for each thread, and at most 128 numbers for each row. For more than a
/// few thousand rows set [`Nca::max_rows`].
///
/// The order of the training rows does not matter: the result is the same to the last bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Nca {
    /// Output dimensions; `None` keeps all that [`Nca::init`] offers. Default `None`.
    pub dim: Option<usize>,
    /// Where the search starts. Default [`Init::Identity`].
    pub init: Init,
    /// Iterations at most. Default 100, as in metric-learn.
    pub max_iterations: usize,
    /// Ends when `f` grew by less than this share over five iterations. Default 1e-9, near the 2.2e-9 for one
    /// iteration that scipy's `L-BFGS-B`, and so metric-learn, uses.
    pub tolerance: f64,
    /// Learns from this many rows at most, at least two for each class that has two, drawn in proportion to the
    /// classes. Default `None`: all rows. [`Fitted::rows_used`] reports how many it were.
    pub max_rows: Option<usize>,
    /// Seed of that draw; unused without [`Nca::max_rows`]. Default 0.
    pub seed: u64,
}

impl Default for Nca {
    fn default() -> Self {
        Self { dim: None, init: Init::Identity, max_iterations: 100, tolerance: 1e-9, max_rows: None, seed: 0 }
    }
}

impl Learner for Nca {
    /// Learns from rows `[n, d]` and one label a row. With a single class, or without two rows of any class, `f` does
    /// not depend on `L`, and the start is returned. [`Fitted::objective`] holds `f`, at most `n` and increasing.
    ///
    /// # Errors
    /// On settings outside their ranges, fewer than two rows, rows that are not finite, or lengths that differ.
    fn fit(&self, x: &Matrix, labels: &[usize]) -> Result<Fitted, MahalanobisError> {
        check_stop(self.max_iterations, self.tolerance)?;
        let mut data = Training::new(x, labels)?;
        if let Some(max_rows) = self.max_rows.filter(|&max| max < data.len()) {
            data = data.subset(&stratified(&data, max_rows, self.seed)?);
        }
        let start = initial_components(&data.rows, self.init, self.dim)?;
        let objective = Neighbourhood { data: &data };
        let found = if objective.is_constant() {
            let (value, _) = objective.evaluate(&start.data);
            Minimum { point: start.data, trace: vec![value], converged: true }
        } else {
            let stop = Stop { min_iterations: 0, max_iterations: self.max_iterations, tolerance: self.tolerance };
            minimize(start.data, stop, |components| objective.evaluate(components))
        };
        Fitted::from_minimum(found, data.dim(), data.len(), -1.0)
    }
}

/// `max_rows` rows, in increasing order: two of each class (one of a class of one), the rest in proportion to what the
/// classes have left, by largest remainders.
fn stratified(data: &Training, max_rows: usize, seed: u64) -> Result<Vec<usize>, MahalanobisError> {
    let sizes: Vec<usize> = (0..data.labels.len()).map(|c| data.members(c).len()).collect();
    let mut quota: Vec<usize> = sizes.iter().map(|&size| size.min(2)).collect();
    let base: usize = quota.iter().sum();
    if max_rows < base.max(2) {
        return Err(MahalanobisError::setting(
            "max_rows",
            max_rows,
            "at least 2, and two for each class of two or more",
        ));
    }
    let (spare, left) = (max_rows - base, data.len() - base);
    let mut remainders = Vec::with_capacity(sizes.len());
    for (class, quota) in quota.iter_mut().enumerate() {
        let share = spare * (sizes[class] - *quota);
        *quota += share / left;
        remainders.push((share % left, class));
    }
    remainders.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let missing = max_rows - quota.iter().sum::<usize>();
    for &(_, class) in &remainders[..missing] {
        quota[class] += 1;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut keep = Vec::with_capacity(max_rows);
    for (class, quota) in quota.into_iter().enumerate() {
        let mut members: Vec<usize> = data.members(class).collect();
        members.shuffle(&mut rng);
        keep.extend_from_slice(&members[..quota]);
    }
    keep.sort_unstable();
    Ok(keep)
}

/// Minus the objective of NCA on fixed rows.
struct Neighbourhood<'a> {
    data: &'a Training,
}

impl Neighbourhood<'_> {
    /// Whether no `L` changes the objective.
    fn is_constant(&self) -> bool {
        let classes = self.data.labels.len();
        classes == 1 || classes == self.data.len()
    }

    /// Minus `f`, and its gradient, at `components`, row-major `[k, d]`.
    ///
    /// `d(-f) = sum_ij w_ij d|L(x_i - x_j)|^2` with `w_ij = p_ij ([same class] - p_i)`: equation 5 of the paper, with
    /// the outer products left to [`gradient`](super::gradient).
    fn evaluate(&self, components: &[f64]) -> (f64, Vec<f64>) {
        evaluate(
            &self.data.rows,
            components,
            #[inline(always)]
            |i, row| {
                let own = self.data.members(self.data.class_of[i]);
                let p = sum(&row[own.clone()]);
                let (before, rest) = row.split_at_mut(own.start);
                let (inside, after) = rest.split_at_mut(own.len());
                inside.iter_mut().for_each(|value| *value *= 1.0 - p);
                before.iter_mut().chain(after).for_each(|value| *value *= -p);
                -p
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::linalg::dot;
    use super::super::neighbourhood::BLOCK;
    use super::*;

    fn training(n: usize, classes: usize) -> Training {
        let x = Matrix::from_fn(n, 4, |i, j| {
            ((i * 7 + j * 13 + i * j * 3) as f32 * 0.37).sin() + (i % classes) as f32 * 0.4
        });
        let labels: Vec<usize> = (0..n).map(|i| i % classes).collect();
        Training::new(&x, &labels).unwrap()
    }

    /// Equations 1 to 3 of the paper, term by term.
    fn naive(data: &Training, components: &[f64]) -> f64 {
        let d = data.dim();
        let affinity = |a: usize, b: usize| -> f64 {
            let diff: Vec<f64> = data.rows.row(a).iter().zip(data.rows.row(b)).map(|(x, y)| x - y).collect();
            (-components.chunks_exact(d).map(|l| dot(l, &diff).powi(2)).sum::<f64>()).exp()
        };
        let others = |i: usize| (0..data.len()).filter(move |&j| j != i);
        (0..data.len())
            .map(|i| {
                let same = others(i).filter(|&j| data.class_of[j] == data.class_of[i]);
                same.map(|j| affinity(i, j)).sum::<f64>() / others(i).map(|j| affinity(i, j)).sum::<f64>()
            })
            .sum()
    }

    #[test]
    fn the_worked_values() {
        for (labels, expected) in [([1, 1, 0, 0], 2.8802507546), ([1, 0, 0, 1], 0.9763500042)] {
            let data = Training::new(&Matrix::from_fn(4, 1, |i, _| i as f32), &labels).unwrap();
            let (value, _) = Neighbourhood { data: &data }.evaluate(&[1.0]);
            assert!((value + expected).abs() < 1e-9, "{labels:?}: {value}");
        }
    }

    #[test]
    fn the_value_agrees_with_the_paper_across_blocks() {
        let data = training(2 * BLOCK + 7, 3);
        let components: Vec<f64> = (0..8_i32).map(|i| (f64::from(i) * 1.7).sin()).collect();
        let (value, _) = Neighbourhood { data: &data }.evaluate(&components);
        assert!((value + naive(&data, &components)).abs() < 1e-10 * data.len() as f64);
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        let data = training(BLOCK + 9, 3);
        let components: Vec<f64> = (0..8_i32).map(|i| (f64::from(i) * 1.7).sin()).collect();
        let objective = Neighbourhood { data: &data };
        for (at, expected) in objective.evaluate(&components).1.into_iter().enumerate() {
            let moved = |step: f64| {
                let mut components = components.clone();
                components[at] += step;
                objective.evaluate(&components).0
            };
            let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!((slope - expected).abs() < 1e-6, "{at}: {slope} against {expected}");
        }
    }

    #[test]
    fn the_toy_of_metric_learn_changes_its_neighbours() {
        let x = Matrix::new(vec![0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 2.0, 1.0], 4, 2).unwrap();
        let fitted = Nca::default().fit(&x, &[1, 0, 1, 0]).unwrap();
        let distance = |a: usize, b: usize| fitted.model.distance(x.row(a), x.row(b)).unwrap();
        for (i, expected) in [2, 3, 0, 1].into_iter().enumerate() {
            let others = (0..4).filter(|&j| j != i);
            let nearest = others.min_by(|&a, &b| distance(i, a).total_cmp(&distance(i, b)));
            assert_eq!(nearest, Some(expected));
        }
        assert!(fitted.objective.windows(2).all(|w| w[1] >= w[0]));
        assert!(fitted.objective.last().is_some_and(|&f| f > 3.9 && f <= 4.0));
    }

    #[test]
    fn one_class_or_all_singletons_leave_the_start_unchanged() {
        let x = Matrix::from_fn(5, 2, |i, j| ((i * 3 + j) as f32).sin());
        for labels in [[2, 2, 2, 2, 2], [0, 1, 2, 3, 4]] {
            let fitted = Nca::default().fit(&x, &labels).unwrap();
            assert_eq!(fitted.model.components(), [1.0, 0.0, 0.0, 1.0]);
            assert!(fitted.converged && fitted.iterations == 0);
        }
    }

    #[test]
    fn a_sample_keeps_the_shares_of_the_classes_and_is_reported() {
        let x = Matrix::from_fn(100, 2, |i, j| ((i * 5 + j * 3 + i * j) as f32).sin());
        let labels: Vec<usize> = (0..100).map(|i| usize::from(i >= 60) + usize::from(i >= 99)).collect();
        let data = Training::new(&x, &labels).unwrap();
        let keep = stratified(&data, 25, 1).unwrap();
        let count = |class: usize| keep.iter().filter(|&&i| data.class_of[i] == class).count();
        // 60, 39 and 1 rows: 2, 2 and 1 first, then 20 in proportion to 58, 37 and 0.
        assert_eq!([count(0), count(1), count(2)], [14, 10, 1]);
        assert!(keep.windows(2).all(|w| w[0] < w[1]));
        assert_eq!(keep, stratified(&data, 25, 1).unwrap());
        assert_ne!(keep, stratified(&data, 25, 2).unwrap());
        let fitted = Nca { max_rows: Some(25), ..Nca::default() }.fit(&x, &labels).unwrap();
        assert_eq!(fitted.rows_used, 25);
        let all = Nca { max_rows: Some(100), max_iterations: 2, ..Nca::default() }.fit(&x, &labels).unwrap();
        assert_eq!(all.rows_used, 100);
        let error = Nca { max_rows: Some(4), ..Nca::default() }.fit(&x, &labels).unwrap_err();
        assert!(matches!(error, MahalanobisError::InvalidSetting { setting: "max_rows", .. }));
    }
}
