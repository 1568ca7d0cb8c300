//! Dense `f64` products and the symmetric eigenproblem, row-major, on faer.
//!
//! Work is cut into blocks of constant height and every output value is computed by one task, so that results do not
//! depend on the number of threads.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par, Side};
use rayon::prelude::*;

use super::MahalanobisError;

/// Output rows of one task. A constant: the split must not follow the number of threads.
const BLOCK: usize = 128;

/// A row-major matrix.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dense {
    /// Values, row after row.
    pub(crate) data: Vec<f64>,
    /// Number of rows.
    pub(crate) rows: usize,
    /// Number of columns; at least 1 wherever one is built.
    pub(crate) cols: usize,
}

impl Dense {
    /// All zeros.
    pub(crate) fn zeros(rows: usize, cols: usize) -> Self {
        Self { data: vec![0.0; rows * cols], rows, cols }
    }

    /// The first `rows` unit vectors of a space of `cols` dimensions.
    pub(crate) fn identity(rows: usize, cols: usize) -> Self {
        let mut out = Self::zeros(rows, cols);
        for i in 0..rows.min(cols) {
            out.data[i * cols + i] = 1.0;
        }
        out
    }

    /// Row `i`.
    pub(crate) fn row(&self, i: usize) -> &[f64] {
        &self.data[i * self.cols..(i + 1) * self.cols]
    }

    /// Mean of every column, summed in row order.
    pub(crate) fn column_means(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.cols];
        for row in self.data.chunks_exact(self.cols) {
            axpy(&mut mean, 1.0, row);
        }
        mean.iter_mut().for_each(|m| *m /= self.rows as f64);
        mean
    }

    /// Subtracts `offset` from every row.
    pub(crate) fn subtract_from_rows(&mut self, offset: &[f64]) {
        for row in self.data.chunks_exact_mut(self.cols) {
            axpy(row, -1.0, offset);
        }
    }
}

/// `x * y^T`: `x` is `[m, k]`, `y` is `[n, k]`, the result `[m, n]`.
pub(crate) fn product_transposed(x: &Dense, y: &Dense) -> Dense {
    let mut out = Dense::zeros(x.rows, y.rows);
    let (k, n) = (x.cols, y.rows);
    let blocks = out.data.par_chunks_mut(BLOCK * n.max(1)).zip(x.data.par_chunks(BLOCK * k));
    blocks.for_each(|(out, x)| multiply(out, Accum::Replace, 1.0, view(x, k), view(&y.data, k).transpose()));
    out
}

/// `x * y`: `x` is `[m, k]`, `y` is `[k, n]`, the result `[m, n]`.
pub(crate) fn product(x: &Dense, y: &Dense) -> Dense {
    let mut out = Dense::zeros(x.rows, y.cols);
    let (k, n) = (x.cols, y.cols);
    let blocks = out.data.par_chunks_mut(BLOCK * n).zip(x.data.par_chunks(BLOCK * k));
    blocks.for_each(|(out, x)| multiply(out, Accum::Replace, 1.0, view(x, k), view(&y.data, n)));
    out
}

/// `x^T * y`: `x` is `[m, k]`, `y` is `[m, n]`, the result `[k, n]`.
pub(crate) fn transposed_product(x: &Dense, y: &Dense) -> Dense {
    let mut out = Dense::zeros(x.cols, y.cols);
    out.data.par_chunks_mut(BLOCK * y.cols).enumerate().for_each(|(block, out)| {
        let height = out.len() / y.cols;
        let lhs = view(&x.data, x.cols).transpose().subrows(block * BLOCK, height);
        multiply(out, Accum::Replace, 1.0, lhs, view(&y.data, y.cols));
    });
    out
}

/// `data` as a row-major matrix of `cols` columns.
pub(crate) fn view<T>(data: &[T], cols: usize) -> MatRef<'_, T> {
    MatRef::from_row_major_slice(data, data.len() / cols, cols)
}

/// `out = alpha * lhs * rhs`, or `out += ...`, on the calling thread; `out` is row-major `[lhs.nrows(), rhs.ncols()]`.
pub(crate) fn multiply(out: &mut [f64], accumulate: Accum, alpha: f64, lhs: MatRef<'_, f64>, rhs: MatRef<'_, f64>) {
    let out = MatMut::from_row_major_slice_mut(out, lhs.nrows(), rhs.ncols());
    matmul(out, accumulate, lhs, rhs, alpha, Par::Seq);
}

/// The same for `f32`, always overwriting.
pub(crate) fn multiply_f32(out: &mut [f32], lhs: MatRef<'_, f32>, rhs: MatRef<'_, f32>) {
    let out = MatMut::from_row_major_slice_mut(out, lhs.nrows(), rhs.ncols());
    matmul(out, Accum::Replace, lhs, rhs, 1.0f32, Par::Seq);
}

