//! The objective of SCML over the roots of the weights.
//!
//! ```text
//! F(w) = mean_(a,b,c) [1 + |x_a - x_b|_M^2 - |x_a - x_c|_M^2]_+  +  beta sum_k w_k        M = sum_k w_k b_k b_k^T
//! ```
//!
//! `F` is convex in `w >= 0`. With `w = u^2` the bound is gone and a descent method can be used; started where no `u`
//! is 0, it goes to the minimum of `F`. Value and gradient need the directions only twice, to make `M` and to read the
//! gradient off it, so that a pass over the triplets costs O(d) each, whatever the number of directions:
//!
//! ```text
//! S = 1/T sum_active (x_a - x_b)(x_a - x_b)^T - (x_a - x_c)(x_a - x_c)^T        dF/du_k = 2 u_k (b_k^T S b_k + beta)
//! ```
//!
//! `S` is summed as the weighted scatter of [`gradient`](super::gradient): a near pair weighs 1, a far pair -1.

use rayon::prelude::*;

use super::MahalanobisError;
use super::gradient::{self, add_in_order};
use super::linalg::{Dense, axpy, dot, product, transposed_product};

/// Anchors of one task at least; see [`gradient::height`].
const BLOCK: usize = 256;

/// SCML's objective on fixed rows, triplets and directions.
pub(super) struct Composition<'a> {
    /// Centred rows, `[n, d]`.
    rows: &'a Dense,
    /// Row, near row and far row, sorted by the row.
    triplets: Vec<[usize; 3]>,
    /// Place of the first triplet of each row, then the number of triplets, `[n + 1]`.
    starts: Vec<usize>,
    /// One direction a row, `[k, d]`.
    bases: &'a Dense,
    beta: f64,
}

/// What the triplets of some rows add.
struct Part {
    loss: f64,
    degrees: Vec<f64>,
}

impl<'a> Composition<'a> {
    /// Over at least one triplet of `rows`, `[n, d]`, and at least one direction, `[k, d]`.
    pub(super) fn new(rows: &'a Dense, triplets: &[[usize; 3]], bases: &'a Dense, beta: f64) -> Self {
        let mut triplets = triplets.to_vec();
        triplets.sort_by_key(|t| t[0]);
        let starts = (0..=rows.rows).map(|i| triplets.partition_point(|t| t[0] < i)).collect();
        Self { rows, triplets, starts, bases, beta }
    }

    /// Roots of equal weights, scaled to the minimum along the line through 0, or of unequal ones where no scale of
    /// equal weights is better than 0: each direction then has the weight that is best for it alone.
    pub(super) fn start(&self) -> Result<Vec<f64>, MahalanobisError> {
        let count = self.bases.rows;
        let gaps = self.gaps(&self.matrix(&vec![1.0; count]));
        if gaps.iter().any(|g| !g.is_finite()) {
            return Err(MahalanobisError::Overflow { what: "the distances of SCML" });
        }
        if let Some(scale) = best_scale(&gaps, self.beta * count as f64) {
            return Ok(vec![scale.sqrt(); count]);
        }
        let alone = |k: usize| {
            let basis = Dense { data: self.bases.row(k).to_vec(), rows: 1, cols: self.bases.cols };
            best_scale(&self.gaps(&transposed_product(&basis, &basis)), self.beta)
        };
        let scales: Vec<Option<f64>> = (0..count).into_par_iter().map(alone).collect();
        let good = scales.iter().flatten().count();
        if good == 0 {
            return Err(MahalanobisError::ContradictoryTriplets);
        }
        // The mean of points below 1 is below 1: the objective is convex.
        Ok(scales.iter().map(|s| (s.unwrap_or(0.0) / good as f64).sqrt()).collect())
    }

    /// Value and gradient at `roots`, `[k]`.
    pub(super) fn evaluate(&self, roots: &[f64]) -> (f64, Vec<f64>) {
        let (n, d) = (self.rows.rows, self.rows.cols);
        let weights: Vec<f64> = roots.iter().map(|u| u * u).collect();
        let mapped = product(self.rows, &self.matrix(&weights)); // X M
        let mut weighted = Dense::zeros(n, d); // W X
        let height = gradient::height(n, BLOCK);
        let pieces = weighted.data.par_chunks_mut(height * d).enumerate();
        let parts: Vec<Part> = pieces.map(|(piece, out)| self.piece(piece * height, out, &mapped)).collect();
        let share = (self.triplets.len() as f64).recip();
        let loss = parts.iter().map(|p| p.loss).sum::<f64>() * share;
        let degrees = add_in_order(parts.into_iter().map(|p| p.degrees), n);
        // d|b (x_i - x_j)|^2 summed with the weights of the pairs, times b: b . (2 b S).
        let slopes = gradient::from_pair_weights(self.bases, self.rows, &degrees, weighted);
        let slopes = self.bases.data.chunks_exact(d).zip(slopes.chunks_exact(d)).map(|(b, slope)| dot(b, slope));
        let gradient = roots.iter().zip(slopes).map(|(u, slope)| u * (slope * share + 2.0 * self.beta)).collect();
        (loss + self.beta * weights.iter().sum::<f64>(), gradient)
    }

