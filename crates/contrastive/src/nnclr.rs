use crate::{
    ContrastiveError, Queue,
    error::{check_size, check_temperature},
    losses::{nearest_neighbors, nnclr},
    networks::{Predicting, Projected, sizes, views},
};
use burn::tensor::{Device, Tensor};
use nearfar_core::{
    encoder::Encoder,
    head::{HeadConfig, OutputNorm},
    similarity::normalize_rows,
    train::{BatchError, Embedded, Method, Needs, Progress, Staged},
};
use serde::{Deserialize, Serialize};

/// NNCLR (Dwibedi et al., 2021): SimCLR whose positive is not the other view but its nearest neighbour in a queue of
/// earlier embeddings, so that positives are different images.
///
/// The queue takes the first view's projections after both losses, as in solo-learn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Nnclr {
    /// Temperature, > 0. Default 0.2, as in solo-learn's CIFAR-10 runs.
    pub temperature: f64,
    /// Embeddings in the queue, at least 1. Default 4,096, as in lightly's CIFAR-10 benchmark; 65,536 in solo-learn.
    pub queue: usize,
    /// Layers of the projector, at least 1. Default 3, as in the paper; 2 in lightly's CIFAR-10 benchmark.
    pub projector_layers: usize,
    /// Hidden units of the projector, at least 1; 2048 in paper and solo-learn. Default 256, ours for a small encoder.
    pub hidden: usize,
    /// Hidden units of the predictor, at least 1; 4096 in paper and solo-learn. Default 256, ours for a small encoder.
    pub predictor_hidden: usize,
    /// Outputs of projector and predictor, at least 1; 256 in paper and solo-learn. Default 128, ours for a small
    /// encoder.
    pub output: usize,
}

impl Default for Nnclr {
    fn default() -> Self {
        Self { temperature: 0.2, queue: 4096, projector_layers: 3, hidden: 256, predictor_hidden: 256, output: 128 }
    }
}

impl Nnclr {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), ContrastiveError> {
        check_temperature(self.temperature)?;
        check_size("queue", self.queue)?;
        check_size("projector_layers", self.projector_layers)?;
        check_size("hidden", self.hidden)?;
        check_size("predictor_hidden", self.predictor_hidden)?;
        check_size("output", self.output)
    }
}

impl Method for Nnclr {
    type Model = Predicting;
    type Memory = Queue;

    fn name(&self) -> &'static str {
        "nnclr"
    }

    fn needs(&self) -> Needs {
        views(2)
    }

    fn build(&self, encoder: Encoder, features: usize, seed: u64, device: &Device) -> (Predicting, Queue) {
        // Batch norm behind every layer.
        let sizes = sizes(features, self.hidden, self.projector_layers, self.output);
        let projector = HeadConfig::new(sizes).output_norm(OutputNorm::Affine);
        let online = Projected::new(encoder, &projector, seed, device);
        let predictor = HeadConfig::new([self.output, self.predictor_hidden, self.output]);
        let queue = Queue::new(self.queue, self.output, seed, device);
        (Predicting::new(online, &predictor, seed, device), queue)
    }

    fn staged(&self) -> Option<&dyn Staged<Predicting, Queue>> {
        Some(self)
    }

    fn encoder<'a>(&self, model: &'a Predicting) -> &'a Encoder {
        &model.online.encoder
    }

    fn collapsed_loss(&self, n: usize) -> Option<f64> {
        Some((n as f64).ln())
    }

    fn remedy(&self) -> &'static str {
        "neighbours are still random: lower `queue` or `learning_rate`, or train longer"
    }
}

impl Staged<Predicting, Queue> for Nnclr {
    fn embed(&self, model: &Predicting, views: &[Tensor<4>]) -> Vec<Tensor<2>> {
        model.online.forward_each(views)
    }

    fn loss(
        &self,
        model: &Predicting,
        queue: &mut Queue,
        batch: &Embedded<'_>,
        _: Progress,
    ) -> Result<Tensor<1>, BatchError> {
        let z = &batch.outputs; // [n, output] each
        let p = model.predict_each(z);
        let neighbors = |view: usize| nearest_neighbors(z[view].clone(), queue.keys());
        let loss = (nnclr(neighbors(0), p[1].clone(), self.temperature)
            + nnclr(neighbors(1), p[0].clone(), self.temperature))
        .div_scalar(2.0);
        queue.enqueue(normalize_rows(z[0].clone().detach()));
        Ok(loss)
    }
}
