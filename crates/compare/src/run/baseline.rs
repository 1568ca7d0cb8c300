//! The supervised baseline: what the labels are worth when they are used for nothing but classification.

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Device, Tensor, TensorData, TensorReadError, activation::log_softmax},
};
use nearfar_core::{
    encoder::Encoder,
    init,
    matrix::Matrix,
    similarity::label_tensor,
    train::{Batch, BatchError, Method, Needs, NoMemory, Objective, Progress, Sampling},
};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;

/// Cross-entropy of a linear classifier on the encoder's features, trained together with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Supervised {
    /// Classes of the data, filled in from them.
    #[serde(skip)]
    pub classes: usize,
}

/// Encoder and classifier.
#[derive(Module, Debug)]
pub struct Classifier {
    encoder: Encoder,
    output: Linear,
}

impl Classifier {
    /// The class of each row of `features` `[n, features]` with the highest score, the first of equals.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn classes_of(&self, features: &Matrix, device: &Device) -> Result<Vec<usize>, TensorReadError> {
        let rows = TensorData::new(features.as_slice().to_vec(), [features.rows(), features.cols()]);
        let rows = Tensor::<2>::from_data(rows, &device.clone().without_autodiff());
        let scores = self.output.valid().forward(rows); // [n, classes]
        let [_, classes] = scores.dims();
        let best =
            |row: &[f32]| (1..row.len()).fold(0, |best, class| if row[class] > row[best] { class } else { best });
        Ok(scores.try_into_vec_as::<f32>()?.chunks(classes.max(1)).map(best).collect())
    }
}

impl Supervised {
    /// There is nothing to set.
    ///
    /// # Errors
    /// Never.
    pub fn validate(&self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl Method for Supervised {
    type Model = Classifier;
    type Memory = NoMemory;

    fn name(&self) -> &'static str {
        "supervised"
    }

    fn needs(&self) -> Needs {
        Needs { views: 1, labels: true, sampling: Sampling::Shuffled }
    }

    fn build(&self, encoder: Encoder, features: usize, seed: u64, device: &Device) -> (Classifier, NoMemory) {
        let output = init::seeded(LinearConfig::new(features, self.classes).init(device), seed);
        (Classifier { encoder, output }, NoMemory::new())
    }

    fn objective(
        &self,
        model: &Classifier,
        _: &mut NoMemory,
        batch: &Batch,
        _: Progress,
    ) -> Result<Objective, BatchError> {
        let embedding = model.encoder.forward(batch.views[0].clone()); // [n, features]
        let scores = log_softmax(model.output.forward(embedding.clone()), 1); // [n, classes]
        let labels: Tensor<2, _> = label_tensor(&batch.labels, &scores.device()).unsqueeze_dim(1); // [n, 1]
        Ok(Objective { loss: -scores.gather(1, labels).mean(), embedding })
    }

    fn encoder<'a>(&self, model: &'a Classifier) -> &'a Encoder {
        &model.encoder
    }

    fn collapsed_loss(&self, _: usize) -> Option<f64> {
        Some((self.classes as f64).ln())
    }

    fn compares_batch(&self) -> bool {
        false
    }
}