/// Independent partial sums: enough for the compiler to use vector registers, summed in a fixed order.
const LANES: usize = 8;

/// Runs `work` as compiled for the widest vectors of this machine, with all that is inlined into it. Sums keep their order
/// and no product is fused with a sum: the numbers are those of every other machine. A closure must itself be
/// `#[inline(always)]`, or it stays as it is compiled elsewhere.
#[inline(always)]
pub(crate) fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

/// Inner product.
#[inline(always)]
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    lanes(a, b, |x, y| x * y)
}

/// Squared Euclidean distance, by differences: exact zero for equal rows, no cancellation.
#[inline(always)]
pub(crate) fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    lanes(a, b, |x, y| (x - y) * (x - y))
}

/// Sum of all values.
#[inline(always)]
pub(crate) fn sum(a: &[f64]) -> f64 {
    lanes(a, a, |x, _| x)
}

/// The smallest value; infinity when there is none. NaN is passed over.
#[inline(always)]
pub(crate) fn least(a: &[f64]) -> f64 {
    let smaller = |m: f64, v: f64| if v < m { v } else { m };
    let mut lanes = [f64::INFINITY; LANES];
    let (body, tail) = a.as_chunks::<LANES>();
    for chunk in body {
        lanes.iter_mut().zip(chunk).for_each(|(m, &v)| *m = smaller(*m, v));
    }
    lanes.iter().chain(tail).fold(f64::INFINITY, |m, &v| smaller(m, v))
}

#[inline(always)]
fn lanes(a: &[f64], b: &[f64], term: impl Fn(f64, f64) -> f64) -> f64 {
    let mut sums = [0.0; LANES];
    let (a_body, a_tail) = a.as_chunks::<LANES>();
    let (b_body, b_tail) = b.as_chunks::<LANES>();
    for (x, y) in a_body.iter().zip(b_body) {
        for (sum, (&x, &y)) in sums.iter_mut().zip(x.iter().zip(y)) {
            *sum += term(x, y);
        }
    }
    let tail: f64 = a_tail.iter().zip(b_tail).map(|(&x, &y)| term(x, y)).sum();
    sums.iter().sum::<f64>() + tail
}

/// `y += scale * x`.
#[inline(always)]
pub(crate) fn axpy(y: &mut [f64], scale: f64, x: &[f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += scale * x;
    }
}

/// Euclidean norm.
pub(crate) fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// Eigenvalues in decreasing order, and their unit eigenvectors as rows.
pub(crate) struct Eigen {
    /// Decreasing.
    pub(crate) values: Vec<f64>,
    /// `[n, n]`; row `i` belongs to value `i`, its largest entry is positive.
    pub(crate) vectors: Dense,
}

/// Decomposes the symmetric `[n, n]` matrix `a`, of which the lower triangle is read.
pub(crate) fn symmetric_eigen(a: &Dense) -> Result<Eigen, MahalanobisError> {
    let n = a.rows;
    if a.data.iter().any(|v| !v.is_finite()) {
        return Err(MahalanobisError::Overflow { what: "a covariance or a Mahalanobis matrix" });
    }
    if n == 1 {
        return Ok(Eigen { values: a.data.clone(), vectors: Dense::identity(1, 1) });
    }
    let decomposition =
        view(&a.data, n).self_adjoint_eigen(Side::Lower).map_err(|_| MahalanobisError::EigenNotConverged { dim: n })?;
    let (vectors, values) = (decomposition.U(), decomposition.S().column_vector());
    let mut out = Eigen { values: Vec::with_capacity(n), vectors: Dense::zeros(n, n) };
    for (i, row) in out.vectors.data.chunks_exact_mut(n).enumerate() {
        let column = n - 1 - i; // faer sorts upwards
        out.values.push(values[column]);
        for (j, v) in row.iter_mut().enumerate() {
            *v = vectors[(j, column)];
        }
        fix_sign(row);
    }
    Ok(out)
}

/// Inverse and logarithm of the determinant of the symmetric matrix `a`; `None` when it is not positive definite, to
/// the last bits, or not finite.
pub(crate) fn positive_inverse(a: &Dense) -> Option<(Dense, f64)> {
    let mut eigen = symmetric_eigen(a).ok()?;
    let (largest, smallest) = (eigen.values[0], eigen.values[a.rows - 1]);
    if smallest <= f64::EPSILON * largest {
        return None;
    }
    for (row, value) in eigen.vectors.data.chunks_exact_mut(a.rows).zip(&eigen.values) {
        row.iter_mut().for_each(|v| *v /= value.sqrt());
    }
    let log_determinant = eigen.values.iter().map(|v| v.ln()).sum();
    Some((transposed_product(&eigen.vectors, &eigen.vectors), log_determinant))
}

