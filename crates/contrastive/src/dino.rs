use crate::{
    ContrastiveError, Course, TemperatureSchedule,
    error::{check_momentum, check_share, check_size, check_small_crops, check_temperature},
    losses::{dino, dino_center},
    networks::{Constant, Projected, Prototyped, scores, sizes, views},
};
use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use nearfar_core::{
    augment::SmallCrops,
    encoder::Encoder,
    head::HeadConfig,
    momentum::{cosine_momentum, momentum_copy, update},
    train::{BatchError, Embedded, Method, Needs, Progress, Staged},
};
use serde::{Deserialize, Serialize};

/// DINO (Caron et al., 2021): a student must give other views the distribution over its outputs that a momentum teacher
/// gives one view. Centring and sharpening of the teacher keep it from collapsing.
///
/// The last layer has unit columns and unit inputs, as the authors' weight-normalised one; the head has ReLU and batch
/// norm where their vision transformer's has GELU and none. The teacher moves after the step, its momentum rising to 1
/// along a cosine. Its two views are those of all methods; small crops come on top, and the student alone sees them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dino {
    /// Temperature of the student, > 0. Default 0.1, as in the paper.
    pub temperature: f64,
    /// Temperature of the teacher: from 0.04 to 0.07 over the first 30 epochs in the paper, 50 of 1,000 in solo-learn.
    /// Default from 0.04 to 0.07 over 0.3 of the run.
    pub teacher_temperature: TemperatureSchedule,
    /// Share of the old center that stays, in [0, 1]. Default 0.9, as in the paper.
    pub center_momentum: f64,
    /// Momentum of the teacher at the start, in [0, 1]; 0.996 in the paper, 0.9995 in solo-learn's 1,000 epochs, 0.99
    /// throughout in lightly's CIFAR-10 benchmark. The shorter the run, the lower. Default 0.99.
    pub momentum: f64,
    /// Share of the run, in [0, 1], during which the last layer stays as it is; the first epoch in the paper. Default
    /// 0.01.
    pub frozen: f64,
    /// Small crops. The paper has 8 of 96 pixels beside two views of 224, of 0.05 to 0.4 of the area, half of them
    /// blurred, where the two views have 0.4 to 1 of it; lightly's and solo-learn's CIFAR-10 runs have none, as here.
    pub small_crops: SmallCrops,
    /// Outputs, at least 1; 65,536 in the paper, 4,096 in solo-learn's CIFAR-10 runs, 2,048 in lightly's. Default 1024,
    /// ours for small data.
    pub prototypes: usize,
    /// Layers of the projector, at least 1. Default 3, as in the paper; 2 in lightly's CIFAR-10 benchmark.
    pub projector_layers: usize,
    /// Hidden units of the head, at least 1; 2048 in the paper. Default 256, ours for a small encoder.
    pub hidden: usize,
    /// Inputs of the last layer, at least 1; 256 in the paper. Default 64, ours for a small encoder.
    pub output: usize,
}

impl Default for Dino {
    fn default() -> Self {
        Self {
            temperature: 0.1,
            teacher_temperature: TemperatureSchedule { start: 0.04, end: 0.07, course: Course::Linear, share: 0.3 },
            center_momentum: 0.9,
            momentum: 0.99,
            frozen: 0.01,
            small_crops: SmallCrops { count: 0, scale: (0.05, 0.4), size: 0.43, blur: Some(0.5) },
            prototypes: 1024,
            projector_layers: 3,
            hidden: 256,
            output: 64,
        }
    }
}

impl Dino {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), ContrastiveError> {
        check_temperature(self.temperature)?;
        self.teacher_temperature.validate()?;
        check_momentum("center_momentum", self.center_momentum)?;
        check_momentum("momentum", self.momentum)?;
        check_share("frozen", self.frozen)?;
        check_small_crops(&self.small_crops)?;
        check_size("prototypes", self.prototypes)?;
        check_size("projector_layers", self.projector_layers)?;
        check_size("hidden", self.hidden)?;
        check_size("output", self.output)
    }
}

/// Views that the teacher sees: those of the image's own size.
const TAUGHT: usize = 2;

/// What DINO keeps between steps.
#[derive(Module, Debug)]
pub struct DinoMemory {
    teacher: Prototyped,
    center: Constant,
}

impl Method for Dino {
    type Model = Prototyped;
    type Memory = DinoMemory;

    fn name(&self) -> &'static str {
        "dino"
    }

    fn needs(&self) -> Needs {
        views(TAUGHT + self.small_crops.count)
    }

    fn small_crops(&self) -> Option<SmallCrops> {
        Some(self.small_crops)
    }

    fn build(&self, encoder: Encoder, features: usize, seed: u64, device: &Device) -> (Prototyped, DinoMemory) {
        let head = HeadConfig::new(sizes(features, self.hidden, self.projector_layers, self.output));
        let network = Projected::new(encoder, &head, seed, device);
        let student = Prototyped::new(network, self.output, self.prototypes, seed, device);
        let teacher = momentum_copy(&student);
        let center = Constant::new(Tensor::zeros([1, self.prototypes], device));
        (student, DinoMemory { teacher, center })
    }

    fn staged(&self) -> Option<&dyn Staged<Prototyped, DinoMemory>> {
        Some(self)
    }

    fn after_step(&self, student: &Prototyped, mut memory: DinoMemory, at: Progress) -> DinoMemory {
        memory.teacher = update(memory.teacher, student, cosine_momentum(self.momentum, at.step, at.steps));
        memory
    }

    fn encoder<'a>(&self, model: &'a Prototyped) -> &'a Encoder {
        &model.network.encoder
    }

    fn collapsed_loss(&self, _: usize) -> Option<f64> {
        Some((self.prototypes as f64).ln())
    }

    fn remedy(&self) -> &'static str {
        "the teacher is too flat or too fast: lower `teacher_temperature.end`, raise `momentum`, or lower `learning_rate`"
    }
}

impl Staged<Prototyped, DinoMemory> for Dino {
    fn embed(&self, student: &Prototyped, views: &[Tensor<4>]) -> Vec<Tensor<2>> {
        student.embed(views)
    }

    /// The teacher's embeddings, which are smaller than its distributions.
    fn targets(&self, memory: &DinoMemory, views: &[Tensor<4>], _: Progress) -> Vec<Tensor<2>> {
        memory.teacher.embed(&views[..TAUGHT])
    }

    fn loss(
        &self,
        student: &Prototyped,
        memory: &mut DinoMemory,
        batch: &Embedded<'_>,
        at: Progress,
    ) -> Result<Tensor<1>, BatchError> {
        let frozen = (at.step as f64) < self.frozen * at.steps as f64;
        let seen = scores(&batch.outputs, &student.prototypes(frozen)); // [n, prototypes] each
        let taught = scores(&batch.targets, &memory.teacher.prototypes(true)); // [n, prototypes] each
        let center = memory.center.value(); // [1, prototypes]
        let loss = dino(&seen, &taught, center.clone(), self.temperature, self.teacher_temperature.at(at));
        memory.center.set(dino_center(center, &taught, self.center_momentum));
        Ok(loss)
    }
}
