use super::PairLoss;
use crate::{Distance, MetricError, Pairwise, miner::Miner};
use burn::tensor::Tensor;

/// Cross-batch memory (Wang et al., "Cross-batch memory for embedding learning", 2020): the embeddings of recent
/// batches are the references of the newest one, so that a small batch sees many negatives.
///
/// As in pytorch-metric-learning the batch enters the memory first; its own copies there are compared with the others,
/// but no embedding with its own copy. Old embeddings carry no gradient; the paper waits until the encoder changes
/// slowly before it uses them. Any pair loss and any miner go with it. The memory belongs to a training run: save
/// [`CrossBatchMemory::embeddings`] and [`CrossBatchMemory::labels`] with its checkpoints.
#[derive(Clone, Debug)]
pub struct CrossBatchMemory {
    capacity: usize,
    embeddings: Option<Tensor<2>>, // [m, d], oldest first
    labels: Vec<usize>,
}

impl CrossBatchMemory {
    /// An empty memory of at most `capacity` embeddings; 1024 in pytorch-metric-learning.
    ///
    /// # Errors
    /// When it holds none.
    pub fn new(capacity: usize) -> Result<Self, MetricError> {
        MetricError::check(capacity >= 1, "capacity", "at least 1", capacity as f64)?;
        Ok(Self { capacity, embeddings: None, labels: Vec::new() })
    }

    /// What is remembered, oldest first: `[m, d]`.
    pub fn embeddings(&self) -> Option<&Tensor<2>> {
        self.embeddings.as_ref()
    }

    /// The class of every remembered embedding.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// Remembers embeddings `[n, d]` and forgets the oldest beyond the capacity. By itself this is the queue of keys of
    /// a momentum encoder; queries are then compared by [`CrossBatchMemory::against`].
    ///
    /// # Errors
    /// When labels do not number the rows, dimensions differ from what is remembered, or the batch does not fit.
    pub fn enqueue(&mut self, embeddings: Tensor<2>, labels: &[usize]) -> Result<(), MetricError> {
        let [rows, cols] = embeddings.dims();
        if rows != labels.len() {
            return Err(MetricError::Labels { what: "embeddings", rows, labels: labels.len() });
        }
        if rows > self.capacity {
            return Err(MetricError::Memory { batch: rows, capacity: self.capacity });
        }
        // A leaf that requires a gradient still requires it when it is detached.
        let newest = embeddings.detach().set_require_grad(false);
        let all = match &self.embeddings {
            Some(old) if old.dims()[1] != cols => {
                return Err(MetricError::Dimensions { embeddings: cols, references: old.dims()[1] });
            }
            Some(old) => Tensor::cat(vec![old.clone(), newest], 0),
            None => newest,
        };
        let forget = all.dims()[0].saturating_sub(self.capacity);
        let kept = all.dims()[0] - forget;
        self.embeddings = Some(if forget == 0 { all } else { all.narrow(0, forget, kept) });
        self.labels.extend_from_slice(labels);
        self.labels.drain(..forget);
        Ok(())
    }

    /// The distances of embeddings `[n, d]` to everything remembered, of which none is a copy of them.
    ///
    /// # Errors
    /// As [`Pairwise::new`], and when nothing is remembered yet.
    pub fn against(
        &self,
        distance: Distance,
        embeddings: Tensor<2>,
        labels: &[usize],
    ) -> Result<Pairwise, MetricError> {
        let memory = self.embeddings.clone().ok_or(MetricError::Settings("the memory is empty: enqueue first"))?;
        Pairwise::new(distance, embeddings, labels, Some((memory, self.labels.as_slice())))
    }

    /// Remembers the batch and gives its distances to everything remembered.
    ///
    /// # Errors
    /// As [`CrossBatchMemory::enqueue`] and [`Pairwise::new`].
    pub fn pairwise(
        &mut self,
        distance: Distance,
        embeddings: Tensor<2>,
        labels: &[usize],
    ) -> Result<Pairwise, MetricError> {
        self.enqueue(embeddings.clone(), labels)?;
        let memory = self.embeddings.clone().ok_or(MetricError::Settings("the memory is empty: enqueue first"))?;
        Pairwise::in_memory(distance, embeddings, labels, memory, &self.labels)
    }

    /// A loss `[1]` of the batch against the memory that it enters, on the loss's own distance, over what a miner
    /// chooses or over every tuple.
    ///
    /// # Errors
    /// As [`CrossBatchMemory::pairwise`], [`Miner::mine`] and [`PairLoss::forward`].
    pub fn forward(
        &mut self,
        loss: &dyn PairLoss,
        miner: Option<&dyn Miner>,
        embeddings: Tensor<2>,
        labels: &[usize],
    ) -> Result<Tensor<1>, MetricError> {
        let on = self.pairwise(loss.default_distance(), embeddings, labels)?;
        let tuples = miner.map(|miner| miner.mine(&on)).transpose()?;
        loss.forward(&on, tuples.as_ref())
    }
}
