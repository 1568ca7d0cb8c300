use crate::{
    ContrastiveError, TemperatureSchedule,
    error::{check_size, check_temperature},
    losses::nt_xent,
    networks::{Projected, views},
};
use burn::tensor::{Device, Tensor};
use nearfar_core::{
    encoder::Encoder,
    head::HeadConfig,
    train::{BatchError, Embedded, Method, Needs, NoMemory, Progress, Staged},
};
use serde::{Deserialize, Serialize};

/// SimCLR (Chen et al., 2020): two views of every image pass encoder and projector together; each must find its
/// partner among all other views of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimClr {
    /// Temperature, > 0. Default 0.2, as in solo-learn; the paper's best is 0.1 on ImageNet and 0.5 on CIFAR-10.
    pub temperature: f64,
    /// A course of the temperature over the run in its place. Default none, as in the paper.
    pub schedule: Option<TemperatureSchedule>,
    /// Hidden units of the projector, at least 1. Default 256, ours for a small encoder; 2048 behind the paper's
    /// ResNet-50, 512 in lightly's CIFAR-10 benchmark.
    pub hidden: usize,
    /// Outputs of the projector, at least 1. Default 128, as in the paper.
    pub output: usize,
}

impl Default for SimClr {
    fn default() -> Self {
        Self { temperature: 0.2, schedule: None, hidden: 256, output: 128 }
    }
}

impl SimClr {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), ContrastiveError> {
        check_temperature(self.temperature)?;
        self.schedule.iter().try_for_each(TemperatureSchedule::validate)?;
        check_size("hidden", self.hidden)?;
        check_size("output", self.output)
    }
}

impl Method for SimClr {
    type Model = Projected;
    type Memory = NoMemory;

    fn name(&self) -> &'static str {
        "simclr"
    }

    fn needs(&self) -> Needs {
        views(2)
    }

    fn build(&self, encoder: Encoder, features: usize, seed: u64, device: &Device) -> (Projected, NoMemory) {
        let head = HeadConfig::new([features, self.hidden, self.output]);
        (Projected::new(encoder, &head, seed, device), NoMemory::new())
    }

    fn staged(&self) -> Option<&dyn Staged<Projected, NoMemory>> {
        Some(self)
    }

    fn encoder<'a>(&self, model: &'a Projected) -> &'a Encoder {
        &model.encoder
    }

    fn collapsed_loss(&self, n: usize) -> Option<f64> {
        Some((2.0 * n as f64 - 1.0).ln())
    }

    fn remedy(&self) -> &'static str {
        "the views may have nothing in common: lower `learning_rate` or `temperature`, or crop less"
    }
}

impl Staged<Projected, NoMemory> for SimClr {
    /// One pass over both views: batch norm sees them together, as in the paper.
    fn embed(&self, model: &Projected, views: &[Tensor<4>]) -> Vec<Tensor<2>> {
        model.forward_together(views)
    }

    fn loss(
        &self,
        _: &Projected,
        _: &mut NoMemory,
        batch: &Embedded<'_>,
        at: Progress,
    ) -> Result<Tensor<1>, BatchError> {
        let temperature = self.schedule.map_or(self.temperature, |s| s.at(at));
        Ok(nt_xent(batch.outputs[0].clone(), batch.outputs[1].clone(), temperature))
    }
}
