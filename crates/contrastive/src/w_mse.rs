use crate::{
    ContrastiveError,
    error::{check, check_size},
    losses::w_mse,
    networks::{Projected, views},
};
use burn::tensor::{Device, Tensor};
use nearfar_core::{
    encoder::Encoder,
    head::HeadConfig,
    train::{BatchError, Embedded, Method, Needs, NoMemory, Progress, Staged},
};
use serde::{Deserialize, Serialize};

/// W-MSE (Ermolov et al., 2021): views near each other after each batch of them is whitened, which equal embeddings
/// cannot be. No negatives, no momentum network.
///
/// A batch should hold at least twice as many images as there are outputs: below, whitening mostly stretches noise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WMse {
    /// Share of the identity in the covariance, in (0, 1). Default 1e-3; the authors take 0 for CIFAR-10, where
    /// dependent outputs then have no whitening.
    pub epsilon: f64,
    /// Hidden units of the projector, at least 1; 1024 in the paper. Default 256, ours for a small encoder.
    pub hidden: usize,
    /// Outputs of the projector, at least 1. Default 64, as in the paper for CIFAR-10.
    pub output: usize,
}

impl Default for WMse {
    fn default() -> Self {
        Self { epsilon: 1e-3, hidden: 256, output: 64 }
    }
}

impl WMse {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), ContrastiveError> {
        check(self.epsilon > 0.0 && self.epsilon < 1.0, "epsilon", "in (0, 1)", self.epsilon)?;
        check_size("hidden", self.hidden)?;
        check_size("output", self.output)
    }
}

impl Method for WMse {
    type Model = Projected;
    type Memory = NoMemory;

    fn name(&self) -> &'static str {
        "w_mse"
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

    fn collapsed_loss(&self, _: usize) -> Option<f64> {
        Some(2.0)
    }

    fn remedy(&self) -> &'static str {
        "the batch is too small for the whitening: lower `output` or raise the batch size"
    }
}

impl Staged<Projected, NoMemory> for WMse {
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
        Ok(w_mse(batch.outputs[0].clone(), batch.outputs[1].clone(), self.epsilon))
    }
}
