//! Stochastic neighbours: what NCA and MLKR share.
//!
//! ```text
//! p_ij = exp(-|L(x_i - x_j)|^2) / sum_{k /= i} exp(-|L(x_i - x_k)|^2)        p_ii = 0
//! ```
//!
//! Both sum, over the rows, a loss of the row's probabilities. Cost of one evaluation for `n` rows: two dense products,
//! `n^2 k` and `n^2 d` multiplications, and `n^2` exponentials, in blocks of rows. Memory is O(n d) and one block for
//! each thread.

use faer::Accum;
use rayon::prelude::*;

use super::gradient;
use super::linalg::{Dense, dot, multiply, product_transposed, view};

/// Rows of one task: 64 rows of weights against 5,000 others are 2.5 MB.
pub(super) const BLOCK: usize = 64;

/// Sum and gradient, at `components`, row-major `[k, d]`, of `loss` over the rows `[n, d]`.
///
/// `loss(i, row)` finds the probabilities `p_ij` of row `i` in `row`, returns the row's loss, and leaves the weights
/// `w_ij` of `d loss = sum_j w_ij d|L(x_i - x_j)|^2` there. These add up to 0, because so do the `d p_ij`.
pub(super) fn evaluate(
    rows: &Dense,
    components: &[f64],
    loss: impl Fn(usize, &mut [f64]) -> f64 + Sync,
) -> (f64, Vec<f64>) {
    let (n, d) = (rows.rows, rows.cols);
    let components = Dense { data: components.to_vec(), rows: components.len() / d, cols: d };
    let embedded = product_transposed(rows, &components); // [n, k]
    let norms: Vec<f64> = embedded.data.chunks_exact(embedded.cols).map(|z| dot(z, z)).collect();
    if norms.iter().any(|s| !s.is_finite()) {
        return (f64::INFINITY, vec![0.0; components.data.len()]); // a wall for the line search
    }
    let mut weighted = Dense::zeros(n, d); // W X
    let blocks = weighted.data.par_chunks_mut(BLOCK * d).enumerate();
    let parts: Vec<Part> = blocks
        .map(|(block, out)| {
            let first = block * BLOCK;
            let mut weights = probabilities(&embedded, &norms, first, out.len() / d);
            let mut part = Part { loss: 0.0, degrees: vec![0.0; n] };
            for (r, row) in weights.chunks_exact_mut(n).enumerate() {
                part.loss += loss(first + r, row);
                // The weights of a row add up to 0: its degree comes from the columns alone.
                part.degrees.iter_mut().zip(row.iter()).for_each(|(degree, w)| *degree += w);
            }
            multiply(out, Accum::Replace, 1.0, view(&weights, n), view(&rows.data, d));
            part
        })
        .collect();
    let total: f64 = parts.iter().map(|p| p.loss).sum();
    let degrees = gradient::add_in_order(parts.into_iter().map(|p| p.degrees), n);
    (total, gradient::from_pair_weights(&components, rows, &degrees, weighted))
}

/// What one block of rows adds.
struct Part {
    loss: f64,
    degrees: Vec<f64>,
}

/// `p_ij` of the `height` rows from `first` on, `[height, n]`.
fn probabilities(embedded: &Dense, norms: &[f64], first: usize, height: usize) -> Vec<f64> {
    let (n, k) = (embedded.rows, embedded.cols);
    let mut out = vec![0.0; height * n];
    let lhs = view(&embedded.data[first * k..(first + height) * k], k);
    multiply(&mut out, Accum::Replace, -2.0, lhs, view(&embedded.data, k).transpose());
    for (r, row) in out.chunks_exact_mut(n).enumerate() {
        softmax(first + r, row, norms);
    }
    out
}

/// Turns `-2 z_i . z_j` into the probabilities of row `i`.
fn softmax(i: usize, row: &mut [f64], norms: &[f64]) {
    let mut nearest = f64::INFINITY;
    for (j, (value, norm)) in row.iter_mut().zip(norms).enumerate() {
        *value = (*value + norms[i] + norm).max(0.0);
        if j != i {
            nearest = nearest.min(*value);
        }
    }
    row[i] = f64::INFINITY; // exp(-inf) = 0: a row is not its own neighbour
    let mut total = 0.0;
    for value in row.iter_mut() {
        // Relative to the nearest neighbour, so that the sum is at least 1 however far the rows are apart.
        *value = (nearest - *value).exp();
        total += *value;
    }
    row.iter_mut().for_each(|v| *v /= total);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_of_a_worked_example() {
        // Rows 0, 1, 3 on a line: squared distances 1, 9, 4.
        let rows = Dense { data: vec![0.0, 1.0, 3.0], rows: 3, cols: 1 };
        let p = probabilities(&rows, &[0.0, 1.0, 9.0], 1, 1);
        let (a, b) = ((-1f64).exp(), (-4f64).exp());
        assert!(p.iter().zip([a / (a + b), 0.0, b / (a + b)]).all(|(p, e)| (p - e).abs() < 1e-15), "{p:?}");
    }

    #[test]
    fn rows_far_apart_have_their_nearest_neighbour_all_the_same() {
        let rows = Dense { data: vec![0.0, 1e3, 3e3], rows: 3, cols: 1 };
        let p = probabilities(&rows, &[0.0, 1e6, 9e6], 0, 3);
        assert_eq!(p, [0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    }
}
