//! Stochastic neighbours: what NCA and MLKR share.
//!
//! ```text
//! p_ij = exp(-|L(x_i - x_j)|^2) / sum_{k /= i} exp(-|L(x_i - x_k)|^2)        p_ii = 0
//! ```
//!
//! Both sum, over the rows, a loss of the row's probabilities. Cost of one evaluation for `n` rows: two products, `n^2 k`
//! and `n^2 d` multiplications (the second fewer where few neighbours count), and `n^2` exponentials, in blocks of rows.
//! Memory is O(n d), one block for each thread, and at most 128 numbers for each row.

use faer::Accum;
use rayon::prelude::*;

use super::gradient;
use super::linalg::{Dense, axpy, dot, least, multiply, product_transposed, sum, vectorized, view};

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
    let height = gradient::height(n, BLOCK);
    let pieces = weighted.data.par_chunks_mut(height * d).enumerate();
    let parts: Vec<Part> = pieces
        .map(|(piece, out)| {
            let mut part = Part { loss: 0.0, degrees: vec![0.0; n] };
            let mut weights = vec![0.0; BLOCK.min(n) * n];
            for (block, out) in out.chunks_mut(BLOCK * d).enumerate() {
                let first = piece * height + block * BLOCK;
                let weights = &mut weights[..out.len() / d * n];
                probabilities(&embedded, &norms, first, weights);
                part.loss += vectorized(
                    #[inline(always)]
                    || {
                        let rows = weights.chunks_exact_mut(n).enumerate();
                        rows.map(|(r, row)| loss(first + r, row)).sum::<f64>()
                    },
                );
                apply(weights, rows, out, &mut part.degrees);
            }
            part
        })
        .collect();
    let total: f64 = parts.iter().map(|p| p.loss).sum();
    let degrees = gradient::add_in_order(parts.into_iter().map(|p| p.degrees), n);
    (total, gradient::from_pair_weights(&components, rows, &degrees, weighted))
}

/// What one piece of rows adds.
struct Part {
    loss: f64,
    degrees: Vec<f64>,
}

/// `p_ij` of the rows from `first` on, as many as fill `out`, `[height, n]`.
fn probabilities(embedded: &Dense, norms: &[f64], first: usize, out: &mut [f64]) {
    let (n, k) = (embedded.rows, embedded.cols);
    let lhs = view(&embedded.data[first * k..(first + out.len() / n) * k], k);
    multiply(out, Accum::Replace, -2.0, lhs, view(&embedded.data, k).transpose());
    vectorized(
        #[inline(always)]
        || {
            for (r, row) in out.chunks_exact_mut(n).enumerate() {
                softmax(first + r, row, norms);
            }
        },
    );
}

/// Turns `-2 z_i . z_j` into the probabilities of row `i`.
#[inline(always)]
fn softmax(i: usize, row: &mut [f64], norms: &[f64]) {
    let own = norms[i];
    row.iter_mut().zip(norms).for_each(|(value, norm)| *value = (*value + own + norm).max(0.0));
    row[i] = f64::INFINITY; // exp(-inf) = 0: a row is not its own neighbour
    let nearest = least(row);
    // Relative to the nearest neighbour, so that the sum is at least 1 however far the rows are apart.
    row.iter_mut().for_each(|value| *value = exp(nearest - *value));
    let scale = sum(row).recip();
    row.iter_mut().for_each(|v| *v *= scale);
}

/// Below minus this an exponential counts as 0: against a sum of at least 1, even `2^13` of them are lost to rounding.
const CUT: f64 = 45.0;

/// `e^x` for `x` up to 0, 0 below minus [`CUT`]; relative error below 1e-15.
///
/// `x = k ln 2 + r` with `|r| <= ln 2 / 2`, and `e^r` by its Taylor series to degree 13. Without branches and calls, so
/// that the compiler makes vectors of it: the library's function, one value at a time, would take most of the time.
#[inline(always)]
fn exp(x: f64) -> f64 {
    /// `1.5 * 2^52`: adding it rounds to an integer, which the low bits of the sum then hold.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    /// `ln 2` in two parts; the first times any `k` here is exact.
    const LN_2: [f64; 2] = [f64::from_bits(0x3fe6_2e42_fee0_0000), f64::from_bits(0x3dea_39ef_3579_3c76)];
    const SERIES: [f64; 13] = [
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ];
    let inside = if x < -CUT { -CUT } else { x };
    let rounded = inside * std::f64::consts::LOG2_E + ROUND;
    let k = rounded - ROUND;
    let r = (inside - k * LN_2[0]) - k * LN_2[1];
    let mut series = 1.0 / 6_227_020_800.0;
    for coefficient in SERIES {
        series = series * r + coefficient;
    }
    let power = f64::from_bits(rounded.to_bits().wrapping_add(1023) << 52); // 2^k
    if x < -CUT { 0.0 } else { series * power }
}

