//! Projection and prediction heads: perceptrons behind an encoder that are thrown away after training.

use burn::{
    module::Module,
    nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig},
    tensor::{Device, Tensor, activation::relu},
};
use serde::{Deserialize, Serialize};

/// What stands behind the last linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputNorm {
    /// Nothing; the layer has a bias.
    None,
    /// Batch norm with learnt scale and shift.
    Affine,
    /// Batch norm whose scale stays one and shift zero (SimSiam's projector).
    Plain,
}

/// Sizes of a head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadConfig {
    /// Units of the layers, input first, output last.
    pub sizes: Vec<usize>,
    /// Batch norm behind the hidden layers.
    pub hidden_norm: bool,
    /// Norm behind the output.
    pub output_norm: OutputNorm,
}

impl HeadConfig {
    /// A head through `sizes` (input first) with batch norm behind the hidden layers and none behind the output.
    pub fn new(sizes: impl Into<Vec<usize>>) -> Self {
        Self { sizes: sizes.into(), hidden_norm: true, output_norm: OutputNorm::None }
    }

    /// The same with another norm behind the output.
    pub fn output_norm(mut self, norm: OutputNorm) -> Self {
        self.output_norm = norm;
        self
    }

    /// The same without batch norm behind the hidden layers.
    pub fn without_hidden_norm(mut self) -> Self {
        self.hidden_norm = false;
        self
    }

    /// Builds the head; seed its weights with [`crate::init::seeded`].
    ///
    /// # Panics
    /// When `sizes` has fewer than two entries.
    pub fn init(&self, device: &Device) -> Head {
        assert!(self.sizes.len() >= 2, "a head needs an input and an output size, got {:?}", self.sizes);
        let last = self.sizes.len() - 2;
        let mut layers = Vec::with_capacity(last + 1);
        let mut norms = Vec::with_capacity(last + 1);
        for (i, pair) in self.sizes.windows(2).enumerate() {
            let normed = if i < last { self.hidden_norm } else { self.output_norm != OutputNorm::None };
            // A bias before batch norm is subtracted again.
            layers.push(LinearConfig::new(pair[0], pair[1]).with_bias(!normed).init(device));
            if normed {
                let mut norm = BatchNormConfig::new(pair[1]).init(device);
                if i == last && self.output_norm == OutputNorm::Plain {
                    norm.gamma = norm.gamma.set_require_grad(false);
                    norm.beta = norm.beta.set_require_grad(false);
                }
                norms.push(norm);
            }
        }
        Head { layers, norms, hidden_norm: self.hidden_norm }
    }
}

/// A perceptron with ReLU between its layers.
#[derive(Module, Debug)]
pub struct Head {
    layers: Vec<Linear>,
    /// One for each normed layer, in order; the output's last.
    norms: Vec<BatchNorm>,
    #[module(skip)]
    hidden_norm: bool,
}

impl Head {
    /// `[n, input]` to `[n, output]`.
    pub fn forward(&self, mut x: Tensor<2>) -> Tensor<2> {
        let last = self.layers.len() - 1;
        let mut norms = self.norms.iter();
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(x);
            if (i == last || self.hidden_norm)
                && let Some(norm) = norms.next()
            {
                x = norm.forward(x);
            }
            if i < last {
                x = relu(x);
            }
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;

    #[test]
    fn plain_output_norm_standardises_and_is_not_trained() {
        let device = Device::flex().autodiff();
        let head = crate::init::seeded(HeadConfig::new([3, 8, 4]).output_norm(OutputNorm::Plain).init(&device), 0);
        let x = Tensor::<2>::from_data(TensorData::new((0..30).map(|i| (i as f32).cos()).collect(), [10, 3]), &device);
        let z = head.forward(x);
        let mean = z.clone().mean_dim(0).abs().max().into_scalar::<f32>();
        assert!(mean < 1e-5, "{mean}");
        let norm = head.norms.last().unwrap();
        assert!(!norm.gamma.is_require_grad() && !norm.beta.is_require_grad());
        assert!(head.layers.iter().all(|l| l.bias.is_none()));
    }

    #[test]
    fn without_norms_a_head_is_its_linear_layers() {
        let device = Device::flex();
        let head = HeadConfig::new([2, 3, 1]).without_hidden_norm().init(&device);
        assert!(head.norms.is_empty() && head.layers.iter().all(|l| l.bias.is_some()));
        assert_eq!(head.forward(Tensor::ones([5, 2], &device)).dims(), [5, 1]);
    }
}
