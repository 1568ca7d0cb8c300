use crate::{
    ContrastiveError,
    error::{check_size, check_weight},
    losses::{VicRegWeights, vicreg},
    networks::{Projected, sizes, views},
};
use burn::tensor::{Device, Tensor};
use nearfar_core::{
    encoder::Encoder,
    head::HeadConfig,
    train::{BatchError, Embedded, Method, Needs, NoMemory, Progress, Staged},
};
use serde::{Deserialize, Serialize};

/// VICReg (Bardes, Ponce and LeCun, 2022): views near each other, every output spread over the batch, outputs
/// uncorrelated. No negatives, no normalisation, no momentum network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VicReg {
    /// Weights of the three terms. Default 25, 25 and 1, as in the paper and solo-learn.
    pub weights: VicRegWeights,
    /// Layers of the projector, at least 1. Default 3, as in the paper and solo-learn.
    pub projector_layers: usize,
    /// Hidden units of the projector, at least 1; 8192 in the paper, 2048 in solo-learn's CIFAR-10 runs. Default 256,
    /// ours for a small encoder.
    pub hidden: usize,
    /// Outputs of the projector, at least 1; as many as hidden units in paper and solo-learn. Default 256.
    pub output: usize,
}

impl Default for VicReg {
    fn default() -> Self {
        Self { weights: VicRegWeights::default(), projector_layers: 3, hidden: 256, output: 256 }
    }
}

impl VicReg {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), ContrastiveError> {
        check_weight("weights.invariance", self.weights.invariance)?;
        check_weight("weights.variance", self.weights.variance)?;
        check_weight("weights.covariance", self.weights.covariance)?;
        check_size("projector_layers", self.projector_layers)?;
        check_size("hidden", self.hidden)?;
        check_size("output", self.output)
    }
}

impl Method for VicReg {
    type Model = Projected;
    type Memory = NoMemory;

    fn name(&self) -> &'static str {
        "vicreg"
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
        Some(self.weights.variance * (1.0 - 1e-4f64.sqrt()))
    }

    fn remedy(&self) -> &'static str {
        "the variance term is too weak: raise `weights.variance` or lower `learning_rate`"
    }
}

impl Staged<Projected, NoMemory> for VicReg {
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
        Ok(vicreg(batch.outputs[0].clone(), batch.outputs[1].clone(), self.weights))
    }
}
