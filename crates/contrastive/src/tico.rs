use crate::{
    ContrastiveError,
    error::{check_momentum, check_size, check_weight},
    losses::{tico, tico_covariance},
    networks::{Constant, Projected, views},
};
use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use nearfar_core::{
    encoder::Encoder,
    head::HeadConfig,
    momentum::{cosine_momentum, momentum_copy, update},
    train::{BatchError, Embedded, Method, Needs, Progress, Staged},
};
use serde::{Deserialize, Serialize};

/// TiCo (Zhu et al., 2022): views near each other, embeddings kept out of the directions that recent batches fill. Read
/// as a queue of negatives of unlimited length that is stored as one matrix.
///
/// One direction: the first view is trained, the second seen by the momentum network, which moves before, as in
/// lightly.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TiCo {
    /// Weight of the covariance term, >= 0. Default 8, as in lightly.
    pub rho: f64,
    /// Share of the old covariance that stays, in [0, 1]. Default 0.9, as in lightly.
    pub beta: f64,
    /// Momentum of the second network at the start, in [0, 1]; 0.996 in lightly, rising to 1 along a cosine. The
    /// shorter the run, the lower. Default 0.99.
    pub momentum: f64,
    /// Hidden units of the projector, at least 1; 4096 in lightly behind a ResNet-50. Default 256, ours for a small
    /// encoder.
    pub hidden: usize,
    /// Outputs of the projector, at least 1; 256 in lightly. Default 128.
    pub output: usize,
}

impl Default for TiCo {
    fn default() -> Self {
        Self { rho: 8.0, beta: 0.9, momentum: 0.99, hidden: 256, output: 128 }
    }
}

impl TiCo {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), ContrastiveError> {
        check_weight("rho", self.rho)?;
        check_momentum("beta", self.beta)?;
        check_momentum("momentum", self.momentum)?;
        check_size("hidden", self.hidden)?;
        check_size("output", self.output)
    }
}

/// What TiCo keeps between steps.
#[derive(Module, Debug)]
pub struct TiCoMemory {
    target: Projected,
    covariance: Constant,
}

impl Method for TiCo {
    type Model = Projected;
    type Memory = TiCoMemory;

    fn name(&self) -> &'static str {
        "tico"
    }

    fn needs(&self) -> Needs {
        views(2)
    }

    fn build(&self, encoder: Encoder, features: usize, seed: u64, device: &Device) -> (Projected, TiCoMemory) {
        let model = Projected::new(encoder, &HeadConfig::new([features, self.hidden, self.output]), seed, device);
        let target = momentum_copy(&model);
        let covariance = Constant::new(Tensor::zeros([self.output, self.output], device));
        (model, TiCoMemory { target, covariance })
    }

    fn staged(&self) -> Option<&dyn Staged<Projected, TiCoMemory>> {
        Some(self)
    }

    fn encoder<'a>(&self, model: &'a Projected) -> &'a Encoder {
        &model.encoder
    }

    fn collapsed_loss(&self, _: usize) -> Option<f64> {
        Some(self.rho)
    }

    fn remedy(&self) -> &'static str {
        "the covariance term is too weak: raise `rho` or lower `learning_rate`"
    }
}

impl Staged<Projected, TiCoMemory> for TiCo {
    fn prepare(&self, model: &Projected, memory: &mut TiCoMemory, at: Progress) {
        memory.target = update(memory.target.clone(), model, cosine_momentum(self.momentum, at.step, at.steps));
    }

    fn embed(&self, model: &Projected, views: &[Tensor<4>]) -> Vec<Tensor<2>> {
        model.forward_each(&views[..1])
    }

    fn targets(&self, memory: &TiCoMemory, views: &[Tensor<4>], _: Progress) -> Vec<Tensor<2>> {
        memory.target.targets(&views[1..2])
    }

    fn loss(
        &self,
        _: &Projected,
        memory: &mut TiCoMemory,
        batch: &Embedded<'_>,
        _: Progress,
    ) -> Result<Tensor<1>, BatchError> {
        let (z, target) = (batch.outputs[0].clone(), batch.targets[0].clone()); // [n, output] each
        let covariance = tico_covariance(memory.covariance.value(), z.clone(), self.beta); // [output, output]
        memory.covariance.set(covariance.clone());
        Ok(tico(z, target, covariance, self.rho))
    }
}
