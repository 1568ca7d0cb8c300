use super::table::{LossKind, LossSettings};
use crate::{MetricError, losses::GapHistogram};
use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor, TensorData},
};

/// What a loss keeps between steps: the histogram of [`crate::losses::DynamicSoftMargin`], nothing for all others. It
/// is part of a run's checkpoints.
#[derive(Module, Debug)]
pub struct LossMemory {
    /// Shares of the triplets, `[bins + 1]`; zeros before the first batch.
    gaps: Option<Param<Tensor<1>>>,
}

impl LossMemory {
    pub(super) fn new(loss: &LossSettings, device: &Device) -> Self {
        let gaps = match loss.kind() {
            LossKind::Gaps(loss) => Some(Tensor::<1>::zeros([loss.bins + 1], device)),
            _ => None,
        };
        Self { gaps: gaps.map(|gaps| Param::from_tensor(gaps).set_require_grad(false)) }
    }

    /// For a loss that is not in the table and keeps nothing.
    pub(super) fn nothing() -> Self {
        Self { gaps: None }
    }

    /// The histogram, empty before the first batch and for a loss that has none.
    ///
    /// # Errors
    /// When the device fails.
    pub fn gaps(&self) -> Result<GapHistogram, MetricError> {
        let Some(gaps) = &self.gaps else { return Ok(GapHistogram::default()) };
        let shares = gaps.val().try_into_vec_as::<f32>().map_err(|e| MetricError::Device(e.to_string()))?;
        GapHistogram::restored(shares.into_iter().map(f64::from).collect())
    }

    /// Remembers a histogram of as many bins. It is kept in `f32`, whether a checkpoint lies between two steps or not,
    /// so that a resumed run sees the same numbers.
    pub(super) fn keep(&mut self, histogram: &GapHistogram) {
        let shares: Vec<f32> = histogram.shares().iter().map(|share| *share as f32).collect();
        if let Some(old) = self.gaps.take() {
            let size = shares.len();
            let shares = Tensor::<1>::from_data(TensorData::new(shares, [size]), &old.val().device());
            self.gaps = Some(Param::initialized(old.id, shares).set_require_grad(false));
        }
    }
}
