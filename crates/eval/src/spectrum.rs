//! How many directions an embedding uses, from its singular values.

use faer::{Mat, Side};
use nearfar_core::matrix::Matrix;
use rayon::prelude::*;

use crate::error::EvalError;
use crate::product::{View, multiply};
use crate::rows::check_features;

/// RankMe's constant: keeps the logarithm finite and hides the rounding of zero singular values.
const EPSILON: f64 = 1e-7;

/// Rows of the Gram matrix that one task computes.
const TILE: usize = 64;

/// Rows that are turned into `f64` at once.
const BLOCK: usize = 256;

/// Singular values of `features` `[n, d]`, uncentred, largest first; there are `min(n, d)`.
///
/// They are the roots of the eigenvalues of the smaller Gram matrix, in `f64`: values below about 1e-8 of the largest
/// one are rounding.
///
/// # Errors
/// When the features are empty or not finite, or the eigenvalue solver fails.
pub fn singular_values(features: &Matrix) -> Result<Vec<f64>, EvalError> {
    check_features("features", features)?;
    let (rows, cols) = (features.rows(), features.cols());
    // Squares of tiny or huge features would leave the range that eigenvalue solvers like.
    let largest = features.as_slice().iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    if largest == 0.0 {
        return Ok(vec![0.0; rows.min(cols)]);
    }
    let scale = 1.0 / f64::from(largest);
    let (size, gram) =
        if rows < cols { (rows, row_gram(features, scale)) } else { (cols, column_gram(features, scale)) };
    let gram: Mat<f64> = Mat::from_fn(size, size, |i, j| gram[i * size + j]);
    let eigenvalues = gram.self_adjoint_eigenvalues(Side::Lower).map_err(|_| EvalError::Eigenvalues { size })?;
    Ok(eigenvalues.iter().rev().map(|value| value.max(0.0).sqrt() / scale).collect())
}

/// RankMe's effective rank, between 1 and `min(n, d)`: `exp(-sum p_i ln p_i)` with `p_i = s_i / sum s + 1e-7`, for the
/// singular values `s` of the features as they are (Garrido et al. 2023).
///
/// The paper warns that it compares runs of one method, not methods with each other.
///
/// # Errors
/// As [`singular_values`], and when every feature is zero.
///
/// ```
/// use nearfar_core::matrix::Matrix;
///
/// let identity = Matrix::from_fn(4, 4, |i, j| if i == j { 1.0 } else { 0.0 });
/// assert!((nearfar_eval::effective_rank(&identity).unwrap() - 4.0).abs() < 1e-5);
/// ```
pub fn effective_rank(features: &Matrix) -> Result<f64, EvalError> {
    Ok(rank_of(&shares("effective rank", features)?))
}

/// Roth's rho, `KL(uniform || normalised singular values)`, at least 0: 0 when all directions are used alike, larger
/// when few carry the embedding (Roth et al. 2020).
///
/// Normalised singular values are raised to 1e-7, so that a collapsed embedding has a finite value: about 16 at most.
///
/// # Errors
/// As [`effective_rank`].
pub fn rho_spectrum(features: &Matrix) -> Result<f64, EvalError> {
    Ok(divergence_of(&shares("rho spectrum", features)?))
}

/// Singular values divided by their sum.
fn shares(what: &'static str, features: &Matrix) -> Result<Vec<f64>, EvalError> {
    let values = singular_values(features)?;
    let sum: f64 = values.iter().sum();
    if sum > 0.0 { Ok(values.iter().map(|value| value / sum).collect()) } else { Err(EvalError::ZeroSpectrum { what }) }
}

fn rank_of(shares: &[f64]) -> f64 {
    (-shares.iter().map(|share| (share + EPSILON) * (share + EPSILON).ln()).sum::<f64>()).exp()
}

fn divergence_of(shares: &[f64]) -> f64 {
    let uniform = 1.0 / shares.len() as f64;
    shares.iter().map(|share| uniform * (uniform / share.max(EPSILON)).ln()).sum::<f64>().max(0.0)
}

/// `X X^T`, `[n, n]`.
fn row_gram(features: &Matrix, scale: f64) -> Vec<f64> {
    let (rows, cols) = (features.rows(), features.cols());
    let values: Vec<f64> = features.as_slice().iter().map(|&value| f64::from(value) * scale).collect();
    let mut gram = vec![0.0; rows * rows];
    gram.par_chunks_mut(BLOCK * rows).zip(values.par_chunks(BLOCK * cols)).for_each(|(gram, block)| {
        let block = View::new(block, block.len() / cols, cols);
        multiply(block, View::new(&values, rows, cols).transposed(), 1.0, false, gram);
    });
    gram
}

