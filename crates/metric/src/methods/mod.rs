//! Metric learning of encoders, as methods of the one training loop.

mod deep_mahalanobis;
mod loss;
mod siamese;
mod supcon;
mod table;
mod triplet;
mod weak;

pub use deep_mahalanobis::{DeepMahalanobis, MahalanobisEmbedder};
pub use loss::{LossMethod, LossModel, LossTraining};
pub use siamese::Siamese;
pub use supcon::SupConMethod;
pub use table::{LossKind, LossSettings, MinerSettings};
pub use triplet::{Mining, TripletMethod};
pub use weak::{Weak, WeakMethod, WeakModel, WeakTraining};

use crate::{Distance, MetricError, Pairwise};
use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use nearfar_core::{
    encoder::Encoder,
    head::{Head, HeadConfig},
    init,
    train::{Batch, Objective, forward_views},
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

/// The objective of a tuple loss on a batch whose labels the training loop has matched to its rows.
fn tuple_objective(
    embedding: Tensor<2>,
    labels: &[usize],
    distance: Distance,
    loss: impl FnOnce(&Pairwise) -> Result<Tensor<1>, MetricError>,
) -> Objective {
    let loss = Pairwise::new(distance, embedding.clone(), labels, None).and_then(|pairwise| loss(&pairwise));
    // A failing device, or a class that a reducer has no weight for: a loss that is no number stops the run with the
    // step's number.
    let loss = loss.unwrap_or_else(|_| embedding.clone().sum().mul_scalar(f32::NAN));
    Objective { loss, embedding }
}
