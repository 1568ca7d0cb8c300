use crate::{
    ContrastiveError, ViewQueues,
    error::{check, check_momentum, check_size, check_temperature},
    losses::info_nce,
    networks::{Projected, momentum_at, sizes, views},
    split_norm::{in_parts, in_shuffled_parts},
};
use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use nearfar_core::{
    encoder::Encoder,
    head::HeadConfig,
    momentum::{momentum_copy, update},
    similarity::normalize_rows,
    train::{BatchError, Embedded, Method, Needs, Progress, Staged},
};
use serde::{Deserialize, Serialize};

/// MoCo v1 and v2 (He et al., 2020; Chen et al., 2020b): a query must find its key, which a momentum encoder made from
/// the other view, among a queue of keys from earlier batches.
///
/// By default the loss is symmetric, as in the authors' CIFAR demonstration: each view is once query and once key, and
/// both losses are taken before either batch of keys enters the queue. Here they are averaged; the demonstration adds
/// them. [`Moco::v1`] and [`Moco::v2`] are the papers' own.
/// The momentum encoder moves before it makes its keys, as in the authors' code.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Moco {
    /// Temperature, > 0. Default 0.2, as in v2; 0.07 in v1, 0.1 in the CIFAR demonstration.
    pub temperature: f64,
    /// Keys in the queue, at least 1. Default 4,096, as in the CIFAR demonstration, where more did not help; 65,536 on
    /// ImageNet.
    pub queue: usize,
    /// Momentum of the key encoder at the start, in [0, 1]. Default 0.99, as in the CIFAR demonstration; 0.999 on
    /// ImageNet.
    pub momentum: f64,
    /// Whether the momentum rises to 1 along BYOL's cosine (MoCo v3, solo-learn) or stays (v1, v2). Default true.
    pub momentum_schedule: bool,
    /// Whether each view is once query and once key; the papers take the first view for queries alone. Default true.
    pub symmetric: bool,
    /// Whether the keys of each view have a queue of their own (solo-learn) or share one. Needs `symmetric`. Default
    /// false.
    pub queue_per_view: bool,
    /// Parts of a batch (of a chunk, with gradient caching) with batch statistics of their own, at least 1. Default 8,
    /// as in the CIFAR demonstration.
    pub norm_parts: usize,
    /// Layers of the projector, at least 1. Default 2, as in v2; 1 in v1 and the CIFAR demonstration.
    pub projector_layers: usize,
    /// Hidden units of the projector, at least 1; as wide as the features in v2. Default 256.
    pub hidden: usize,
    /// Outputs of the projector, at least 1. Default 128, as in the paper.
    pub output: usize,
}

impl Default for Moco {
    fn default() -> Self {
        Self {
            temperature: 0.2,
            queue: 4096,
            momentum: 0.99,
            momentum_schedule: true,
            symmetric: true,
            queue_per_view: false,
            norm_parts: 8,
            projector_layers: 2,
            hidden: 256,
            output: 128,
        }
    }
}

impl Moco {
    /// The first version on ImageNet: one linear layer, temperature 0.07, constant momentum, one direction.
    pub fn v1() -> Self {
        Self { temperature: 0.07, projector_layers: 1, ..Self::v2() }
    }

    /// The second version on ImageNet: a hidden layer and temperature 0.2; its recipe also has blur and a cosine rate.
    pub fn v2() -> Self {
        Self { queue: 65_536, momentum: 0.999, momentum_schedule: false, symmetric: false, ..Self::default() }
    }

    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), ContrastiveError> {
        check_temperature(self.temperature)?;
        check_momentum("momentum", self.momentum)?;
        check_size("queue", self.queue)?;
        let split = f64::from(u8::from(self.queue_per_view));
        check(self.symmetric || !self.queue_per_view, "queue_per_view", "false unless `symmetric`", split)?;
        check_size("norm_parts", self.norm_parts)?;
        check_size("projector_layers", self.projector_layers)?;
        check_size("hidden", self.hidden)?;
        check_size("output", self.output)
    }

    /// The views of queries and keys of each loss.
    fn directions(&self) -> &'static [(usize, usize)] {
        if self.symmetric { &[(0, 1), (1, 0)] } else { &[(0, 1)] }
    }
}

