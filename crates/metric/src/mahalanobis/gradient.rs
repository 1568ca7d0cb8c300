//! The one gradient shape that LMNN, NCA, MLKR and SCML share.
//!
//! Their objectives depend on the map `L` only through squared distances, so their gradient is a weighted sum of outer
//! products over pairs of rows:
//!
//! ```text
//! dF = sum_ij w_ij d|L(x_i - x_j)|^2      =>      dF/dL = 2 L S,      S = sum_ij w_ij (x_i - x_j)(x_i - x_j)^T
//! ```
//!
//! Expanded, `S = X^T D X - X^T W X - X^T W^T X` with `D` the diagonal of row sums plus column sums of `W`, so that one
//! needs `V = W X` and the degrees, never the outer products: O(n^2 d) for a dense `W`, O(pairs * d) for a sparse one.

use super::linalg::{Dense, product, transposed_product};

/// `dF/dL`, row-major `[k, d]`, from `rows` `X` `[n, d]`, `degrees` (row sum plus column sum of `W` for each row) and
/// `weighted` `V = W X` `[n, d]`, which is used up.
pub(super) fn from_pair_weights(components: &Dense, rows: &Dense, degrees: &[f64], mut weighted: Dense) -> Vec<f64> {
    // S is symmetric: it is the symmetric part of X^T (D X - 2 V).
    for ((v, x), degree) in
        weighted.data.chunks_exact_mut(rows.cols).zip(rows.data.chunks_exact(rows.cols)).zip(degrees)
    {
        for (v, x) in v.iter_mut().zip(x) {
            *v = degree * x - 2.0 * *v;
        }
    }
    let half = transposed_product(rows, &weighted); // [d, d]
    let d = rows.cols;
    let mut scatter = Dense::zeros(d, d);
    for i in 0..d {
        for j in 0..d {
            // S is half of this; the 2 of dF/dL = 2 L S is folded in.
            scatter.data[i * d + j] = half.data[i * d + j] + half.data[j * d + i];
        }
    }
    product(components, &scatter).data
}

/// Pieces that rows are cut into at most. Each holds a number for every row: if pieces grew in number with the rows,
/// memory would grow with their square. A constant, so that the cut does not follow the number of threads.
const PIECES: usize = 128;

/// Rows of a piece of `n` rows: a multiple of `block`, such that there are at most [`PIECES`] pieces.
pub(super) fn height(n: usize, block: usize) -> usize {
    n.div_ceil(block).div_ceil(PIECES).max(1) * block
}

/// Degrees of all pieces of rows, added in their order.
pub(super) fn add_in_order(parts: impl Iterator<Item = Vec<f64>>, n: usize) -> Vec<f64> {
    let mut total = vec![0.0; n];
    for part in parts {
        total.iter_mut().zip(&part).for_each(|(t, p)| *t += p);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_pieces_is_bounded() {
        assert_eq!([height(1, 64), height(5_000, 64), height(60_000, 64)], [64, 64, 512]);
        for n in [1, 64, 65, 8_192, 8_193, 1_000_000] {
            assert!(height(n, 64).is_multiple_of(64) && n.div_ceil(height(n, 64)) <= PIECES, "{n}");
        }
    }

    #[test]
    fn agrees_with_the_sum_of_outer_products() {
        let (n, d, k) = (7, 3, 2);
        let rows = Dense { data: (0..n * d).map(|i| (i as f64 * 1.3).sin()).collect(), rows: n, cols: d };
        let components = Dense { data: (0..k * d).map(|i| (i as f64 * 0.7).cos()).collect(), rows: k, cols: d };
        let w = Dense { data: (0..n * n).map(|i| (i as f64 * 2.1).cos()).collect(), rows: n, cols: n };
        let degrees: Vec<f64> = (0..n).map(|i| (0..n).map(|j| w.data[i * n + j] + w.data[j * n + i]).sum()).collect();
        let fast = from_pair_weights(&components, &rows, &degrees, product(&w, &rows));
        let mut naive = Dense::zeros(d, d);
        for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
            let diff: Vec<f64> = rows.row(i).iter().zip(rows.row(j)).map(|(a, b)| a - b).collect();
            for (a, b) in (0..d).flat_map(|a| (0..d).map(move |b| (a, b))) {
                naive.data[a * d + b] += 2.0 * w.data[i * n + j] * diff[a] * diff[b];
            }
        }
        let naive = product(&components, &naive).data;
        assert!(fast.iter().zip(&naive).all(|(a, b)| (a - b).abs() < 1e-11), "{fast:?} {naive:?}");
    }
}
