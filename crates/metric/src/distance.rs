use burn::tensor::Tensor;
use nearfar_core::similarity::{dot_products, normalize_rows, squared_distances};
use serde::{Deserialize, Serialize};

/// Keeps the root of a squared distance differentiable where two points coincide.
const EPSILON: f64 = 1e-12;

/// How two embeddings are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// Euclidean distance; smaller is closer.
    Euclidean {
        /// Rows are divided by their norm first, as pytorch-metric-learning does by default.
        normalized: bool,
        /// Its square instead.
        squared: bool,
    },
    /// Cosine similarity in [-1, 1]; larger is closer.
    Cosine,
}

impl Default for Distance {
    /// Euclidean distance of normalised rows, pytorch-metric-learning's default.
    fn default() -> Self {
        Self::Euclidean { normalized: true, squared: false }
    }
}

impl Distance {
    /// Whether larger values mean closer.
    pub fn is_inverted(self) -> bool {
        matches!(self, Self::Cosine)
    }

    /// All pairs: `[n, d]`, `[m, d]` to `[n, m]`. Gradients are finite for equal rows and for zero rows.
    pub fn matrix(self, a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Cosine => dot_products(normalize_rows(a), normalize_rows(b)),
            Self::Euclidean { normalized, squared } => {
                let (a, b) = if normalized { (normalize_rows(a), normalize_rows(b)) } else { (a, b) };
                let square = squared_distances(a, b);
                if squared { square } else { square.add_scalar(EPSILON).sqrt() }
            }
        }
    }
}
