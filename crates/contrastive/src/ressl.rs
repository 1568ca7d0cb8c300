use crate::{
    ContrastiveError, Queue,
    error::{check, check_momentum, check_size, check_temperature},
    losses::ressl,
    networks::{Projected, momentum_at, views},
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

/// ReSSL (Zheng et al., 2021): a student must see the same similarities to a queue of other images as a momentum
/// teacher does. Images are not forced apart, only their relations kept.
///
/// The student sees the first view and the teacher the second; the paper gives the teacher the weaker augmentation.
/// The teacher moves before it makes its keys.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReSsl {
    /// Temperature of the student, > 0. Default 0.1, as in the authors' code and solo-learn.
    pub temperature: f64,
    /// Temperature of the teacher, > 0 and below the student's. Default 0.04, as in the authors' code and solo-learn.
    pub teacher_temperature: f64,
    /// Momentum of the teacher at the start, in [0, 1]. Default 0.99, as in the authors' code for small data and in
    /// solo-learn; 0.999 in their code for ImageNet.
    pub momentum: f64,
    /// Whether the momentum rises to 1 along BYOL's cosine (solo-learn) or stays (the authors' code). Default false: it
    /// stays.
    pub momentum_schedule: bool,
    /// Keys in the queue, at least 1. Default 4,096, as in the authors' code for small data; 131,072 in that for
    /// ImageNet, 65,536 in solo-learn.
    pub queue: usize,
    /// Hidden units of the projector, at least 1; 4096 in solo-learn's CIFAR-10 run. Default 256, ours for a small
    /// encoder.
    pub hidden: usize,
    /// Outputs of the projector, at least 1; 512 in the authors' code for ImageNet, 256 in solo-learn. Default 128,
    /// ours for a small encoder.
    pub output: usize,
}

impl Default for ReSsl {
    fn default() -> Self {
        Self {
            temperature: 0.1,
            teacher_temperature: 0.04,
            momentum: 0.99,
            momentum_schedule: false,
            queue: 4096,
            hidden: 256,
            output: 128,
        }
    }
}

impl ReSsl {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), ContrastiveError> {
        check_temperature(self.temperature)?;
        let teacher = self.teacher_temperature;
        let sharper = teacher > 0.0 && teacher < self.temperature;
        check(sharper, "teacher_temperature", "above 0 and below `temperature`", teacher)?;
        check_momentum("momentum", self.momentum)?;
        check_size("queue", self.queue)?;
        check_size("hidden", self.hidden)?;
        check_size("output", self.output)
    }
}

/// What ReSSL keeps between steps.
#[derive(Module, Debug)]
pub struct ReSslMemory {
    teacher: Projected,
    queue: Queue,
}

impl Method for ReSsl {
    type Model = Projected;
    type Memory = ReSslMemory;

    fn name(&self) -> &'static str {
        "ressl"
    }

    fn needs(&self) -> Needs {
        views(2)
    }

    fn build(&self, encoder: Encoder, features: usize, seed: u64, device: &Device) -> (Projected, ReSslMemory) {
        let model = Projected::new(encoder, &HeadConfig::new([features, self.hidden, self.output]), seed, device);
        let teacher = momentum_copy(&model);
        (model, ReSslMemory { teacher, queue: Queue::new(self.queue, self.output, seed, device) })
    }

    fn staged(&self) -> Option<&dyn Staged<Projected, ReSslMemory>> {
        Some(self)
    }

    fn encoder<'a>(&self, model: &'a Projected) -> &'a Encoder {
        &model.encoder
    }

    fn collapsed_loss(&self, _: usize) -> Option<f64> {
        Some((self.queue as f64).ln())
    }

    fn remedy(&self) -> &'static str {
        "the teacher sees no differences: lower `teacher_temperature` or `learning_rate`"
    }
}

impl Staged<Projected, ReSslMemory> for ReSsl {
    fn prepare(&self, model: &Projected, memory: &mut ReSslMemory, at: Progress) {
        let momentum = momentum_at(self.momentum, self.momentum_schedule, at);
        memory.teacher = update(memory.teacher.clone(), model, momentum);
    }

    fn embed(&self, model: &Projected, views: &[Tensor<4>]) -> Vec<Tensor<2>> {
        model.forward_each(&views[..1])
    }

    fn targets(&self, memory: &ReSslMemory, views: &[Tensor<4>], _: Progress) -> Vec<Tensor<2>> {
        memory.teacher.targets(&views[1..2]).into_iter().map(normalize_rows).collect()
    }

    fn loss(
        &self,
        _: &Projected,
        memory: &mut ReSslMemory,
        batch: &Embedded<'_>,
        _: Progress,
    ) -> Result<Tensor<1>, BatchError> {
        let (q, k) = (batch.outputs[0].clone(), batch.targets[0].clone()); // [n, output] each
        let loss = ressl(q, k.clone(), memory.queue.keys(), self.temperature, self.teacher_temperature);
        memory.queue.enqueue(k);
        Ok(loss)
    }
}