    /// `M = sum_k w_k b_k b_k^T`, `[d, d]`.
    pub(super) fn matrix(&self, weights: &[f64]) -> Dense {
        let mut scaled = self.bases.clone();
        for (row, weight) in scaled.data.chunks_exact_mut(scaled.cols).zip(weights) {
            row.iter_mut().for_each(|v| *v *= weight);
        }
        transposed_product(&scaled, self.bases)
    }

    /// Triplets of the rows from `first` on; `weighted` is their part of `W X`.
    fn piece(&self, first: usize, weighted: &mut [f64], mapped: &Dense) -> Part {
        let mut part = Part { loss: 0.0, degrees: vec![0.0; self.rows.rows] };
        for (r, out) in weighted.chunks_exact_mut(self.rows.cols).enumerate() {
            let a = first + r;
            for triplet in &self.triplets[self.starts[a]..self.starts[a + 1]] {
                let hinge = 1.0 + self.gap(triplet, mapped);
                if hinge <= 0.0 {
                    continue; // a NaN goes on, and makes the value a wall for the line search
                }
                let [_, b, c] = *triplet;
                part.loss += hinge;
                // The weights of a row add up to 0: its degree comes from the pairs that it is the other row of.
                axpy(out, 1.0, self.rows.row(b));
                axpy(out, -1.0, self.rows.row(c));
                part.degrees[b] += 1.0;
                part.degrees[c] -= 1.0;
            }
        }
        part
    }

    /// `|x_a - x_b|_M^2 - |x_a - x_c|_M^2`, given `X M`.
    fn gap(&self, &[a, b, c]: &[usize; 3], mapped: &Dense) -> f64 {
        self.squared(a, b, mapped) - self.squared(a, c, mapped)
    }

    /// `(x_i - x_j)^T M (x_i - x_j)`.
    fn squared(&self, i: usize, j: usize, mapped: &Dense) -> f64 {
        let (x, y) = (self.rows.row(i).iter().zip(self.rows.row(j)), mapped.row(i).iter().zip(mapped.row(j)));
        x.zip(y).map(|((xi, xj), (yi, yj))| (xi - xj) * (yi - yj)).sum()
    }

    /// The gap of every triplet under `M`.
    fn gaps(&self, matrix: &Dense) -> Vec<f64> {
        let mapped = product(self.rows, matrix);
        self.triplets.iter().map(|t| self.gap(t, &mapped)).collect()
    }
}

