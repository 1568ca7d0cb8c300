use crate::{
    ContrastiveError, ViewQueues,
    error::{check_positive, check_share, check_size, check_small_crops, check_temperature},
    losses::{sinkhorn, swav},
    networks::{Projected, Prototyped, scores, views},
};
use burn::tensor::{Device, Tensor};
use nearfar_core::{
    augment::SmallCrops,
    encoder::Encoder,
    head::HeadConfig,
    similarity::dot_products,
    train::{BatchError, Embedded, Method, Needs, Progress, Staged},
};
use serde::{Deserialize, Serialize};

/// SwAV (Caron et al., 2020): every view must predict to which prototypes another view of the image is assigned; the
/// assignments share the prototypes out equally, so not all images can have the same.
///
/// The prototypes have unit length: here inside the forward pass, where the authors rewrite the weights before each
/// step. Its two views are those of all methods; small crops come on top: they predict and are not assigned.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SwAv {
    /// Temperature of the predictions, > 0. Default 0.1, as in the paper.
    pub temperature: f64,
    /// Temperature of the assignments, > 0. Default 0.05, as in the paper.
    pub epsilon: f64,
    /// Iterations of Sinkhorn's algorithm, at least 1. Default 3, as in the paper.
    pub iterations: usize,
    /// Prototypes, at least 1. Default 512, as in lightly's CIFAR-10 benchmark; 3,000 in the paper and solo-learn.
    pub prototypes: usize,
    /// Small crops. The paper has 6 of 96 pixels beside two views of 224, of 0.05 to 0.14 of the area, where the two
    /// views have 0.14 to 1 of it; lightly's and solo-learn's CIFAR-10 runs have none, as here.
    pub small_crops: SmallCrops,
    /// Earlier embeddings of each of the first two views that are assigned together with the batch, 0 for none; 3,840
    /// in paper and solo-learn. Needed where a batch has fewer images than there are prototypes. Default 1024.
    pub queue: usize,
    /// Share of the run, in [0, 1], before the queue is used; solo-learn's 50 of 1,000 epochs, the paper's 15 of 400.
    /// Default 0.05.
    pub queue_from: f64,
    /// Share of the run, in [0, 1], during which the prototypes stay as they are; the first epoch in the paper, the
    /// first two of 1,000 in solo-learn. Default 0.01.
    pub frozen: f64,
    /// Hidden units of the projector, at least 1; 2048 in the paper. Default 256, ours for a small encoder.
    pub hidden: usize,
    /// Outputs of the projector, at least 1. Default 128, as in the paper.
    pub output: usize,
}

impl Default for SwAv {
    fn default() -> Self {
        Self {
            temperature: 0.1,
            epsilon: 0.05,
            iterations: 3,
            prototypes: 512,
            small_crops: SmallCrops { count: 0, scale: (0.05, 0.14), size: 0.43, blur: None },
            queue: 1024,
            queue_from: 0.05,
            frozen: 0.01,
            hidden: 256,
            output: 128,
        }
    }
}

impl SwAv {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), ContrastiveError> {
        check_temperature(self.temperature)?;
        check_positive("epsilon", self.epsilon)?;
        check_size("iterations", self.iterations)?;
        check_size("prototypes", self.prototypes)?;
        check_small_crops(&self.small_crops)?;
        check_share("queue_from", self.queue_from)?;
        check_share("frozen", self.frozen)?;
        check_size("hidden", self.hidden)?;
        check_size("output", self.output)
    }
}

/// Views that are assigned to prototypes: those of the image's own size.
const ASSIGNED: usize = 2;

impl Method for SwAv {
    type Model = Prototyped;
    type Memory = ViewQueues;

    fn name(&self) -> &'static str {
        "swav"
    }

    fn needs(&self) -> Needs {
        views(ASSIGNED + self.small_crops.count)
    }

    fn small_crops(&self) -> Option<SmallCrops> {
        Some(self.small_crops)
    }

    fn build(&self, encoder: Encoder, features: usize, seed: u64, device: &Device) -> (Prototyped, ViewQueues) {
        let network = Projected::new(encoder, &HeadConfig::new([features, self.hidden, self.output]), seed, device);
        let queues = ViewQueues::new(ASSIGNED, self.queue, self.output, seed, device);
        (Prototyped::new(network, self.output, self.prototypes, seed, device), queues)
    }

    fn staged(&self) -> Option<&dyn Staged<Prototyped, ViewQueues>> {
        Some(self)
    }

    fn encoder<'a>(&self, model: &'a Prototyped) -> &'a Encoder {
        &model.network.encoder
    }

    fn collapsed_loss(&self, _: usize) -> Option<f64> {
        Some((self.prototypes as f64).ln())
    }

    fn remedy(&self) -> &'static str {
        "assignments are as good as random: lower `epsilon` or `learning_rate`, or use fewer `prototypes`"
    }
}

impl Staged<Prototyped, ViewQueues> for SwAv {
    fn embed(&self, model: &Prototyped, views: &[Tensor<4>]) -> Vec<Tensor<2>> {
        model.embed(views)
    }

    fn loss(
        &self,
        model: &Prototyped,
        queues: &mut ViewQueues,
        batch: &Embedded<'_>,
        at: Progress,
    ) -> Result<Tensor<1>, BatchError> {
        let done = at.step as f64 / at.steps.max(1) as f64;
        let prototypes = model.prototypes(done < self.frozen); // [prototypes, output]
        let z = &batch.outputs; // [n, output] each
        let scores = scores(z, &prototypes); // [n, prototypes] each
        let codes: Vec<Tensor<2>> = (0..ASSIGNED)
            .map(|view| {
                let mut together = scores[view].clone().detach();
                let [n, _] = together.dims();
                if let Some(earlier) = queues.keys(view).filter(|_| done >= self.queue_from) {
                    together = Tensor::cat(vec![together, dot_products(earlier, prototypes.clone().detach())], 0);
                }
                sinkhorn(together, self.iterations, self.epsilon).narrow(0, 0, n) // [n, prototypes]
            })
            .collect();
        queues.enqueue(z[..ASSIGNED].iter().map(|z| z.clone().detach()).collect());
        Ok(swav(&scores, &codes, self.temperature))
    }
}
