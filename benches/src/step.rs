//! The work of one step, apart from its timing.

use crate::random_images;
use burn::{
    module::Module,
    optim::{GradientsParams, ModuleOptimizer},
    tensor::{Device, Tensor},
};
use nearfar_core::{
    data::Shape,
    encoder::{Encoder, EncoderConfig, EncoderError},
    optim::{OptimizerConfig, OptimizerKind},
};

/// Seed of the weights and of the images.
const SEED: u64 = 0;

/// A training step that costs what the encoder costs: forward, the mean of the squared features as the loss, backward,
/// and SGD with momentum 0.9, rate 0.01 and no weight decay. All steps see one batch that is on the device already.
pub struct TrainStep {
    /// Absent only while a step owns it: the optimiser updates in place what nobody else holds.
    encoder: Option<Encoder>,
    optimizer: ModuleOptimizer,
    learning_rate: f64,
    images: Tensor<4>,
}

impl TrainStep {
    /// An encoder and `batch` random images of `shape` on `device` with autodiff.
    ///
    /// # Errors
    /// When the encoder cannot be built for `shape`.
    pub fn new(config: EncoderConfig, shape: Shape, batch: usize, device: &Device) -> Result<Self, EncoderError> {
        let device = device.clone().autodiff();
        let encoder = config.init(shape, SEED, &device)?;
        let settings = OptimizerConfig {
            kind: OptimizerKind::Sgd,
            learning_rate: 0.01,
            weight_decay: 0.0,
            ..OptimizerConfig::default()
        };
        Ok(Self {
            encoder: Some(encoder),
            optimizer: settings.init(),
            learning_rate: settings.learning_rate,
            images: random_images(batch, shape, SEED, &device),
        })
    }

    /// One step; the loss before it, `[1]`, without a graph. Does not wait for the device.
    pub fn run(&mut self) -> Tensor<1> {
        let encoder = self.encoder.take().expect("every step puts the encoder back");
        let features = encoder.forward(self.images.clone()); // [n, features]
        let loss = features.powi_scalar(2).mean();
        let grads = GradientsParams::from_grads(loss.backward(), &encoder);
        self.encoder = Some(self.optimizer.step(self.learning_rate, encoder, grads));
        loss.detach()
    }
}

/// The forward pass of evaluation: without autodiff, batch norm on its running statistics.
pub struct Inference {
    encoder: Encoder,
    images: Tensor<4>,
}

impl Inference {
    /// An encoder and `batch` random images of `shape` on `device` without autodiff.
    ///
    /// # Errors
    /// When the encoder cannot be built for `shape`.
    pub fn new(config: EncoderConfig, shape: Shape, batch: usize, device: &Device) -> Result<Self, EncoderError> {
        let device = device.clone().without_autodiff();
        let encoder = config.init(shape, SEED, &device.clone().autodiff())?.valid();
        Ok(Self { encoder, images: random_images(batch, shape, SEED, &device) })
    }

    /// Features of the batch, `[n, features]`. Does not wait for the device.
    pub fn run(&self) -> Tensor<2> {
        self.encoder.forward(self.images.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu_backends;
    use nearfar_core::encoder::Architecture;

    const SHAPE: Shape = Shape { channels: 3, height: 8, width: 8 };

    fn config(architecture: Architecture) -> EncoderConfig {
        EncoderConfig { architecture, width: 4 }
    }

    #[test]
    fn steps_lower_the_loss_of_every_encoder() {
        for (backend, device) in cpu_backends().unwrap() {
            for architecture in Architecture::ALL {
                let mut step = TrainStep::new(config(architecture), SHAPE, 8, &device).unwrap();
                let losses: Vec<f32> = (0..10).map(|_| step.run().try_into_scalar::<f32>().unwrap()).collect();
                assert!(losses[9] < losses[0], "{architecture} on {backend}: {losses:?}");
            }
        }
    }

    #[test]
    fn inference_records_no_graph_and_changes_nothing() {
        for (backend, device) in cpu_backends().unwrap() {
            let inference = Inference::new(config(Architecture::Conv4), SHAPE, 5, &device.autodiff()).unwrap();
            let features = inference.run();
            assert_eq!(features.dims(), [5, 4], "{backend}");
            assert!(!features.device().is_autodiff(), "{backend}");
            let values = |t: Tensor<2>| t.try_into_vec_as::<f32>().unwrap();
            assert_eq!(values(features), values(inference.run()), "{backend}");
        }
    }

    #[test]
    fn an_impossible_encoder_is_an_error() {
        let tiny = Shape { channels: 1, height: 4, width: 4 };
        let (_, device) = cpu_backends().unwrap().remove(0);
        assert!(TrainStep::new(config(Architecture::Conv4), tiny, 2, &device).is_err());
        assert!(Inference::new(config(Architecture::Resnet18), tiny, 2, &device).is_err());
    }
}
