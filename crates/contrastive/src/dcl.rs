use crate::{
    ContrastiveError,
    error::{check_positive, check_size, check_temperature},
    losses::{dcl, dclw},
    networks::{Projected, views},
};
use burn::tensor::{Device, Tensor};
use nearfar_core::{
    encoder::Encoder,
    head::HeadConfig,
    train::{BatchError, Embedded, Method, Needs, NoMemory, Progress, Staged},
};
use serde::{Deserialize, Serialize};

/// Decoupled contrastive learning (Yeh et al., 2022): SimCLR without the positive in the denominator, which matters in
/// small batches, where it takes away most of the gradient of pairs that are already near.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dcl {
    /// Temperature, > 0. Default 0.1, as in lightly and its CIFAR-10 benchmark.
    pub temperature: f64,
    /// Hidden units of the projector, at least 1. Default 256, ours for a small encoder, as in `simclr`.
    pub hidden: usize,
    /// Outputs of the projector, at least 1. Default 128, as in SimCLR.
    pub output: usize,
}

impl Default for Dcl {
    fn default() -> Self {
        Self { temperature: 0.1, hidden: 256, output: 128 }
    }
}

/// Weighted decoupled contrastive learning (the same paper): [`Dcl`] in which pairs that are far apart count more.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dclw {
    /// Temperature of the weights, > 0. Default 0.5, as in paper and lightly.
    pub sigma: f64,
    /// All else. Default that of [`Dcl`].
    pub dcl: Dcl,
}

impl Default for Dclw {
    fn default() -> Self {
        Self { sigma: 0.5, dcl: Dcl::default() }
    }
}

impl Dcl {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), ContrastiveError> {
        check_temperature(self.temperature)?;
        check_size("hidden", self.hidden)?;
        check_size("output", self.output)
    }
}

impl Dclw {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), ContrastiveError> {
        check_positive("sigma", self.sigma)?;
        self.dcl.validate()
    }
}

impl Method for Dcl {
    type Model = Projected;
    type Memory = NoMemory;

    fn name(&self) -> &'static str {
        "dcl"
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
        Some((2.0 * n as f64 - 2.0).ln())
    }

    fn remedy(&self) -> &'static str {
        "the views may have nothing in common: lower `learning_rate` or `temperature`, or crop less"
    }
}

impl Staged<Projected, NoMemory> for Dcl {
    /// One pass over both views, as in SimCLR.
    fn embed(&self, model: &Projected, views: &[Tensor<4>]) -> Vec<Tensor<2>> {
        model.forward_together(views)
    }

    fn loss(
        &self,
        _: &Projected,
        _: &mut NoMemory,
        batch: &Embedded<'_>,
        _: Progress,
    ) -> Result<Tensor<1>, BatchError> {
        Ok(dcl(batch.outputs[0].clone(), batch.outputs[1].clone(), self.temperature))
    }
}

impl Method for Dclw {
    type Model = Projected;
    type Memory = NoMemory;

    fn name(&self) -> &'static str {
        "dclw"
    }

    fn needs(&self) -> Needs {
        self.dcl.needs()
    }

    fn build(&self, encoder: Encoder, features: usize, seed: u64, device: &Device) -> (Projected, NoMemory) {
        self.dcl.build(encoder, features, seed, device)
    }

    fn staged(&self) -> Option<&dyn Staged<Projected, NoMemory>> {
        Some(self)
    }

    fn encoder<'a>(&self, model: &'a Projected) -> &'a Encoder {
        self.dcl.encoder(model)
    }

    fn collapsed_loss(&self, n: usize) -> Option<f64> {
        self.dcl.collapsed_loss(n)
    }

    fn remedy(&self) -> &'static str {
        self.dcl.remedy()
    }
}

impl Staged<Projected, NoMemory> for Dclw {
    fn embed(&self, model: &Projected, views: &[Tensor<4>]) -> Vec<Tensor<2>> {
        self.dcl.embed(model, views)
    }

    fn loss(
        &self,
        _: &Projected,
        _: &mut NoMemory,
        batch: &Embedded<'_>,
        _: Progress,
    ) -> Result<Tensor<1>, BatchError> {
        Ok(dclw(batch.outputs[0].clone(), batch.outputs[1].clone(), self.dcl.temperature, self.sigma))
    }
}
