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
    train::{Batch, Method, Needs, NoMemory, Objective, Progress},
};
use serde::{Deserialize, Serialize};

/// Decoupled contrastive learning (Yeh et al., 2022): SimCLR without the positive in the denominator, which matters in
/// small batches, where it takes away most of the gradient of pairs that are already near.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dcl {
    /// Temperature, > 0; 0.1 in lightly and its CIFAR-10 benchmark.
    pub temperature: f64,
    /// Hidden units of the projector; ours for a small encoder, as in `simclr`.
    pub hidden: usize,
    /// Outputs of the projector; 128 in SimCLR.
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
    /// Temperature of the weights, > 0; 0.5 in paper and lightly.
    pub sigma: f64,
    /// All else, as in `dcl`.
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

    /// One pass over both views, as in SimCLR, and `loss` of the two embeddings `[n, output]`.
    fn compared(model: &Projected, batch: &Batch, loss: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<1>) -> Objective {
        let n = batch.len();
        let z = model.forward_together(&batch.views); // [2n, output]
        let (a, b) = (z.clone().narrow(0, 0, n), z.clone().narrow(0, n, n));
        Objective { loss: loss(a, b), embedding: z }
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

    fn objective(&self, model: &Projected, _: &mut NoMemory, batch: &Batch, _: Progress) -> Objective {
        Self::compared(model, batch, |a, b| dcl(a, b, self.temperature))
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

    fn objective(&self, model: &Projected, _: &mut NoMemory, batch: &Batch, _: Progress) -> Objective {
        Dcl::compared(model, batch, |a, b| dclw(a, b, self.dcl.temperature, self.sigma))
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
