use super::PairLoss;
use crate::{MetricError, Pairwise};
use burn::tensor::Tensor;

/// A pair loss without labels: views of one item are positives, everything else is negative
/// (pytorch-metric-learning's `SelfSupervisedLoss`, for any number of views).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelfSupervised {
    /// Whether every view is an anchor and a reference. If not, the first view is compared with the others only.
    /// Default true.
    pub symmetric: bool,
}

impl Default for SelfSupervised {
    fn default() -> Self {
        Self { symmetric: true }
    }
}

impl SelfSupervised {
    /// The loss `[1]` of views `[n, d]` of the same `n` items, on the loss's own distance.
    ///
    /// # Errors
    /// When there are fewer than two views or they differ in shape, and as [`PairLoss::forward`].
    pub fn forward(&self, loss: &dyn PairLoss, views: Vec<Tensor<2>>) -> Result<Tensor<1>, MetricError> {
        let count = views.len();
        MetricError::check(count >= 2, "views", "at least 2", count as f64)?;
        let [n, d] = views[0].dims();
        if views.iter().any(|view| view.dims() != [n, d]) {
            return Err(MetricError::Settings("every view needs as many rows and columns as the first"));
        }
        let items: Vec<usize> = (0..n).collect();
        let distance = loss.default_distance();
        let on = if self.symmetric {
            Pairwise::new(distance, Tensor::cat(views, 0), &items.repeat(count), None)?
        } else {
            let mut views = views.into_iter();
            let first = views.next().ok_or(MetricError::Settings("there is no view"))?;
            let others = Tensor::cat(views.collect(), 0); // [(views - 1) n, d]
            let labels = items.repeat(count - 1);
            Pairwise::new(distance, first, &items, Some((others, labels.as_slice())))?
        };
        loss.forward(&on, None)
    }
}
