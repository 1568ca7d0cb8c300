use super::{Embedder, tuple_loss};
use crate::{
    MetricError, Pairwise,
    losses::{PairLoss, SupCon},
};
use burn::tensor::{Device, Tensor};
use nearfar_core::{
    encoder::Encoder,
    head::HeadConfig,
    train::{BatchError, Embedded, Method, Needs, NoMemory, Progress, Sampling, Staged},
};
use serde::{Deserialize, Serialize};

/// Supervised contrastive learning (Khosla et al., 2020): every image of the anchor's class is a positive, every
/// other image of the batch stands in the denominator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SupConMethod {
    /// The loss and its temperature. Default that of [`SupCon`].
    pub loss: SupCon,
    /// Augmented views of each image, at least 1. Default 1; 2 in the paper. With 1, positives are other images of the
    /// class only, which costs half as much an image.
    pub views: usize,
    /// Hidden units and outputs of the projection head, at least 1 each; the paper has 2048 and 128 behind a ResNet-50.
    /// Default none: the loss stands on the encoder's own features, as in metric-learning libraries.
    pub projector: Option<[usize; 2]>,
}

impl Default for SupConMethod {
    fn default() -> Self {
        Self { loss: SupCon::default(), views: 1, projector: None }
    }
}

impl SupConMethod {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), MetricError> {
        MetricError::check(self.views >= 1, "views", "at least 1", self.views as f64)?;
        if let Some([hidden, output]) = self.projector {
            let least = hidden.min(output);
            MetricError::check(least >= 1, "projector", "two sizes of at least 1", least as f64)?;
        }
        self.loss.validate()
    }
}

impl Method for SupConMethod {
    type Model = Embedder;
    type Memory = NoMemory;

    fn name(&self) -> &'static str {
        "supcon"
    }

    fn needs(&self) -> Needs {
        Needs { views: self.views, labels: true, sampling: Sampling::Shuffled }
    }

    fn build(&self, encoder: Encoder, features: usize, seed: u64, device: &Device) -> (Embedder, NoMemory) {
        let projector = self.projector.map(|[hidden, output]| HeadConfig::new([features, hidden, output]));
        (Embedder::new(encoder, projector, seed, device), NoMemory::new())
    }

    fn staged(&self) -> Option<&dyn Staged<Embedder, NoMemory>> {
        Some(self)
    }

    fn encoder<'a>(&self, model: &'a Embedder) -> &'a Encoder {
        &model.encoder
    }
}

impl Staged<Embedder, NoMemory> for SupConMethod {
    fn embed(&self, model: &Embedder, views: &[Tensor<4>]) -> Vec<Tensor<2>> {
        model.embed_views(views)
    }

    fn loss(&self, _: &Embedder, _: &mut NoMemory, batch: &Embedded<'_>, _: Progress) -> Result<Tensor<1>, BatchError> {
        let loss = |pairwise: &Pairwise| self.loss.forward(pairwise, None);
        Ok(tuple_loss(batch, self.loss.default_distance(), loss)?)
    }
}
