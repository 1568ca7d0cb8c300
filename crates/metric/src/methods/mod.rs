//! Metric learning of encoders, as methods of the one training loop.

mod class_manifold;
mod deep_mahalanobis;
mod fit;
mod loss;
mod memory;
mod siamese;
mod supcon;
mod table;
mod triplet;
mod weak;

pub use class_manifold::ClassManifold;
pub use deep_mahalanobis::{DeepMahalanobis, MahalanobisEmbedder};
pub use loss::{LossMethod, LossModel, LossTraining};
pub use memory::LossMemory;
pub use siamese::Siamese;
pub use supcon::SupConMethod;
pub use table::{LossKind, LossSettings, MinerSettings};
pub use triplet::{Mining, TripletMethod};
pub use weak::{WeakMethod, WeakModel, WeakTraining};

use crate::{Distance, MetricError, Pairwise};
use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use nearfar_core::{
    encoder::Encoder,
    head::{Head, HeadConfig},
    init,
    train::{Batch, BatchError, Objective, Sampling, forward_views},
};

/// An encoder and, where the method has one, a projection head that only training uses.
#[derive(Module, Debug)]
pub struct Embedder {
    encoder: Encoder,
    projector: Option<Head>,
}

impl Embedder {
    fn new(encoder: Encoder, projector: Option<HeadConfig>, seed: u64, device: &Device) -> Self {
        Self { encoder, projector: projector.map(|config| init::seeded(config.init(device), seed)) }
    }

    /// Every view of the batch, `[views * n, d]`, the first view first.
    fn embed(&self, batch: &Batch) -> Tensor<2> {
        self.project(forward_views(&batch.views, |x| self.encoder.forward(x)))
    }

    /// The same view by view, `[n, d]` each.
    fn embed_views(&self, views: &[Tensor<4>]) -> Vec<Tensor<2>> {
        let [n, ..] = views[0].dims();
        let z = self.project(forward_views(views, |x| self.encoder.forward(x))); // [views n, d]
        (0..views.len()).map(|view| z.clone().narrow(0, view * n, n)).collect()
    }

    fn project(&self, features: Tensor<2>) -> Tensor<2> {
        match &self.projector {
            Some(projector) => projector.forward(features),
            None => features,
        }
    }
}

/// Labels of `views` stacked copies of a batch.
fn repeated_labels(batch: &Batch) -> Vec<usize> {
    batch.labels.repeat(batch.views.len())
}

/// Checks a sampling that takes the place of a method's own.
fn check_sampling(sampling: Option<&Sampling>) -> Result<(), MetricError> {
    sampling.map_or(Ok(()), |sampling| sampling.validate().map_err(|e| MetricError::Sampling(e.to_string())))
}

/// The embeddings `[n, d]` of a batch, and their loss `[1]` or the reason why there is none.
///
/// Settings are checked before a run; what is left is a device that cannot be read.
struct Attempt {
    embedding: Tensor<2>,
    loss: Result<Tensor<1>, MetricError>,
}

impl Attempt {
    /// A tuple loss on a batch whose labels the training loop has matched to its rows.
    fn over_tuples(
        embedding: Tensor<2>,
        labels: &[usize],
        distance: Distance,
        loss: impl FnOnce(&Pairwise) -> Result<Tensor<1>, MetricError>,
    ) -> Self {
        let loss = Pairwise::new(distance, embedding.clone(), labels, None).and_then(|pairwise| loss(&pairwise));
        Self { embedding, loss }
    }

    /// For the training loop, which stops with the reason.
    fn checked(self) -> Result<Objective, BatchError> {
        Ok(Objective { loss: self.loss?, embedding: self.embedding })
    }

    /// For loops of one's own that do not ask for the reason: the loss is no number then, which no loop takes for one.
    fn unchecked(self) -> Objective {
        let embedding = self.embedding;
        let loss = self.loss.unwrap_or_else(|_| embedding.clone().sum().mul_scalar(f32::NAN));
        Objective { loss, embedding }
    }
}