/// `X^T X`, `[d, d]`: row blocks one after the other, each spread over tiles of the result.
fn column_gram(features: &Matrix, scale: f64) -> Vec<f64> {
    let cols = features.cols();
    let mut gram = vec![0.0; cols * cols];
    let mut values = Vec::with_capacity(BLOCK.min(features.rows()) * cols);
    for block in features.as_slice().chunks(BLOCK * cols) {
        values.clear();
        values.extend(block.iter().map(|&value| f64::from(value) * scale));
        let view = View::new(&values, block.len() / cols, cols);
        gram.par_chunks_mut(TILE * cols).enumerate().for_each(|(tile, gram)| {
            let columns = view.columns(tile * TILE, gram.len() / cols);
            multiply(columns.transposed(), view, 1.0, true, gram);
        });
    }
    gram
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixtures::{golden, matrix, noise};

    fn shares_of(values: &[f64]) -> Vec<f64> {
        values.iter().map(|value| value / values.iter().sum::<f64>()).collect()
    }

    fn assert_close(found: f64, expected: f64, tolerance: f64) {
        assert!((found - expected).abs() < tolerance, "{found} instead of {expected}");
    }

    #[test]
    fn worked_examples() {
        assert_close(rank_of(&shares_of(&[1.0, 1.0, 1.0, 1.0])), 4.000_000_58, 1e-6);
        assert_close(rank_of(&shares_of(&[3.0, 1.0])), 1.754_765_312_6, 1e-6);
        assert_close(rank_of(&shares_of(&[4.0, 2.0, 1.0, 1.0])), 3.363_586_405_0, 1e-6);
        assert_close(rank_of(&shares_of(&[1.0, 0.0, 0.0, 0.0])), 1.000_004_8, 1e-6);
        assert_close(divergence_of(&shares_of(&[3.0, 1.0])), 0.143_841_036_2, 1e-9);
        assert_close(divergence_of(&shares_of(&[4.0, 3.0, 2.0, 1.0])), 0.121_777_274_3, 1e-9);
        assert_close(divergence_of(&shares_of(&[2.0, 2.0, 2.0])), 0.0, 1e-12);
    }

    #[test]
    fn matches_torch() {
        let file = golden("contrastive.json");
        let found = effective_rank(&matrix(&file["view_a"])).unwrap();
        assert_close(found, file["diagnostics"]["rankme"].as_f64().unwrap(), 1e-5);
    }

    #[test]
    fn singular_values_of_known_matrices() {
        let diagonal = Matrix::from_fn(3, 5, |i, j| if i == j { [2.0, 7.0, 0.5][i] } else { 0.0 });
        for (found, expected) in singular_values(&diagonal).unwrap().into_iter().zip([7.0, 2.0, 0.5]) {
            assert_close(found, expected, 1e-12);
        }
        // [[1, 1], [1, 1], [1, 1]] has the one singular value sqrt(6).
        let ones = singular_values(&Matrix::from_fn(3, 2, |_, _| 1.0)).unwrap();
        assert_close(ones[0], 6.0f64.sqrt(), 1e-12);
        assert_close(ones[1], 0.0, 1e-7);
    }

    #[test]
    fn collapse_is_finite_and_zero_features_are_an_error() {
        let line = Matrix::from_fn(50, 8, |i, j| (i + 1) as f32 * (j as f32 - 3.0));
        assert_close(effective_rank(&line).unwrap(), 1.0, 1e-3);
        let rho = rho_spectrum(&line).unwrap();
        assert!(rho.is_finite() && rho > 10.0, "{rho}");
        let zero = Matrix::zeros(4, 3);
        assert_eq!(effective_rank(&zero), Err(EvalError::ZeroSpectrum { what: "effective rank" }));
        assert_eq!(rho_spectrum(&zero), Err(EvalError::ZeroSpectrum { what: "rho spectrum" }));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// The squares sum to the squared Frobenius norm, transposing changes nothing, and scores ignore scale.
        #[test]
        fn laws(rows in 1usize..40, cols in 1usize..12, seed in 0usize..1000, power in -20i32..20) {
            let value = |i: usize, j: usize| noise(seed * 1000 + i * 12 + j);
            let features = Matrix::from_fn(rows, cols, value);
            let found = singular_values(&features).unwrap();
            prop_assert_eq!(found.len(), rows.min(cols));
            prop_assert!(found.windows(2).all(|pair| pair[0] >= pair[1]));
            let frobenius: f64 = features.as_slice().iter().map(|&v| f64::from(v).powi(2)).sum();
            let squares: f64 = found.iter().map(|s| s * s).sum();
            prop_assert!((squares - frobenius).abs() < 1e-9 * frobenius);
            let transposed = singular_values(&Matrix::from_fn(cols, rows, |i, j| value(j, i))).unwrap();
            prop_assert!(found.iter().zip(&transposed).all(|(a, b)| (a - b).abs() < 1e-6 * found[0]));
            let scaled = Matrix::from_fn(rows, cols, |i, j| value(i, j) * 10f32.powi(power));
            let (rank, rescaled) = (effective_rank(&features).unwrap(), effective_rank(&scaled).unwrap());
            prop_assert!((rank - rescaled).abs() < 1e-4 * rank);
            prop_assert!(rank > 0.99 && rank < rows.min(cols) as f64 + 1e-3);
        }
    }
}
