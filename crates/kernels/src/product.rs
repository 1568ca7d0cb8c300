//! Products of dense `f32` matrices in host memory.

use gemm::{Parallelism, gemm};
use rayon::prelude::*;

/// Rows of a result that one thread makes at once.
const BLOCK: usize = 64;

/// A matrix inside a buffer: the values and how far apart rows and columns lie.
pub(crate) type Strided<'a> = (&'a [f32], usize, usize);

/// `out [m, n] = scale * x y`, or added to it, on the calling thread.
///
/// # Panics
/// When an operand does not reach as far as the sizes `(m, k, n)` say, or `out` has another length.
pub(crate) fn product(
    (m, k, n): (usize, usize, usize),
    (x, x_row, x_col): Strided<'_>,
    (y, y_row, y_col): Strided<'_>,
    scale: f32,
    add: bool,
    out: &mut [f32],
) {
    if m == 0 || n == 0 {
        return;
    }
    assert!(k > 0, "the inner side has no entries");
    assert!((m - 1) * x_row + (k - 1) * x_col < x.len(), "the left operand is too short");
    assert!((k - 1) * y_row + (n - 1) * y_col < y.len(), "the right operand is too short");
    assert_eq!(out.len(), m * n, "the result does not fit");
    // SAFETY: every index of both operands was just checked against their lengths, and `out`, borrowed exclusively,
    // is dense and overlaps none of them.
    unsafe {
        gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            add,
            x.as_ptr(),
            x_col as isize,
            x_row as isize,
            y.as_ptr(),
            y_col as isize,
            y_row as isize,
            1.0,
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// `x y`, `[m, n]`, on all threads. The same for every number of them.
fn parallel(sizes: (usize, usize, usize), x: Strided<'_>, y: Strided<'_>) -> Vec<f32> {
    let (m, k, n) = sizes;
    let mut out = vec![0.0; m * n];
    if k > 0 {
        out.par_chunks_mut((BLOCK * n).max(1)).enumerate().for_each(|(block, out)| {
            let rows = (&x.0[block * BLOCK * x.1..], x.1, x.2);
            product((out.len() / n, k, n), rows, y, 1.0, false, out);
        });
    }
    out
}

/// All dot products of rows: `a [n, d]`, `b [m, d]` to `a b'`, `[n, m]`.
///
/// # Panics
/// When a buffer has another length.
pub fn row_products(a: &[f32], b: &[f32], d: usize) -> Vec<f32> {
    let (n, m) = (rows(a, d), rows(b, d));
    parallel((n, d, m), (a, d, 1), (b, 1, d))
}

/// Sums of rows: weights `w [n, m]`, `b [m, d]` to `w b`, `[n, d]`.
///
/// # Panics
/// When a buffer has another length.
pub fn weighted_rows(w: &[f32], b: &[f32], d: usize) -> Vec<f32> {
    let m = rows(b, d);
    parallel((rows(w, m), m, d), (w, m, 1), (b, d, 1))
}

/// Sums of rows by the columns of the weights: `w [n, m]`, `a [n, d]` to `w' a`, `[m, d]`.
///
/// # Panics
/// When a buffer has another length.
pub fn weighted_rows_transposed(w: &[f32], a: &[f32], d: usize) -> Vec<f32> {
    let n = rows(a, d);
    let m = rows(w, n);
    parallel((m, n, d), (w, 1, m), (a, d, 1))
}

fn rows(values: &[f32], cols: usize) -> usize {
    let rows = values.len().checked_div(cols).unwrap_or(0);
    assert_eq!(rows * cols, values.len(), "whole rows of {cols} values");
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn products_equal_their_sums(n in 0usize..150, m in 1usize..90, d in 1usize..9) {
            let wave = |len: usize, f: f32| (0..len).map(|i| (i as f32 * f).sin()).collect::<Vec<f32>>();
            let (a, b, w) = (wave(n * d, 0.3), wave(m * d, 0.7), wave(n * m, 1.1));
            let sum = |k: usize, f: &dyn Fn(usize) -> f32| (0..k).map(|k| f64::from(f(k))).sum::<f64>();
            let close = |got: &[f32], cols: usize, want: &dyn Fn(usize, usize) -> f64| {
                got.iter().enumerate().all(|(i, v)| (f64::from(*v) - want(i / cols, i % cols)).abs() < 1e-4)
            };
            let products = row_products(&a, &b, d);
            prop_assert!(products.len() == n * m);
            prop_assert!(close(&products, m, &|i, j| sum(d, &|k| a[i * d + k] * b[j * d + k])));
            prop_assert!(close(&weighted_rows(&w, &b, d), d, &|i, k| sum(m, &|j| w[i * m + j] * b[j * d + k])));
            if n > 0 {
                let got = weighted_rows_transposed(&w, &a, d);
                prop_assert!(close(&got, d, &|j, k| sum(n, &|i| w[i * m + j] * a[i * d + k])));
            }
        }
    }
}
