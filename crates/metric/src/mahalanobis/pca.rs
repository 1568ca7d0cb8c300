//! Principal component analysis, exact.
//!
//! Pearson, "On lines and planes of closest fit to systems of points in space" (1901); Hotelling, "Analysis of a
//! complex of statistical variables into principal components" (1933).

use nearfar_core::matrix::Matrix;
use serde::{Deserialize, Serialize};

use super::data::{check_length, check_rows, to_dense};
use super::linalg::{
    Dense, axpy, dot, fix_sign, norm, product, product_transposed, symmetric_eigen, transposed_product,
};
use super::{Mahalanobis, MahalanobisError};

/// Directions with less than this share of the largest variance count as constant. Features come as `f32`, whose
/// rounding alone makes variances of about 1e-14 of the squared value.
pub(super) const RANK_TOLERANCE: f64 = 1e-12;

/// How many components to keep.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Every direction in which the rows vary.
    #[default]
    All,
    /// This many, at least 1.
    Count(usize),
    /// The fewest whose variances add up to at least this share of the total, greater than 0 and at most 1.
    Variance(f64),
}

/// Principal components of a set of rows: the directions of greatest variance, orthonormal, in decreasing order.
///
/// Computed from the full spectrum of the `d x d` covariance, or of the `n x n` Gram matrix when there are fewer rows
/// than features; nothing is approximated. The sign of a component is fixed: its largest-magnitude loading is
/// positive. Variances divide by `n - 1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Pca(Parts);

/// What is stored; [`Pca`] is its checked form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Parts {
    mean: Vec<f64>,
    components: Vec<f64>,
    variances: Vec<f64>,
    total_variance: f64,
    whiten: bool,
}

impl Pca {
    /// Fits the rows of `x`, `[n, d]` with `n` at least 2.
    ///
    /// # Errors
    /// On fewer than two rows, values that are not finite, a count of 0 or a share outside (0, 1], or more components
    /// than directions in which the rows vary.
    pub fn fit(x: &Matrix, keep: Keep) -> Result<Self, MahalanobisError> {
        check_rows(x, 2)?;
        let order: Vec<usize> = (0..x.rows()).collect();
        let mut rows = to_dense(x, &order);
        let mean = rows.column_means();
        rows.subtract_from_rows(&mean);
        let Principal { directions, variances, total_variance } = principal_directions(&rows, keep)?;
        Ok(Self(Parts { mean, components: directions.data, variances, total_variance, whiten: false }))
    }

    /// Components that were fitted before: `mean` `[input_dim]`, orthonormal loadings `components`
    /// `[output_dim, input_dim]` and the `variances` along them `[output_dim]`, as the methods of these names give them,
    /// and the total variance of the fitted rows. Not whitened.
    ///
    /// # Errors
    /// When a length does not fit, a value is not finite, or a variance is not above 0.
    pub fn from_parts(
        mean: Vec<f64>,
        components: Vec<f64>,
        variances: Vec<f64>,
        total_variance: f64,
    ) -> Result<Self, MahalanobisError> {
        Self::try_from(Parts { mean, components, variances, total_variance, whiten: false })
    }

    /// The same components, with every output scaled to unit variance.
    #[must_use]
    pub fn whitened(mut self) -> Self {
        self.0.whiten = true;
        self
    }

    /// Centred rows along the components: `[n, input_dim]` to `[n, output_dim]`.
    ///
    /// # Errors
    /// When the width differs from [`Pca::input_dim`], or a value is not finite.
    pub fn transform(&self, x: &Matrix) -> Result<Matrix, MahalanobisError> {
        check_rows(x, 0)?;
        check_length("columns, as many as the fitted rows had", self.input_dim(), x.cols())?;
        let order: Vec<usize> = (0..x.rows()).collect();
        let mut rows = to_dense(x, &order);
        rows.subtract_from_rows(&self.0.mean);
        let out = product_transposed(&rows, &self.scaled());
        Ok(Matrix::new(out.data.iter().map(|&v| v as f32).collect(), out.rows, out.cols)?)
    }

    /// The distance that this transformation measures.
    pub fn to_mahalanobis(&self) -> Mahalanobis {
        Mahalanobis::from_dense(self.scaled())
    }

    /// Number of features.
    pub fn input_dim(&self) -> usize {
        self.0.mean.len()
    }

    /// Number of components.
    pub fn output_dim(&self) -> usize {
        self.0.variances.len()
    }

    /// Mean of the fitted rows, `[input_dim]`.
    pub fn mean(&self) -> &[f64] {
        &self.0.mean
    }

    /// Orthonormal loadings, row-major `[output_dim, input_dim]`, not whitened.
    pub fn components(&self) -> &[f64] {
        &self.0.components
    }

    /// Variance along each component, decreasing, `[output_dim]`.
    pub fn explained_variance(&self) -> &[f64] {
        &self.0.variances
    }

    /// Variance of the fitted rows along all directions together.
    pub fn total_variance(&self) -> f64 {
        self.0.total_variance
    }