/// With fewer weights that are not 0 than one in this many, they are walked over one by one.
const SPARSE: usize = 16;

/// `out = W X` for a block of rows of `W`, `weights`, `[height, n]`, and the sum of every column of the block added to
/// `degrees`. `out` is 0 before.
fn apply(weights: &[f64], rows: &Dense, out: &mut [f64], degrees: &mut [f64]) {
    let (n, d) = (rows.rows, rows.cols);
    // The weights of a row add up to 0: the degree of a row comes from the columns alone.
    vectorized(
        #[inline(always)]
        || {
            for row in weights.chunks_exact(n) {
                degrees.iter_mut().zip(row).for_each(|(degree, w)| *degree += w);
            }
        },
    );
    if weights.iter().filter(|&&w| w != 0.0).count() * SPARSE < weights.len() {
        for (row, out) in weights.chunks_exact(n).zip(out.chunks_exact_mut(d)) {
            for (j, &w) in row.iter().enumerate().filter(|&(_, &w)| w != 0.0) {
                axpy(out, w, rows.row(j));
            }
        }
    } else {
        multiply(out, Accum::Replace, 1.0, view(weights, n), view(&rows.data, d));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_of_a_worked_example() {
        // Rows 0, 1, 3 on a line: squared distances 1, 9, 4.
        let rows = Dense { data: vec![0.0, 1.0, 3.0], rows: 3, cols: 1 };
        let mut p = [0.0; 3];
        probabilities(&rows, &[0.0, 1.0, 9.0], 1, &mut p);
        let (a, b) = ((-1f64).exp(), (-4f64).exp());
        assert!(p.iter().zip([a / (a + b), 0.0, b / (a + b)]).all(|(p, e)| (p - e).abs() < 1e-15), "{p:?}");
    }

    #[test]
    fn rows_far_apart_have_their_nearest_neighbour_all_the_same() {
        let rows = Dense { data: vec![0.0, 1e3, 3e3], rows: 3, cols: 1 };
        let mut p = [0.0; 9];
        probabilities(&rows, &[0.0, 1e6, 9e6], 0, &mut p);
        assert_eq!(p, [0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn the_exponential_agrees_with_the_library() {
        for i in 0..450_000_i32 {
            let x = -f64::from(i) * 1e-4;
            let (ours, exact) = (exp(x), x.exp());
            assert!((ours - exact).abs() <= 1e-15 * exact, "{x}: {ours} against {exact}");
        }
        assert_eq!([exp(0.0), exp(-CUT - 1e-9), exp(-1e300), exp(f64::NEG_INFINITY)], [1.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn few_weights_and_many_give_the_same_sums() {
        let (n, d) = (40, 3);
        let rows = Dense { data: (0..n * d).map(|i| (i as f64 * 0.7).sin()).collect(), rows: n, cols: d };
        let few: Vec<f64> = (0..2 * n).map(|i| if i % 19 == 0 { (i as f64).cos() } else { 0.0 }).collect();
        let many: Vec<f64> = few.iter().map(|w| w + 1e-30).collect(); // not 0, and too small to count
        let (mut a, mut b) = (vec![0.0; 2 * d], vec![0.0; 2 * d]);
        let (mut few_degrees, mut many_degrees) = (vec![0.0; n], vec![0.0; n]);
        apply(&few, &rows, &mut a, &mut few_degrees);
        apply(&many, &rows, &mut b, &mut many_degrees);
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-14), "{a:?} {b:?}");
        assert!(few_degrees.iter().zip(&many_degrees).all(|(a, b)| (a - b).abs() < 1e-14));
    }
}
