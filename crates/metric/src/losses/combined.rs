use super::PairLoss;
use crate::{Distance, MetricError, Pairwise, miner::Miner};
use burn::tensor::Tensor;

/// One loss of a [`Combined`].
#[derive(Debug)]
pub struct Part {
    /// The loss.
    pub loss: Box<dyn PairLoss>,
    /// What it is multiplied with, finite.
    pub weight: f32,
    /// The distance; the loss's own if none is given.
    pub distance: Option<Distance>,
    /// Which tuples count, on that distance; every one if none is given.
    pub miner: Option<Box<dyn Miner>>,
}

impl Part {
    /// A loss with weight 1 on its own distance over every tuple.
    pub fn new(loss: impl PairLoss + 'static) -> Self {
        Self { loss: Box::new(loss), weight: 1.0, distance: None, miner: None }
    }
}

/// A weighted sum of losses (pytorch-metric-learning's `MultipleLosses`), each with its own distance and miner.
#[derive(Debug, Default)]
pub struct Combined {
    /// The losses.
    pub parts: Vec<Part>,
}

impl Combined {
    /// Checks every part, and that its loss, distance and miner go together.
    ///
    /// # Errors
    /// Names the first setting that is out of range, or what does not go with what.
    pub fn validate(&self) -> Result<(), MetricError> {
        self.parts.iter().try_for_each(|part| {
            MetricError::finite("weight", part.weight.into())?;
            let distance = part.distance.unwrap_or(part.loss.default_distance());
            distance.validate()?;
            part.loss.validate()?;
            part.loss.accepts(distance)?;
            let Some(miner) = &part.miner else { return Ok(()) };
            part.loss.accepts_tuples()?;
            miner.validate()?;
            miner.accepts(distance)
        })
    }

    /// The sum `[1]` of embeddings `[n, d]`, or of embeddings against references. Without parts it is zero and keeps
    /// the graph.
    ///
    /// # Errors
    /// As [`Pairwise::new`], [`Miner::mine`] and [`PairLoss::forward`].
    pub fn forward(
        &self,
        embeddings: Tensor<2>,
        labels: &[usize],
        references: Option<(Tensor<2>, &[usize])>,
    ) -> Result<Tensor<1>, MetricError> {
        self.validate()?;
        let mut sum = embeddings.clone().sum().mul_scalar(0.0);
        for part in &self.parts {
            let distance = part.distance.unwrap_or(part.loss.default_distance());
            let on = Pairwise::new(distance, embeddings.clone(), labels, references.clone())?;
            let tuples = part.miner.as_ref().map(|miner| miner.mine(&on)).transpose()?;
            sum = sum + part.loss.forward(&on, tuples.as_ref())?.mul_scalar(part.weight);
        }
        Ok(sum)
    }
}