    /// Whether every output is scaled to unit variance.
    pub fn is_whitened(&self) -> bool {
        self.0.whiten
    }

    /// Each component's share of the total variance, `[output_dim]`, in 0 to 1.
    pub fn explained_variance_ratio(&self) -> Vec<f64> {
        self.0.variances.iter().map(|v| v / self.0.total_variance).collect()
    }

    fn scaled(&self) -> Dense {
        let (rows, cols) = (self.output_dim(), self.input_dim());
        let mut out = Dense { data: self.0.components.clone(), rows, cols };
        if self.0.whiten {
            for (row, variance) in out.data.chunks_exact_mut(cols).zip(&self.0.variances) {
                row.iter_mut().for_each(|v| *v /= variance.sqrt());
            }
        }
        out
    }
}

impl From<Pca> for Parts {
    fn from(pca: Pca) -> Self {
        pca.0
    }
}

impl TryFrom<Parts> for Pca {
    type Error = MahalanobisError;

    fn try_from(parts: Parts) -> Result<Self, Self::Error> {
        let expected = parts.mean.len() * parts.variances.len();
        check_length("stored components, output_dim * input_dim of them", expected, parts.components.len())?;
        if expected == 0 {
            return Err(MahalanobisError::NoFeatures);
        }
        let scale = [parts.total_variance];
        let positive = parts.variances.iter().chain(&scale).all(|v| v.is_finite() && *v > 0.0);
        if !positive || parts.mean.iter().chain(&parts.components).any(|v| !v.is_finite()) {
            return Err(MahalanobisError::Overflow { what: "a stored principal component" });
        }
        Ok(Self(parts))
    }
}

/// Orthonormal directions, `[k, d]`, and the variances along them.
pub(super) struct Principal {
    pub(super) directions: Dense,
    pub(super) variances: Vec<f64>,
    pub(super) total_variance: f64,
}

/// Principal directions of centred `rows`, `[n, d]`.
pub(super) fn principal_directions(rows: &Dense, keep: Keep) -> Result<Principal, MahalanobisError> {
    let wide = rows.rows < rows.cols;
    let mut scatter = if wide { product_transposed(rows, rows) } else { transposed_product(rows, rows) };
    scatter.data.iter_mut().for_each(|v| *v /= (rows.rows - 1) as f64);
    let eigen = symmetric_eigen(&scatter)?;
    let floor = RANK_TOLERANCE * eigen.values[0];
    let rank = eigen.values.iter().take_while(|&&v| v > floor && v > 0.0).count();
    let total_variance = eigen.values.iter().map(|v| v.max(0.0)).sum();
    let count = count_of(keep, &eigen.values[..rank], total_variance)?;
    let mut directions = eigen.vectors;
    directions.data.truncate(count * directions.cols);
    directions.rows = count;
    if wide {
        directions = from_gram(rows, &directions);
    }
    let variances = eigen.values[..count].to_vec();
    Ok(Principal { directions, variances, total_variance })
}

/// Components to keep out of the positive `variances`.
fn count_of(keep: Keep, variances: &[f64], total: f64) -> Result<usize, MahalanobisError> {
    let rank = variances.len();
    match keep {
        Keep::Count(0) => Err(MahalanobisError::setting("components", 0, "at least 1")),
        Keep::Count(asked) if asked > rank => Err(MahalanobisError::RankTooLow { asked, rank }),
        Keep::Count(count) => Ok(count),
        Keep::Variance(share) if !(share > 0.0 && share <= 1.0) => {
            Err(MahalanobisError::setting("explained variance", share, "greater than 0 and at most 1"))
        }
        _ if rank == 0 => Err(MahalanobisError::RankTooLow { asked: 1, rank }),
        Keep::All => Ok(rank),
        Keep::Variance(share) => {
            let mut sum = 0.0;
            let short = variances.iter().take_while(|&&v| {
                sum += v;
                sum < share * total * (1.0 - 1e-12) // a share of 1 must not fail on the last bit of the sum
            });
            Ok((short.count() + 1).min(rank))
        }
    }
}

