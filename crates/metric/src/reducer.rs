use serde::{Deserialize, Serialize};

/// How the values of all tuples become one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reducer {
    /// Mean over all tuples.
    Mean,
    /// Sum over all tuples.
    Sum,
    /// Mean over the tuples whose value is above zero: easy tuples do not water down the gradient.
    #[default]
    AverageNonZero,
}

impl Reducer {
    /// What the sum over the tuples is multiplied with.
    pub(crate) fn scale(self, tuples: usize, non_zero: usize) -> f32 {
        let divisor = match self {
            Self::Mean => tuples,
            Self::Sum => 1,
            Self::AverageNonZero => non_zero,
        };
        1.0 / divisor.max(1) as f32
    }
}