/// The `s > 0` at which `mean [1 + s gap]_+ + s price` is least; `None` when it falls nowhere.
///
/// The function is convex and linear between the points at which a hinge ends, so its minimum is at one of them: the
/// first after which the slope is no longer negative.
fn best_scale(gaps: &[f64], price: f64) -> Option<f64> {
    let mut ends: Vec<(f64, f64)> = gaps.iter().filter(|&&g| g < 0.0).map(|&g| (-1.0 / g, g)).collect();
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let count = gaps.len() as f64;
    let mut slope = price + gaps.iter().sum::<f64>() / count;
    if slope >= 0.0 {
        return None;
    }
    for &(end, gap) in &ends {
        slope -= gap / count;
        if slope >= 0.0 {
            return Some(end);
        }
    }
    ends.last().map(|&(end, _)| end) // rounding: without any hinge the slope is `price`, which is not negative
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud(n: usize, d: usize) -> Dense {
        let mut rows = Dense {
            data: (0..n * d).map(|i| ((i * 7 + i / d * 13) as f64 * 0.37).sin() * 2.0).collect(),
            rows: n,
            cols: d,
        };
        let mean = rows.column_means();
        rows.subtract_from_rows(&mean);
        rows
    }

    fn triplets(n: usize) -> Vec<[usize; 3]> {
        (0..3 * n).map(|t| [t * 5 % n, (t * 7 + 1) % n, (t * 11 + 2) % n]).collect()
    }

    /// The objective, term by term.
    fn naive(rows: &Dense, triplets: &[[usize; 3]], bases: &Dense, beta: f64, roots: &[f64]) -> f64 {
        let squared = |i: usize, j: usize| -> f64 {
            let difference: Vec<f64> = rows.row(i).iter().zip(rows.row(j)).map(|(a, b)| a - b).collect();
            let along = bases.data.chunks_exact(bases.cols).map(|b| dot(b, &difference).powi(2));
            along.zip(roots).map(|(square, u)| u * u * square).sum()
        };
        let hinges = triplets.iter().map(|&[a, b, c]| (1.0 + squared(a, b) - squared(a, c)).max(0.0));
        hinges.sum::<f64>() / triplets.len() as f64 + beta * roots.iter().map(|u| u * u).sum::<f64>()
    }

    #[test]
    fn the_value_agrees_with_the_paper_across_pieces() {
        for n in [12, 2 * BLOCK + 9] {
            let (rows, triplets) = (cloud(n, 3), triplets(n));
            let bases = Dense { data: (0..21).map(|i| (f64::from(i) * 1.3).cos()).collect(), rows: 7, cols: 3 };
            let composition = Composition::new(&rows, &triplets, &bases, 0.01);
            let roots: Vec<f64> = (0..7).map(|i| (f64::from(i) * 0.9).sin()).collect();
            let expected = naive(&rows, &triplets, &bases, 0.01, &roots);
            assert!((composition.evaluate(&roots).0 - expected).abs() < 1e-11 * expected, "{n}");
        }
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        let (rows, triplets) = (cloud(40, 3), triplets(40));
        let bases = Dense { data: (0..21).map(|i| (f64::from(i) * 1.3).cos()).collect(), rows: 7, cols: 3 };
        let composition = Composition::new(&rows, &triplets, &bases, 0.05);
        let roots: Vec<f64> = (0..7).map(|i| 0.3 + (f64::from(i) * 0.9).sin()).collect();
        let (_, gradient) = composition.evaluate(&roots);
        let scale = gradient.iter().fold(0.0, |m: f64, g| m.max(g.abs()));
        for (at, expected) in gradient.iter().enumerate() {
            let moved = |step: f64| {
                let mut roots = roots.clone();
                roots[at] += step;
                naive(&rows, &triplets, &bases, 0.05, &roots)
            };
            let slope = (moved(1e-7) - moved(-1e-7)) / 2e-7;
            assert!((slope - expected).abs() < 1e-4 * scale, "{at}: {slope} against {expected}");
        }
    }

    #[test]
    fn the_best_scale_of_a_worked_example() {
        // [1 - 2 s]_+ and [1 + s]_+: slope -1/2 until s = 1/2, then 1/2.
        assert_eq!(best_scale(&[-2.0, 1.0], 0.0), Some(0.5));
        // Every hinge ends; the last at s = 1.
        assert_eq!(best_scale(&[-4.0, -1.0], 0.0), Some(1.0));
        // Behind the first the rest falls by 1/2 for each unit of s, less than its price.
        assert_eq!(best_scale(&[-4.0, -1.0], 0.6), Some(0.25));
        for (gaps, price) in [([1.0, -0.5], 0.0), ([-1.0, -1.0], 1.0), ([0.0, 0.0], 0.0)] {
            assert_eq!(best_scale(&gaps, price), None);
        }
    }

    #[test]
    fn the_start_is_the_minimum_over_equal_weights() {
        // One direction, the triplet 0, 1, 3: gap 1 - 9 = -8, and the hinge ends at w = 1/8.
        let rows = Dense { data: vec![0.0, 1.0, 3.0], rows: 3, cols: 1 };
        let bases = Dense { data: vec![1.0], rows: 1, cols: 1 };
        let composition = Composition::new(&rows, &[[0, 1, 2]], &bases, 1e-3);
        let start = composition.start().unwrap();
        assert!((start[0] * start[0] - 0.125).abs() < 1e-15);
        assert!((composition.evaluate(&start).0 - 1.25e-4).abs() < 1e-12);
        let error = Composition::new(&rows, &[[0, 2, 1]], &bases, 1e-3).start().unwrap_err();
        assert_eq!(error, MahalanobisError::ContradictoryTriplets);
    }

    #[test]
    fn directions_that_do_harm_do_not_hide_one_that_helps() {
        // Rows (0, 0), (9, 1), (1, 4): the first feature tells the wrong way, and by more than the second tells right.
        let rows = Dense { data: vec![0.0, 0.0, 9.0, 1.0, 1.0, 4.0], rows: 3, cols: 2 };
        let bases = Dense::identity(2, 2);
        let composition = Composition::new(&rows, &[[0, 1, 2]], &bases, 1e-3);
        let start = composition.start().unwrap();
        assert!(start[0] == 0.0 && (start[1] * start[1] - 1.0 / 15.0).abs() < 1e-15, "{start:?}");
        assert!(composition.evaluate(&start).0 < 1.0);
        let huge = Dense { data: vec![1e200, 0.0], rows: 1, cols: 2 };
        let error = Composition::new(&rows, &[[0, 1, 2]], &huge, 0.0).start().unwrap_err();
        assert!(matches!(error, MahalanobisError::Overflow { .. }));
    }
}
