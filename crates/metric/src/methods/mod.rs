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
    train::{Embedded, Needs, Sampling, forward_views},
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

    /// Every view, `[n, d]` each.
    fn embed_views(&self, views: &[Tensor<4>]) -> Vec<Tensor<2>> {
        let features = forward_views(views, |x| self.encoder.forward(x)); // [views n, features]
        let z = match &self.projector {
            Some(projector) => projector.forward(features),
            None => features,
        };
        z.chunk(views.len(), 0)
    }
}

/// All views of a batch one below the other, `[views n, d]`, the first view first, and the label of every row.
fn stacked(batch: &Embedded<'_>) -> (Tensor<2>, Vec<usize>) {
    (Tensor::cat(batch.outputs.clone(), 0), batch.labels.repeat(batch.outputs.len()))
}

/// Checks a sampling that takes the place of a method's own.
fn check_sampling(sampling: Option<&Sampling>) -> Result<(), MetricError> {
    sampling.map_or(Ok(()), |sampling| sampling.validate().map_err(|e| MetricError::Sampling(e.to_string())))
}

/// Checks how a method's class-balanced batches are drawn: `images` of a class, or `sampling` in their place.
fn check_balanced(images: usize, sampling: Option<&Sampling>) -> Result<(), MetricError> {
    MetricError::check(images >= 2, "images_per_class", "at least 2", images as f64)?;
    check_sampling(sampling)
}

/// What a method of such batches needs.
fn balanced(images: usize, sampling: Option<&Sampling>) -> Needs {
    let sampling = sampling.cloned().unwrap_or(Sampling::PerClass { images });
    Needs { views: 1, labels: true, sampling }
}

/// A tuple loss `[1]` on all embeddings of a batch and their labels.
///
/// Settings are checked before a run; what is left is a device that cannot be read.
fn tuple_loss(
    batch: &Embedded<'_>,
    distance: Distance,
    loss: impl FnOnce(&Pairwise) -> Result<Tensor<1>, MetricError>,
) -> Result<Tensor<1>, MetricError> {
    let (z, labels) = stacked(batch);
    loss(&Pairwise::new(distance, z, &labels, None)?)
}
