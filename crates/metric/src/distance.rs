use crate::MetricError;
use burn::tensor::Tensor;
use nearfar_core::similarity::{dot_products, normalize_rows, squared_distances};
use serde::{Deserialize, Serialize};

/// Keeps roots and quotients differentiable where two points coincide or a row is zero.
const EPSILON: f64 = 1e-12;

/// Entries of one block of differences `[rows, m, d]`, for distances that no matrix product gives.
const BLOCK: usize = 1 << 24;

/// What losses and miners that are not defined for every distance ask for.
pub(crate) const COSINE: &str = "the cosine (`\"cosine\"`)";
pub(crate) const NORMALIZED_EUCLIDEAN: &str =
    "the Euclidean distance of normalised rows (`{ euclidean = { normalized = true, squared = false } }`)";

/// How two embeddings are compared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Distance {
    /// Euclidean distance, at least 0 and at most 2 of normalised rows; smaller is closer.
    Euclidean {
        /// Rows are divided by their norm first, as pytorch-metric-learning does by default.
        normalized: bool,
        /// Its square instead.
        squared: bool,
    },
    /// `(sum |a_i - b_i|^p)^(power / p)`, pytorch-metric-learning's `LpDistance`; smaller is closer.
    Lp {
        /// The norm, at least 1; 2 is the Euclidean distance.
        p: f32,
        /// What the distance is raised to, > 0.
        power: f32,
        /// Rows are divided by their `p`-norm first.
        normalized: bool,
    },
    /// Cosine similarity in [-1, 1], pytorch-metric-learning's `CosineSimilarity`; larger is closer.
    Cosine,
    /// Dot product, pytorch-metric-learning's `DotProductSimilarity`; larger is closer.
    Dot {
        /// Of rows divided by their norm: the cosine.
        normalized: bool,
    },
    /// Noise over signal of normalised rows, `var(a - b) / var(a)` with the anchor `a`, not symmetric (Yuan et al.,
    /// 2019; pytorch-metric-learning's `SNRDistance`), at least 0; smaller is closer. Both variances are over
    /// dimensions, so that their divisor does not matter.
    Snr,
}

impl Default for Distance {
    /// Euclidean distance of normalised rows, pytorch-metric-learning's default.
    fn default() -> Self {
        Self::Euclidean { normalized: true, squared: false }
    }
}

impl Distance {
    /// Checks norm and power.
    ///
    /// # Errors
    /// When `p` is below 1 or `power` not above 0, or one of them is not finite.
    pub fn validate(self) -> Result<(), MetricError> {
        let Self::Lp { p, power, .. } = self else { return Ok(()) };
        MetricError::check(p.is_finite() && p >= 1.0, "p", "a finite number of at least 1", p.into())?;
        MetricError::check(power.is_finite() && power > 0.0, "power", "a finite number above 0", power.into())
    }

    /// Whether larger values mean closer.
    pub fn is_inverted(self) -> bool {
        matches!(self, Self::Cosine | Self::Dot { .. })
    }

    /// Whether this is the cosine, under either name.
    pub fn is_cosine(self) -> bool {
        matches!(self, Self::Cosine | Self::Dot { normalized: true })
    }

    /// For powers of the Euclidean distance: whether rows are normalised, and the power.
    pub fn euclidean(self) -> Option<(bool, f32)> {
        match self {
            Self::Euclidean { normalized, squared } => Some((normalized, if squared { 2.0 } else { 1.0 })),
            Self::Lp { p: 2.0, power, normalized } => Some((normalized, power)),
            _ => None,
        }
    }

    /// All pairs: `[n, d]`, `[m, d]` to `[n, m]`. Gradients are finite for equal rows and for zero rows.
    ///
    /// Everything but [`Distance::Lp`] with `p` other than 2 is made of matrix products; that one holds all differences
    /// `[n, m, d]` for its gradient.
    pub fn matrix(self, a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
        self.between(self.prepared(a), self.prepared(b))
    }

