use crate::{
    ContrastiveError,
    error::check_size,
    losses::negative_cosine,
    networks::{Predicting, Projected, sizes, views},
};
use burn::tensor::{Device, Tensor};
use nearfar_core::{
    encoder::Encoder,
    head::{HeadConfig, OutputNorm},
    train::{Batch, BatchError, Method, Needs, NoMemory, Objective, Progress},
};
use serde::{Deserialize, Serialize};

/// SimSiam (Chen and He, 2021): a predictor on one view's projection, a stop-gradient on the other's. No negatives,
/// no momentum encoder.
///
/// The predictor's learning rate stays constant, as in the paper.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimSiam {
    /// Units of the projector's layers and its outputs, at least 1; 2048 in the paper. Default 256.
    pub output: usize,
    /// Layers of the projector, at least 1. Default 2, as for CIFAR (appendix D); 3 on ImageNet.
    pub projector_layers: usize,
    /// Hidden units of the predictor, at least 1. Default 64: a quarter of the outputs, as in the paper.
    pub bottleneck: usize,
}

impl Default for SimSiam {
    fn default() -> Self {
        Self { output: 256, projector_layers: 2, bottleneck: 64 }
    }
}

impl SimSiam {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), ContrastiveError> {
        check_size("output", self.output)?;
        check_size("projector_layers", self.projector_layers)?;
        check_size("bottleneck", self.bottleneck)
    }

    /// The three networks, FastSiam's too.
    pub(crate) fn networks(&self, encoder: Encoder, features: usize, seed: u64, device: &Device) -> Predicting {
        let sizes = sizes(features, self.output, self.projector_layers, self.output);
        // Batch norm behind every layer, the last without learnt scale and shift.
        let projector = HeadConfig::new(sizes).output_norm(OutputNorm::Plain);
        let predictor = HeadConfig::new([self.output, self.bottleneck, self.output]);
        Predicting::new(Projected::new(encoder, &projector, seed, device), &predictor, seed, device)
    }
}

impl Method for SimSiam {
    type Model = Predicting;
    type Memory = NoMemory;

    fn name(&self) -> &'static str {
        "simsiam"
    }

    fn needs(&self) -> Needs {
        views(2)
    }

    fn build(&self, encoder: Encoder, features: usize, seed: u64, device: &Device) -> (Predicting, NoMemory) {
        (self.networks(encoder, features, seed, device), NoMemory::new())
    }

    fn objective(
        &self,
        model: &Predicting,
        _: &mut NoMemory,
        batch: &Batch,
        _: Progress,
    ) -> Result<Objective, BatchError> {
        // Each view passes alone, as in the authors' code.
        let z = model.online.forward_each(&batch.views);
        let p = model.predict_each(&z);
        let loss = (negative_cosine(p[0].clone(), z[1].clone().detach())
            + negative_cosine(p[1].clone(), z[0].clone().detach()))
        .div_scalar(2.0);
        Ok(Objective { loss, embedding: Tensor::cat(z, 0) })
    }

    fn encoder<'a>(&self, model: &'a Predicting) -> &'a Encoder {
        &model.online.encoder
    }

    fn constant_rate(&self) -> &'static [&'static str] {
        &["predictor"]
    }

    fn collapsed_loss(&self, _: usize) -> Option<f64> {
        Some(-1.0)
    }

    fn remedy(&self) -> &'static str {
        "the predictor may be too slow: lower `learning_rate`, or set `projector_layers` to 3"
    }

    fn compares_batch(&self) -> bool {
        false
    }
}
