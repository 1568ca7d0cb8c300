//! A perceptron for rows.

use burn::{
    module::Module,
    nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig},
    tensor::{Device, Tensor, activation::relu},
};

/// Hidden units per feature: SCARF (Bahri et al., 2022) trains tabular encoders of 256 units; 4 x 64 is that.
const HIDDEN_PER_FEATURE: usize = 4;

/// Two hidden layers of `4 x width` units with batch norm and ReLU, then a linear layer to `width` features.
#[derive(Module, Debug)]
pub struct Mlp {
    layers: Vec<Linear>,
    norms: Vec<BatchNorm>,
    output: Linear,
}

impl Mlp {
    pub(super) fn new(inputs: usize, width: usize, device: &Device) -> Self {
        let hidden = HIDDEN_PER_FEATURE * width;
        Self {
            layers: vec![
                LinearConfig::new(inputs, hidden).with_bias(false).init(device),
                LinearConfig::new(hidden, hidden).with_bias(false).init(device),
            ],
            norms: vec![BatchNormConfig::new(hidden).init(device), BatchNormConfig::new(hidden).init(device)],
            output: LinearConfig::new(hidden, width).init(device),
        }
    }

    /// Numbers of an item.
    pub(super) fn inputs(&self) -> usize {
        self.layers[0].weight.dims()[0]
    }

    /// `[n, c, h, w]` to `[n, width]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = x.flatten::<2>(1, 3); // [n, inputs]
        let x = self.layers.iter().zip(&self.norms).fold(x, |x, (layer, norm)| relu(norm.forward(layer.forward(x))));
        self.output.forward(x) // [n, width]
    }
}
