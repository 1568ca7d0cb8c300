use crate::{ContrastiveError, error::check_size, losses::negative_cosine};
use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use nearfar_core::{
    encoder::Encoder,
    head::{Head, HeadConfig, OutputNorm},
    init,
    train::{Batch, Method, Needs, NoMemory, Objective, Progress, Sampling},
};
use serde::{Deserialize, Serialize};

/// SimSiam (Chen and He, 2021): a predictor on one view's projection, a stop-gradient on the other's. No negatives,
/// no momentum encoder.
///
/// The predictor's learning rate stays constant, as in the paper.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimSiam {
    /// Units of the projector's layers and its outputs; 2048 in the paper.
    pub output: usize,
    /// Layers of the projector; 3 on ImageNet, 2 on CIFAR (appendix D).
    pub projector_layers: usize,
    /// Hidden units of the predictor, a quarter of the outputs in the paper.
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
}

/// Encoder, projector and predictor.
#[derive(Module, Debug)]
pub struct SimSiamModel {
    encoder: Encoder,
    projector: Head,
    predictor: Head,
}

impl Method for SimSiam {
    type Model = SimSiamModel;
    type Memory = NoMemory;

    fn name(&self) -> &'static str {
        "simsiam"
    }

    fn needs(&self) -> Needs {
        Needs { views: 2, labels: false, sampling: Sampling::Shuffled }
    }

    fn build(&self, encoder: Encoder, features: usize, seed: u64, device: &Device) -> (SimSiamModel, NoMemory) {
        let mut sizes = vec![features];
        sizes.resize(1 + self.projector_layers, self.output);
        // Batch norm behind every layer, the last without learnt scale and shift.
        let projector = HeadConfig::new(sizes).output_norm(OutputNorm::Plain).init(device);
        let predictor = HeadConfig::new([self.output, self.bottleneck, self.output]).init(device);
        let model = SimSiamModel {
            encoder,
            projector: init::seeded(projector, seed),
            predictor: init::seeded(predictor, seed.wrapping_add(1)),
        };
        (model, NoMemory::new())
    }

    fn objective(&self, model: &SimSiamModel, _: &mut NoMemory, batch: &Batch, _: Progress) -> Objective {
        // Each view passes alone, as in the authors' code.
        let z =
            batch.views.iter().map(|v| model.projector.forward(model.encoder.forward(v.clone()))).collect::<Vec<_>>();
        let p = z.iter().map(|z| model.predictor.forward(z.clone())).collect::<Vec<_>>();
        let loss = (negative_cosine(p[0].clone(), z[1].clone().detach())
            + negative_cosine(p[1].clone(), z[0].clone().detach()))
        .div_scalar(2.0);
        Objective { loss, embedding: Tensor::cat(z, 0) }
    }

    fn encoder<'a>(&self, model: &'a SimSiamModel) -> &'a Encoder {
        &model.encoder
    }

    fn constant_rate(&self) -> &'static [&'static str] {
        &["predictor"]
    }

    fn collapsed_loss(&self, _: usize) -> Option<f64> {
        Some(-1.0)
    }
}
