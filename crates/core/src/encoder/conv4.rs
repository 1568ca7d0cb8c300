//! Conv-4: the encoder of matching and prototypical networks (Vinyals et al., 2016; Snell et al., 2017).

use super::ConvNorm;
use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use nearfar_kernels as kernels;

/// Four blocks of 3x3 convolution, batch norm and ReLU; the first three halve the image by 2x2 max pooling.
///
/// The papers pool four times and flatten. Here the last block averages over what is left, so that any image of at
/// least 8x8 works and the features number exactly `width`.
#[derive(Module, Debug)]
pub struct Conv4 {
    blocks: Vec<ConvNorm>,
}

impl Conv4 {
    pub(super) fn new(channels: usize, width: usize, device: &Device) -> Self {
        let blocks = (0..4).map(|i| ConvNorm::new(if i == 0 { channels } else { width }, width, 3, 1, device));
        Self { blocks: blocks.collect() }
    }

    /// `[n, c, h, w]` to `[n, width]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let last = self.blocks.len() - 1;
        let x = self.blocks.iter().enumerate().fold(x, |x, (i, block)| block.relu(x, i < last));
        kernels::global_average_pool(x)
    }
}
