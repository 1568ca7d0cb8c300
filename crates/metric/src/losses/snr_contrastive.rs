use super::{Contrastive, Evidence, PairLoss, Term};
use crate::{Distance, MetricError, Pairwise, Reducer, Tuples};
use serde::{Deserialize, Serialize};

/// The contrastive loss on the signal-to-noise distance `var(a - b) / var(a)` (Yuan et al., "Signal-to-noise ratio: a
/// robust distance metric for deep metric learning", 2019):
///
/// ```text
/// positive pairs: [d_SNR - positive_margin]+        negative pairs: [negative_margin - d_SNR]+
/// ```
///
/// The paper's regulariser, which keeps the mean of every embedding near zero, is left to the caller, as in
/// pytorch-metric-learning. On other distances it is refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SnrContrastive {
    /// Margins 0 and 1 and the mean over active pairs, as in pytorch-metric-learning.
    pub loss: Contrastive,
}

impl PairLoss for SnrContrastive {
    fn default_distance(&self) -> Distance {
        Distance::Snr
    }

    fn reducer(&self) -> &Reducer {
        &self.loss.reducer
    }

    fn validate(&self) -> Result<(), MetricError> {
        self.loss.validate()
    }

    fn accepts(&self, distance: Distance) -> Result<(), MetricError> {
        let needs = "the SNR distance (`\"snr\"`)";
        MetricError::defined(distance == Distance::Snr, "the SNR contrastive loss", needs, distance)
    }

    fn evidence(&self) -> Evidence {
        Evidence::Pairs
    }

    fn terms<'a>(&'a self, on: &'a Pairwise, tuples: Option<&'a Tuples>) -> Result<Vec<Term<'a>>, MetricError> {
        self.loss.terms(on, tuples)
    }
}