/// An eigenvector `u` of `X X^T` gives the direction `X^T u / |X^T u|`.
fn from_gram(rows: &Dense, vectors: &Dense) -> Dense {
    let mut directions = product(vectors, rows);
    let d = directions.cols;
    for i in 0..directions.rows {
        let (before, rest) = directions.data.split_at_mut(i * d);
        let direction = &mut rest[..d];
        // Weak directions carry rounding of the strong ones: remove it, so that the rows are orthonormal.
        for earlier in before.chunks_exact(d) {
            let overlap = dot(direction, earlier);
            axpy(direction, -overlap, earlier);
        }
        let length = norm(direction);
        direction.iter_mut().for_each(|v| *v /= length);
        fix_sign(direction);
    }
    directions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud(n: usize, d: usize) -> Matrix {
        Matrix::from_fn(n, d, |i, j| ((i * 31 + j * 17 + i * j * 7) as f32 * 0.713).sin() * (d - j) as f32 + 3.0)
    }

    fn assert_orthonormal(pca: &Pca) {
        let d = pca.input_dim();
        for (i, a) in pca.components().chunks_exact(d).enumerate() {
            for (j, b) in pca.components().chunks_exact(d).enumerate() {
                let expected = if i == j { 1.0 } else { 0.0 };
                assert!((dot(a, b) - expected).abs() < 1e-9, "{i} {j}");
            }
        }
    }

    #[test]
    fn points_on_a_diagonal() {
        // (0,0) (1,1) (2,2): one direction, (1,1)/sqrt 2, with variance 2.
        let pca = Pca::fit(&Matrix::from_fn(3, 2, |i, _| i as f32), Keep::All).unwrap();
        assert_eq!(pca.output_dim(), 1);
        assert!((pca.explained_variance()[0] - 2.0).abs() < 1e-12);
        let half = 0.5f64.sqrt();
        assert!(pca.components().iter().all(|v| (v - half).abs() < 1e-12));
        let out = pca.transform(&Matrix::from_fn(1, 2, |_, _| 2.0)).unwrap();
        assert!((f64::from(out.row(0)[0]) - 2.0f64.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn tall_and_wide_data_give_orthonormal_components_in_order() {
        for (n, d) in [(50, 6), (5, 20)] {
            let pca = Pca::fit(&cloud(n, d), Keep::All).unwrap();
            assert!(pca.output_dim() <= d.min(n - 1));
            assert!(pca.explained_variance().windows(2).all(|w| w[0] >= w[1]));
            assert!((pca.explained_variance_ratio().iter().sum::<f64>() - 1.0).abs() < 1e-9);
            assert_orthonormal(&pca);
        }
    }

    #[test]
    fn the_gram_matrix_gives_what_the_covariance_gives() {
        // Twelve rows of nine features through the covariance; the same padded with constant features, through Gram.
        let x = cloud(12, 9);
        let padded = Matrix::from_fn(12, 15, |i, j| if j < 9 { x.row(i)[j] } else { 4.0 });
        let (narrow, wide) = (Pca::fit(&x, Keep::Count(3)).unwrap(), Pca::fit(&padded, Keep::Count(3)).unwrap());
        for k in 0..3 {
            assert!((narrow.explained_variance()[k] - wide.explained_variance()[k]).abs() < 1e-9);
            let (a, b) = (&narrow.components()[k * 9..(k + 1) * 9], &wide.components()[k * 15..(k + 1) * 15]);
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-8), "{a:?} {b:?}");
        }
    }

    #[test]
    fn whitened_outputs_have_unit_variance() {
        let x = cloud(50, 4);
        let out = Pca::fit(&x, Keep::Count(2)).unwrap().whitened().transform(&x).unwrap();
        for j in 0..2 {
            let variance: f64 = out.iter_rows().map(|r| f64::from(r[j]).powi(2)).sum::<f64>() / 49.0;
            assert!((variance - 1.0).abs() < 1e-4, "{variance}");
        }
    }

    #[test]
    fn the_parts_make_the_same_transformation_again() {
        let pca = Pca::fit(&cloud(30, 5), Keep::Count(3)).unwrap();
        let parts =
            |p: &Pca| (p.mean().to_vec(), p.components().to_vec(), p.explained_variance().to_vec(), p.total_variance());
        let (mean, components, variances, total) = parts(&pca);
        let again = Pca::from_parts(mean.clone(), components.clone(), variances.clone(), total).unwrap();
        assert_eq!(again, pca);
        assert_eq!(again.clone().whitened(), pca.whitened());
        assert!(!again.is_whitened() && again.clone().whitened().is_whitened());
        assert!(Pca::from_parts(mean, components[1..].to_vec(), variances, total).is_err());
    }

    #[test]
    fn keeps_the_fewest_components_that_explain_the_share() {
        let variances = [6.0, 3.0, 1.0];
        let count = |share| count_of(Keep::Variance(share), &variances, 10.0).unwrap();
        assert_eq!([count(0.1), count(0.6), count(0.61), count(0.9), count(1.0)], [1, 1, 2, 2, 3]);
    }

    #[test]
    fn refuses_what_the_data_cannot_give() {
        let flat = Matrix::from_fn(4, 3, |_, _| 1.5);
        assert_eq!(Pca::fit(&flat, Keep::All).unwrap_err(), MahalanobisError::RankTooLow { asked: 1, rank: 0 });
        let error = Pca::fit(&cloud(3, 8), Keep::Count(5)).unwrap_err();
        assert!(matches!(error, MahalanobisError::RankTooLow { asked: 5, .. }), "{error}");
        for keep in [Keep::Count(0), Keep::Variance(0.0), Keep::Variance(1.5), Keep::Variance(f64::NAN)] {
            assert!(matches!(Pca::fit(&cloud(9, 3), keep), Err(MahalanobisError::InvalidSetting { .. })));
        }
        let pca = Pca::fit(&cloud(9, 3), Keep::All).unwrap();
        assert!(matches!(pca.transform(&cloud(2, 4)), Err(MahalanobisError::LengthMismatch { .. })));
    }
}
