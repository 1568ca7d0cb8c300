use crate::{
    ContrastiveError, Queue,
    error::{check_momentum, check_size, check_temperature},
    losses::info_nce,
    split_norm::{in_parts, in_shuffled_parts},
};
use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use nearfar_core::{
    encoder::Encoder,
    head::{Head, HeadConfig},
    init,
    momentum::{cosine_momentum, momentum_copy, update},
    similarity::normalize_rows,
    train::{Batch, Method, Needs, Objective, Progress, Sampling},
};
use serde::{Deserialize, Serialize};

/// MoCo v2 (He et al., 2020; Chen et al., 2020b): a query must find its key, which a momentum encoder made from the
/// other view, among a queue of keys from earlier batches.
///
/// The loss is symmetric, as in the authors' CIFAR demonstration: each view is once query and once key, and both
/// losses are taken before either batch of keys enters the queue. Here they are averaged; the demonstration adds them.
/// The momentum encoder moves before it makes its keys, as in the authors' code.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Moco {
    /// Temperature, > 0; 0.07 in v1, 0.2 in v2, 0.1 in the CIFAR demonstration.
    pub temperature: f64,
    /// Keys in the queue; 65,536 on ImageNet, 4,096 in the CIFAR demonstration, where more did not help.
    pub queue: usize,
    /// Momentum of the key encoder at the start, in [0, 1]; 0.999 on ImageNet, 0.99 in the CIFAR demonstration.
    pub momentum: f64,
    /// Whether the momentum rises to 1 along BYOL's cosine (MoCo v3, solo-learn) or stays (v1, v2).
    pub momentum_schedule: bool,
    /// Parts of a batch with batch statistics of their own; 8 in the CIFAR demonstration.
    pub norm_parts: usize,
    /// Hidden units of the projector; as wide as the features in v2.
    pub hidden: usize,
    /// Outputs of the projector; 128 in the paper.
    pub output: usize,
}

impl Default for Moco {
    fn default() -> Self {
        Self {
            temperature: 0.2,
            queue: 4096,
            momentum: 0.99,
            momentum_schedule: true,
            norm_parts: 8,
            hidden: 256,
            output: 128,
        }
    }
}

impl Moco {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), ContrastiveError> {
        check_temperature(self.temperature)?;
        check_momentum("momentum", self.momentum)?;
        check_size("queue", self.queue)?;
        check_size("norm_parts", self.norm_parts)?;
        check_size("hidden", self.hidden)?;
        check_size("output", self.output)
    }

    fn momentum_at(&self, at: Progress) -> f64 {
        if self.momentum_schedule { cosine_momentum(self.momentum, at.step, at.steps) } else { self.momentum }
    }
}

/// Encoder and projector, for queries and for keys.
#[derive(Module, Debug)]
pub struct MocoModel {
    encoder: Encoder,
    projector: Head,
}

impl MocoModel {
    /// `[n, c, h, w]` to unit rows `[n, output]`.
    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        normalize_rows(self.projector.forward(self.encoder.forward(x)))
    }
}

/// What MoCo keeps between steps.
#[derive(Module, Debug)]
pub struct MocoMemory {
    key: MocoModel,
    queue: Queue,
}

impl Method for Moco {
    type Model = MocoModel;
    type Memory = MocoMemory;

    fn name(&self) -> &'static str {
        "moco"
    }

    fn needs(&self) -> Needs {
        Needs { views: 2, labels: false, sampling: Sampling::Shuffled }
    }

    fn build(&self, encoder: Encoder, features: usize, seed: u64, device: &Device) -> (MocoModel, MocoMemory) {
        let head = HeadConfig::new([features, self.hidden, self.output]).without_hidden_norm();
        let model = MocoModel { encoder, projector: init::seeded(head.init(device), seed) };
        let queue = Queue::new(self.queue, self.output, seed, device);
        let key = momentum_copy(&model);
        (model, MocoMemory { key, queue })
    }

    fn objective(&self, model: &MocoModel, memory: &mut MocoMemory, batch: &Batch, at: Progress) -> Objective {
        memory.key = update(memory.key.clone(), model, self.momentum_at(at));
        let queue = memory.queue.keys(); // [queue, output]
        let (mut losses, mut queries, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for (view, other) in [(0, 1), (1, 0)] {
            let q = in_parts(batch.views[view].clone(), self.norm_parts, |x| model.forward(x)); // [n, output]
            let shuffle = at.seed ^ ((2 * at.step + view) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let k = in_shuffled_parts(batch.views[other].clone(), self.norm_parts, shuffle, |x| memory.key.forward(x))
                .detach(); // [n, output]
            losses.push(info_nce(q.clone(), k.clone(), queue.clone(), self.temperature));
            queries.push(q);
            keys.push(k);
        }
        for k in keys {
            memory.queue.enqueue(k);
        }
        let [one, two] = <[Tensor<1>; 2]>::try_from(losses).expect("two directions");
        Objective { loss: (one + two).div_scalar(2.0), embedding: Tensor::cat(queries, 0) }
    }

    fn encoder<'a>(&self, model: &'a MocoModel) -> &'a Encoder {
        &model.encoder
    }

    fn collapsed_loss(&self, _: usize) -> Option<f64> {
        Some((self.queue as f64 + 1.0).ln())
    }
}
