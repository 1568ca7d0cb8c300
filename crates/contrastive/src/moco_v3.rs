use crate::{
    ContrastiveError,
    error::{check_momentum, check_size, check_temperature},
    losses::moco_v3,
    networks::{Predicting, Projected, views},
};
use burn::tensor::{Device, Tensor};
use nearfar_core::{
    encoder::Encoder,
    head::{HeadConfig, OutputNorm},
    momentum::{cosine_momentum, momentum_copy, update},
    train::{BatchError, Embedded, Method, Needs, Progress, Staged},
};
use serde::{Deserialize, Serialize};

/// MoCo v3 (Chen, Xie and He, 2021): MoCo with the batch in place of the queue and with BYOL's predictor.
///
/// Both directions are added. The momentum network moves before it makes its keys, along BYOL's cosine, as in the
/// authors' code.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MocoV3 {
    /// Temperature, > 0. Default 0.2, as in solo-learn's CIFAR-10 runs; 1 for the paper's ResNet-50.
    pub temperature: f64,
    /// Momentum of the key network at the start, in [0, 1]. Default 0.99, as in paper and solo-learn.
    pub momentum: f64,
    /// Hidden units of projector and predictor, at least 1; 4096 behind a ResNet-50. Default 256, ours for a small
    /// encoder.
    pub hidden: usize,
    /// Outputs of projector and predictor, at least 1; 256 in the paper. Default 128.
    pub output: usize,
}

impl Default for MocoV3 {
    fn default() -> Self {
        Self { temperature: 0.2, momentum: 0.99, hidden: 256, output: 128 }
    }
}

impl MocoV3 {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), ContrastiveError> {
        check_temperature(self.temperature)?;
        check_momentum("momentum", self.momentum)?;
        check_size("hidden", self.hidden)?;
        check_size("output", self.output)
    }
}

impl Method for MocoV3 {
    type Model = Predicting;
    type Memory = Projected;

    fn name(&self) -> &'static str {
        "moco_v3"
    }

    fn needs(&self) -> Needs {
        views(2)
    }

    fn build(&self, encoder: Encoder, features: usize, seed: u64, device: &Device) -> (Predicting, Projected) {
        // Batch norm behind every layer of the projector, the last without learnt scale and shift.
        let projector = HeadConfig::new([features, self.hidden, self.output]).output_norm(OutputNorm::Plain);
        let online = Projected::new(encoder, &projector, seed, device);
        let key = momentum_copy(&online);
        let predictor = HeadConfig::new([self.output, self.hidden, self.output]);
        (Predicting::new(online, &predictor, seed, device), key)
    }

    fn staged(&self) -> Option<&dyn Staged<Predicting, Projected>> {
        Some(self)
    }

    fn encoder<'a>(&self, model: &'a Predicting) -> &'a Encoder {
        &model.online.encoder
    }

    fn collapsed_loss(&self, n: usize) -> Option<f64> {
        Some(4.0 * self.temperature * (n as f64).ln())
    }

    fn remedy(&self) -> &'static str {
        "queries and keys may drift apart: raise `momentum` or lower `learning_rate`"
    }
}

impl Staged<Predicting, Projected> for MocoV3 {
    fn prepare(&self, model: &Predicting, key: &mut Projected, at: Progress) {
        *key = update(key.clone(), &model.online, cosine_momentum(self.momentum, at.step, at.steps));
    }

    fn embed(&self, model: &Predicting, views: &[Tensor<4>]) -> Vec<Tensor<2>> {
        model.online.forward_each(views)
    }

    fn targets(&self, key: &Projected, views: &[Tensor<4>], _: Progress) -> Vec<Tensor<2>> {
        key.targets(views)
    }

    fn loss(
        &self,
        model: &Predicting,
        _: &mut Projected,
        batch: &Embedded<'_>,
        _: Progress,
    ) -> Result<Tensor<1>, BatchError> {
        let q = model.predict_each(&batch.outputs); // [n, output] each
        let k = &batch.targets;
        Ok(moco_v3(q[0].clone(), k[1].clone(), self.temperature)
            + moco_v3(q[1].clone(), k[0].clone(), self.temperature))
    }
}
