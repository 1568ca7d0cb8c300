use crate::{
    ContrastiveError,
    error::{check_positive, check_size, check_weight},
    losses::barlow_twins,
    networks::{Projected, sizes, views},
};
use burn::tensor::{Device, Tensor};
use nearfar_core::{
    encoder::Encoder,
    head::HeadConfig,
    train::{BatchError, Embedded, Method, Needs, NoMemory, Progress, Staged},
};
use serde::{Deserialize, Serialize};

/// Barlow Twins (Zbontar et al., 2021): each output must agree between the views, and no two outputs may say the same.
/// No negatives, no momentum network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BarlowTwins {
    /// Weight of the redundancy between outputs, >= 0. Default 5e-3, as in the paper and solo-learn.
    pub redundancy: f64,
    /// Factor of the whole loss, > 0. Default 0.1, as in solo-learn for CIFAR-10; 0.024 in the authors' code. It moves
    /// SGD and LARS, hardly AdamW.
    pub scale: f64,
    /// Layers of the projector, at least 1. Default 3, as in the paper and solo-learn; 2 in lightly's CIFAR-10
    /// benchmark.
    pub projector_layers: usize,
    /// Hidden units of the projector, at least 1; 8192 in the paper, 2048 in solo-learn's CIFAR-10 runs. Default 256,
    /// ours for a small encoder.
    pub hidden: usize,
    /// Outputs of the projector, at least 1; as many as hidden units in paper and solo-learn. Default 256.
    pub output: usize,
}

impl Default for BarlowTwins {
    fn default() -> Self {
        Self { redundancy: 5e-3, scale: 0.1, projector_layers: 3, hidden: 256, output: 256 }
    }
}

impl BarlowTwins {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), ContrastiveError> {
        check_weight("redundancy", self.redundancy)?;
        check_positive("scale", self.scale)?;
        check_size("projector_layers", self.projector_layers)?;
        check_size("hidden", self.hidden)?;
        check_size("output", self.output)
    }
}

impl Method for BarlowTwins {
    type Model = Projected;
    type Memory = NoMemory;

    fn name(&self) -> &'static str {
        "barlow_twins"
    }

    fn needs(&self) -> Needs {
        views(2)
    }

    fn build(&self, encoder: Encoder, features: usize, seed: u64, device: &Device) -> (Projected, NoMemory) {
        let head = HeadConfig::new(sizes(features, self.hidden, self.projector_layers, self.output));
        (Projected::new(encoder, &head, seed, device), NoMemory::new())
    }

    fn staged(&self) -> Option<&dyn Staged<Projected, NoMemory>> {
        Some(self)
    }

    fn encoder<'a>(&self, model: &'a Projected) -> &'a Encoder {
        &model.encoder
    }

    fn collapsed_loss(&self, _: usize) -> Option<f64> {
        Some(self.scale * self.output as f64)
    }

    fn remedy(&self) -> &'static str {
        "no output tells images apart: lower `learning_rate` or `redundancy`"
    }
}

impl Staged<Projected, NoMemory> for BarlowTwins {
    /// Each view passes alone, as in the authors' code.
    fn embed(&self, model: &Projected, views: &[Tensor<4>]) -> Vec<Tensor<2>> {
        model.forward_each(views)
    }

    fn loss(
        &self,
        _: &Projected,
        _: &mut NoMemory,
        batch: &Embedded<'_>,
        _: Progress,
    ) -> Result<Tensor<1>, BatchError> {
        Ok(barlow_twins(batch.outputs[0].clone(), batch.outputs[1].clone(), self.redundancy).mul_scalar(self.scale))
    }
}
