//! Residual networks for small images.

use super::ConvNorm;
use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use nearfar_kernels as kernels;

/// Two 3x3 convolutions around an identity, or around a 1x1 projection where the shape changes (He et al., 2016).
#[derive(Module, Debug)]
pub struct BasicBlock {
    conv1: ConvNorm,
    conv2: ConvNorm,
    downsample: Option<ConvNorm>,
}

impl BasicBlock {
    fn new(channels: usize, out: usize, stride: usize, device: &Device) -> Self {
        let changes = stride != 1 || channels != out;
        Self {
            conv1: ConvNorm::new(channels, out, 3, stride, device),
            conv2: ConvNorm::new(out, out, 3, 1, device),
            downsample: changes.then(|| ConvNorm::new(channels, out, 1, stride, device)),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (x, residual) = kernels::fork(x);
        let residual = match &self.downsample {
            Some(projection) => projection.linear(residual),
            None => residual,
        };
        self.conv2.add_relu(self.conv1.relu(x, false), residual)
    }
}

/// ResNet-18 with the stem that small images need: one 3x3 convolution of stride 1 and no max pool, as in SimCLR's
/// appendix B.9 and MoCo's CIFAR demonstration. Features: 8 x width; the published network has width 64.
#[derive(Module, Debug)]
pub struct Resnet18 {
    stem: ConvNorm,
    stages: Vec<BasicBlock>,
}

impl Resnet18 {
    pub(super) fn new(channels: usize, width: usize, device: &Device) -> Self {
        let mut stages = Vec::with_capacity(8);
        let mut from = width;
        for (stage, to) in [width, 2 * width, 4 * width, 8 * width].into_iter().enumerate() {
            stages.push(BasicBlock::new(from, to, if stage == 0 { 1 } else { 2 }, device));
            stages.push(BasicBlock::new(to, to, 1, device));
            from = to;
        }
        Self { stem: ConvNorm::new(channels, width, 3, 1, device), stages }
    }

    /// `[n, c, h, w]` to `[n, 8 * width]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self.stem.relu(x, false);
        kernels::global_average_pool(self.stages.iter().fold(x, |x, block| block.forward(x)))
    }
}

/// The nine-layer network of Page's "How to train your ResNet" (2019): a stem, three pooled convolutions, and residual
/// pairs behind the first and the third. Its last 4x4 max pool is an average over whatever is left here, so that any
/// image of at least 8x8 works. Features: 8 x width; the original has width 64.
#[derive(Module, Debug)]
pub struct Resnet9 {
    stem: ConvNorm,
    layer1: ConvNorm,
    residual1: [ConvNorm; 2],
    layer2: ConvNorm,
    layer3: ConvNorm,
    residual3: [ConvNorm; 2],
}

impl Resnet9 {
    pub(super) fn new(channels: usize, width: usize, device: &Device) -> Self {
        let conv = |from, to| ConvNorm::new(from, to, 3, 1, device);
        Self {
            stem: conv(channels, width),
            layer1: conv(width, 2 * width),
            residual1: [conv(2 * width, 2 * width), conv(2 * width, 2 * width)],
            layer2: conv(2 * width, 4 * width),
            layer3: conv(4 * width, 8 * width),
            residual3: [conv(8 * width, 8 * width), conv(8 * width, 8 * width)],
        }
    }

    /// `[n, c, h, w]` to `[n, 8 * width]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        // In the original the sum comes after the pair's own ReLU: x + relu(norm(conv(...))).
        let pair = |pair: &[ConvNorm; 2], x: Tensor<4>| {
            let (x, residual) = kernels::fork(x);
            kernels::add(residual, pair[1].relu(pair[0].relu(x, false), false))
        };
        let x = self.layer1.relu(self.stem.relu(x, false), true);
        let x = pair(&self.residual1, x);
        let x = self.layer3.relu(self.layer2.relu(x, true), true);
        kernels::global_average_pool(pair(&self.residual3, x))
    }
}
