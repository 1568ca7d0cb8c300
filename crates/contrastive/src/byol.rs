use crate::{
    ContrastiveError,
    error::{check_momentum, check_size},
    losses::byol_regression,
    networks::{Predicting, Projected, views},
};
use burn::tensor::{Device, Tensor};
use nearfar_core::{
    encoder::Encoder,
    head::HeadConfig,
    momentum::{cosine_momentum, momentum_copy, update},
    train::{Batch, BatchError, Method, Needs, Objective, Progress},
};
use serde::{Deserialize, Serialize};

/// BYOL (Grill et al., 2020): an online network predicts what a momentum network makes of the other view. No
/// negatives; the predictor and the momentum network keep it from collapsing.
///
/// Both directions are added, as in the paper (in [0, 8]). The target moves after the optimiser's step, its momentum
/// rising to 1 along a cosine. It starts as a copy of the online network (the authors draw it anew).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Byol {
    /// Momentum of the target at the start, in [0, 1]. Default 0.97. The authors take 0.996 for 1,000 epochs, 0.99 for
    /// 100 to 300 and 0.97 for 40: the shorter the run, the lower.
    pub momentum: f64,
    /// Hidden units of projector and predictor, at least 1; 4096 behind a ResNet-50. Default 256.
    pub hidden: usize,
    /// Outputs of projector and predictor, at least 1; 256 in the paper. Default 128.
    pub output: usize,
}

impl Default for Byol {
    fn default() -> Self {
        Self { momentum: 0.97, hidden: 256, output: 128 }
    }
}

impl Byol {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), ContrastiveError> {
        check_momentum("momentum", self.momentum)?;
        check_size("hidden", self.hidden)?;
        check_size("output", self.output)
    }
}

impl Method for Byol {
    type Model = Predicting;
    /// The target network.
    type Memory = Projected;

    fn name(&self) -> &'static str {
        "byol"
    }

    fn needs(&self) -> Needs {
        views(2)
    }

    fn build(&self, encoder: Encoder, features: usize, seed: u64, device: &Device) -> (Predicting, Projected) {
        let online = Projected::new(encoder, &HeadConfig::new([features, self.hidden, self.output]), seed, device);
        let target = momentum_copy(&online);
        let predictor = HeadConfig::new([self.output, self.hidden, self.output]);
        (Predicting::new(online, &predictor, seed, device), target)
    }

    fn objective(
        &self,
        model: &Predicting,
        target: &mut Projected,
        batch: &Batch,
        _: Progress,
    ) -> Result<Objective, BatchError> {
        // Each view passes alone: batch norm must not let the views see each other.
        let projections = model.online.forward_each(&batch.views);
        let predictions = model.predict_each(&projections);
        let targets = target.targets(&batch.views);
        let loss = byol_regression(predictions[0].clone(), targets[1].clone())
            + byol_regression(predictions[1].clone(), targets[0].clone());
        Ok(Objective { loss, embedding: Tensor::cat(projections, 0) })
    }

    fn after_step(&self, model: &Predicting, target: Projected, at: Progress) -> Projected {
        update(target, &model.online, cosine_momentum(self.momentum, at.step, at.steps))
    }

    fn encoder<'a>(&self, model: &'a Predicting) -> &'a Encoder {
        &model.online.encoder
    }

    fn collapsed_loss(&self, _: usize) -> Option<f64> {
        Some(0.0)
    }

    fn remedy(&self) -> &'static str {
        "the predictor follows too slowly or the target too fast: raise `momentum` or lower `learning_rate`"
    }

    fn compares_batch(&self) -> bool {
        false
    }
}
