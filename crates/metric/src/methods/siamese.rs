use super::{Embedder, balanced, check_balanced, tuple_loss};
use crate::{
    Distance, MetricError, Pairwise,
    losses::{Contrastive, PairLoss},
};
use burn::tensor::{Device, Tensor};
use nearfar_core::{
    encoder::Encoder,
    train::{BatchError, Embedded, Method, Needs, NoMemory, Progress, Sampling, Staged},
};
use serde::{Deserialize, Serialize};

/// A Siamese network: one encoder for both sides of a pair, the contrastive loss over all pairs of a batch
/// (Hadsell, Chopra and LeCun, 2006).
///
/// The paper draws pairs one by one; here every pair of a batch of chosen classes counts, and the two kinds are
/// averaged apart, so that the many dissimilar pairs do not drown the similar ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Siamese {
    /// The loss and its margins. Default that of [`Contrastive`].
    pub loss: Contrastive,
    /// How embeddings are compared. Default that of [`Distance`].
    pub distance: Distance,
    /// Images of a class in a batch, at least 2. Default 4, as for triplets in Hermans et al.
    pub images_per_class: usize,
    /// How batches are drawn, in place of `images_per_class` images of as many classes as fit. Default none.
    pub sampling: Option<Sampling>,
}

impl Default for Siamese {
    fn default() -> Self {
        Self { loss: Contrastive::default(), distance: Distance::default(), images_per_class: 4, sampling: None }
    }
}

impl Siamese {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), MetricError> {
        check_balanced(self.images_per_class, self.sampling.as_ref())?;
        self.distance.validate()?;
        self.loss.validate()
    }
}

impl Method for Siamese {
    type Model = Embedder;
    type Memory = NoMemory;

    fn name(&self) -> &'static str {
        "siamese"
    }

    fn needs(&self) -> Needs {
        balanced(self.images_per_class, self.sampling.as_ref())
    }

    fn build(&self, encoder: Encoder, _: usize, seed: u64, device: &Device) -> (Embedder, NoMemory) {
        (Embedder::new(encoder, None, seed, device), NoMemory::new())
    }

    fn staged(&self) -> Option<&dyn Staged<Embedder, NoMemory>> {
        Some(self)
    }

    fn encoder<'a>(&self, model: &'a Embedder) -> &'a Encoder {
        &model.encoder
    }
}

impl Staged<Embedder, NoMemory> for Siamese {
    fn embed(&self, model: &Embedder, views: &[Tensor<4>]) -> Vec<Tensor<2>> {
        model.embed_views(views)
    }

    fn loss(&self, _: &Embedder, _: &mut NoMemory, batch: &Embedded<'_>, _: Progress) -> Result<Tensor<1>, BatchError> {
        let loss = |pairwise: &Pairwise| self.loss.forward(pairwise, None);
        Ok(tuple_loss(batch, self.distance, loss)?)
    }
}
