//! Metric learning of encoders, as methods of the one training loop.

mod deep_mahalanobis;
mod siamese;
mod supcon;
mod triplet;

pub use deep_mahalanobis::{DeepMahalanobis, MahalanobisEmbedder};
pub use siamese::Siamese;
pub use supcon::SupConMethod;
pub use triplet::{Mining, TripletMethod};

use crate::{Distance, MetricError, Pairwise};
use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use nearfar_core::{
    encoder::Encoder,
    head::{Head, HeadConfig},
    init,
    train::{Batch, Objective},
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
        let features = self.encoder.forward(batch.concatenated());
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
    loss: impl FnOnce(&Pairwise) -> Tensor<1>,
) -> Objective {
    match Pairwise::new(distance, embedding.clone(), labels, None) {
        Ok(pairwise) => Objective { loss: loss(&pairwise), embedding },
        // Only a failing device is left; a loss that is no number stops the run with the step's number.
        Err(MetricError::Device(_)) => Objective { loss: embedding.clone().sum().mul_scalar(f32::NAN), embedding },
        Err(other) => unreachable!("the training loop gives one label an image: {other}"),
    }
}