/// Turns a direction so that its largest-magnitude entry is positive: eigenvectors have no sign of their own.
pub(crate) fn fix_sign(direction: &mut [f64]) {
    let largest = direction.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    // The first entry that ties with the largest decides, so that rounding cannot choose between equal magnitudes.
    let decisive = direction.iter().find(|v| v.abs() >= largest * (1.0 - 1e-9));
    if decisive.is_some_and(|&v| v < 0.0) {
        direction.iter_mut().for_each(|v| *v = -*v);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(rows: usize, cols: usize, seed: f64) -> Dense {
        let data = (0..rows * cols).map(|i| ((i as f64 + seed) * 0.731).sin()).collect();
        Dense { data, rows, cols }
    }

    #[test]
    fn products_agree_with_loops_across_blocks() {
        let (x, y) = (ramp(BLOCK + 3, 11, 0.0), ramp(BLOCK + 5, 11, 7.0));
        let outer = product_transposed(&x, &y);
        let inner = transposed_product(&x, &ramp(BLOCK + 3, 6, 3.0));
        let plain = product(&x, &ramp(11, 6, 5.0));
        assert!((outer.row(BLOCK + 1)[BLOCK + 2] - dot(x.row(BLOCK + 1), y.row(BLOCK + 2))).abs() < 1e-12);
        let z = ramp(BLOCK + 3, 6, 3.0);
        let expected: f64 = (0..BLOCK + 3).map(|r| x.row(r)[10] * z.row(r)[4]).sum();
        assert!((inner.row(10)[4] - expected).abs() < 1e-12);
        let w = ramp(11, 6, 5.0);
        let expected: f64 = (0..11).map(|c| x.row(BLOCK + 2)[c] * w.row(c)[5]).sum();
        assert!((plain.row(BLOCK + 2)[5] - expected).abs() < 1e-12);
    }

    #[test]
    fn eigenvectors_rebuild_the_matrix_in_decreasing_order() {
        let x = ramp(40, 9, 1.0);
        let gram = transposed_product(&x, &x);
        let eigen = symmetric_eigen(&gram).unwrap();
        assert!(eigen.values.windows(2).all(|w| w[0] >= w[1]));
        for i in 0..9 {
            for j in 0..9 {
                let rebuilt: f64 =
                    (0..9).map(|k| eigen.values[k] * eigen.vectors.row(k)[i] * eigen.vectors.row(k)[j]).sum();
                assert!((rebuilt - gram.row(i)[j]).abs() < 1e-10);
            }
        }
    }

    #[test]
    fn a_single_value_is_its_own_decomposition() {
        let eigen = symmetric_eigen(&Dense { data: vec![3.0], rows: 1, cols: 1 }).unwrap();
        assert_eq!((eigen.values, eigen.vectors.data), (vec![3.0], vec![1.0]));
    }

    #[test]
    fn sum_and_least_see_every_value() {
        for n in [0, 1, 7, 8, 21] {
            let values: Vec<f64> = (0..n).map(|i| f64::from((i * 5 + 3) % 22)).collect();
            assert_eq!(sum(&values), values.iter().sum::<f64>());
            assert_eq!(least(&values), values.iter().copied().fold(f64::INFINITY, f64::min));
        }
    }

    #[test]
    fn inverse_and_determinant_of_a_worked_example() {
        let a = Dense { data: vec![4.0, 2.0, 2.0, 3.0], rows: 2, cols: 2 }; // determinant 8
        let (inverse, log_determinant) = positive_inverse(&a).unwrap();
        assert!(inverse.data.iter().zip([0.375, -0.25, -0.25, 0.5]).all(|(v, e)| (v - e).abs() < 1e-14), "{inverse:?}");
        assert!((log_determinant - 8f64.ln()).abs() < 1e-14);
        for data in [vec![1.0, 2.0, 2.0, 1.0], vec![1.0, 1.0, 1.0, 1.0], vec![f64::NAN; 4], vec![0.0; 4]] {
            assert!(positive_inverse(&Dense { data, rows: 2, cols: 2 }).is_none());
        }
    }

    #[test]
    fn the_sign_of_a_direction_is_that_of_its_first_largest_entry() {
        let mut direction = [0.5, -0.5 - 1e-15, 0.1];
        fix_sign(&mut direction);
        assert!(direction[0] > 0.0);
        let mut direction = [0.1, -0.9];
        fix_sign(&mut direction);
        assert_eq!(direction, [-0.1, 0.9]);
    }
}