/// `[n, c, h, w]` to unit rows `[n, output]`.
fn unit_rows(model: &Projected, x: Tensor<4>) -> Tensor<2> {
    normalize_rows(model.forward(x))
}

/// What MoCo keeps between steps.
#[derive(Module, Debug)]
pub struct MocoMemory {
    key: Projected,
    queue: ViewQueues,
}

impl Method for Moco {
    type Model = Projected;
    type Memory = MocoMemory;

    fn name(&self) -> &'static str {
        "moco"
    }

    fn needs(&self) -> Needs {
        views(2)
    }

    fn build(&self, encoder: Encoder, features: usize, seed: u64, device: &Device) -> (Projected, MocoMemory) {
        let sizes = sizes(features, self.hidden, self.projector_layers, self.output);
        let model = Projected::new(encoder, &HeadConfig::new(sizes).without_hidden_norm(), seed, device);
        let queues = if self.queue_per_view { 2 } else { 1 };
        let queue = ViewQueues::new(queues, self.queue, self.output, seed, device);
        let key = momentum_copy(&model);
        (model, MocoMemory { key, queue })
    }

    fn staged(&self) -> Option<&dyn Staged<Projected, MocoMemory>> {
        Some(self)
    }

    fn encoder<'a>(&self, model: &'a Projected) -> &'a Encoder {
        &model.encoder
    }

    fn collapsed_loss(&self, _: usize) -> Option<f64> {
        Some((self.queue as f64 + 1.0).ln())
    }

    fn remedy(&self) -> &'static str {
        "queries and keys may drift apart or cheat by batch norm: raise `momentum` or `norm_parts`, or lower `learning_rate`"
    }
}

impl Staged<Projected, MocoMemory> for Moco {
    fn prepare(&self, model: &Projected, memory: &mut MocoMemory, at: Progress) {
        let momentum = momentum_at(self.momentum, self.momentum_schedule, at);
        memory.key = update(memory.key.clone(), model, momentum);
    }

    /// The queries of every direction.
    fn embed(&self, model: &Projected, views: &[Tensor<4>]) -> Vec<Tensor<2>> {
        let query = |x: &Tensor<4>| in_parts(x.clone(), self.norm_parts, |x| unit_rows(model, x)); // [n, output]
        self.directions().iter().map(|(view, _)| query(&views[*view])).collect()
    }

    /// The keys of every direction.
    fn targets(&self, memory: &MocoMemory, views: &[Tensor<4>], at: Progress) -> Vec<Tensor<2>> {
        let keys = self.directions().iter().map(|&(view, other)| {
            let shuffle = at.seed ^ ((2 * at.step + view) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let key = |x| unit_rows(&memory.key, x);
            in_shuffled_parts(views[other].clone(), self.norm_parts, shuffle, key).detach() // [n, output]
        });
        keys.collect()
    }

    fn loss(
        &self,
        _: &Projected,
        memory: &mut MocoMemory,
        batch: &Embedded<'_>,
        _: Progress,
    ) -> Result<Tensor<1>, BatchError> {
        let mut losses = Vec::with_capacity(batch.outputs.len());
        for (direction, (q, k)) in batch.outputs.iter().zip(&batch.targets).enumerate() {
            let empty = ContrastiveError { name: "queue", range: "at least 1", value: 0.0 };
            let queue = memory.queue.keys(direction).ok_or(empty)?;
            losses.push(info_nce(q.clone(), k.clone(), queue, self.temperature));
        }
        let loss = Tensor::cat(losses, 0).mean();
        // Both losses come before either direction's keys enter the queue.
        memory.queue.enqueue(batch.targets.clone());
        Ok(loss)
    }
}