    /// The same matrix, made from `rows` rows of `a` at a time, so that without autodiff no temporary is larger than a
    /// block (pytorch-metric-learning's `BatchedDistance`): `[n, d]`, `[m, d]` to `[n, m]`. Zero rows are taken as one.
    pub fn matrix_in_blocks(self, a: Tensor<2>, b: Tensor<2>, rows: usize) -> Tensor<2> {
        let (a, b) = (self.prepared(a), self.prepared(b));
        in_blocks(a, rows, |a| self.between(a, b.clone()))
    }

    /// What can be done to every row by itself.
    fn prepared(self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Euclidean { normalized: false, .. }
            | Self::Lp { normalized: false, .. }
            | Self::Dot { normalized: false } => x,
            Self::Euclidean { .. } | Self::Cosine | Self::Dot { .. } => normalize_rows(x),
            Self::Lp { p, .. } => {
                let norm = norms(x.clone(), p); // [n, 1]
                x / norm.clamp_min(EPSILON)
            }
            Self::Snr => {
                let x = normalize_rows(x);
                let mean = x.clone().mean_dim(1); // [n, 1]
                x - mean
            }
        }
    }

    fn between(self, a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Cosine | Self::Dot { .. } => dot_products(a, b),
            Self::Euclidean { squared, .. } => {
                power_of_square(squared_distances(a, b), if squared { 2.0 } else { 1.0 })
            }
            Self::Lp { p: 2.0, power, .. } => power_of_square(squared_distances(a, b), power),
            Self::Lp { p, power, .. } => {
                let [m, d] = b.dims();
                let b = b.unsqueeze_dim::<3>(0); // [1, m, d]
                let distances = in_blocks(a, BLOCK / (m * d).max(1), |a| {
                    let a = a.unsqueeze_dim::<3>(1); // [rows, 1, d]
                    norms(a - b.clone(), p).squeeze_dim::<2>(2) // [rows, m]
                });
                if power == 1.0 { distances } else { distances.add_scalar(EPSILON).powf_scalar(power) }
            }
            Self::Snr => {
                let signal = a.clone().powi_scalar(2).sum_dim(1).add_scalar(EPSILON); // [n, 1]
                squared_distances(a, b) / signal
            }
        }
    }
}

/// `d^power` from `d^2`.
fn power_of_square(square: Tensor<2>, power: f32) -> Tensor<2> {
    if power == 2.0 {
        square
    } else if power == 1.0 {
        square.add_scalar(EPSILON).sqrt()
    } else {
        square.add_scalar(EPSILON).powf_scalar(power / 2.0)
    }
}

/// `f` of `rows` rows at a time, joined.
fn in_blocks(a: Tensor<2>, rows: usize, f: impl Fn(Tensor<2>) -> Tensor<2>) -> Tensor<2> {
    let [n, _] = a.dims();
    let rows = rows.max(1);
    if n <= rows {
        return f(a);
    }
    let block = |from: usize| f(a.clone().narrow(0, from, rows.min(n - from)));
    Tensor::cat((0..n).step_by(rows).map(block).collect(), 0)
}

/// The `p`-norm over the last dimension, which is kept with size 1. Its gradient at zero is zero.
fn norms<const D: usize>(x: Tensor<D>, p: f32) -> Tensor<D> {
    if p == 1.0 {
        return x.abs().sum_dim(D - 1);
    }
    if p == 2.0 {
        return x.powi_scalar(2).sum_dim(D - 1).add_scalar(EPSILON).sqrt();
    }
    // The largest entry is taken out, so that no power over- or underflows; as a constant: the norm does not depend on
    // how it is scaled.
    let size = x.abs();
    let largest = size.clone().detach().max_dim(D - 1).clamp_min(EPSILON);
    let sum = (size / largest.clone()).powf_scalar(p).sum_dim(D - 1).add_scalar(EPSILON);
    sum.powf_scalar(1.0 / p) * largest
}
