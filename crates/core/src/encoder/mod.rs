//! Encoders: an input `[batch, channels, height, width]` to features `[batch, features]`.
//!
//! Rows of `d` numbers come as `[batch, d, 1, 1]`. All layers go through [`nearfar_kernels`], so one definition serves
//! the fused CPU path and every other backend.

mod conv4;
mod mlp;
mod resnet;

pub use conv4::Conv4;
pub use mlp::Mlp;
pub use resnet::{Resnet9, Resnet18};

use crate::{backend::did_you_mean, data::Shape, init};
use burn::{
    module::{Module, Param},
    nn::{BatchNorm, BatchNormConfig},
    tensor::{Device, Tensor},
};
use nearfar_kernels as kernels;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use thiserror::Error;

/// An encoder's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// Four 3x3 convolution blocks with pooling (Vinyals et al., 2016; Snell et al., 2017).
    Conv4,
    /// Nine-layer residual network for small images (Page, "How to train your ResNet", 2019).
    Resnet9,
    /// ResNet-18 (He et al., 2016) with the small-image stem: a 3x3 convolution of stride 1 and no max pool.
    Resnet18,
    /// Multi-layer perceptron for rows.
    Mlp,
}

impl Architecture {
    /// Every encoder.
    pub const ALL: [Self; 4] = [Self::Conv4, Self::Resnet9, Self::Resnet18, Self::Mlp];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Conv4 => "conv4",
            Self::Resnet9 => "resnet9",
            Self::Resnet18 => "resnet18",
            Self::Mlp => "mlp",
        }
    }

    /// How often it halves its input.
    fn halvings(self) -> u32 {
        match self {
            Self::Conv4 | Self::Resnet9 | Self::Resnet18 => 3,
            Self::Mlp => 0,
        }
    }

    /// The least side of an image that it takes: one pixel is left of it behind the last halving.
    pub fn smallest(self) -> usize {
        1 << self.halvings()
    }

    /// Checks that an image of `shape` survives the halvings.
    ///
    /// # Errors
    /// [`EncoderError::TooSmall`].
    pub fn check(self, shape: Shape) -> Result<(), EncoderError> {
        let Shape { height, width, .. } = shape;
        let needed = self.smallest();
        if height >= needed && width >= needed {
            return Ok(());
        }
        Err(EncoderError::TooSmall { architecture: self, halvings: self.halvings(), needed, height, width })
    }

    /// Checks that an encoder built for inputs of `inputs` numbers takes items of `shape`: convolutional encoders take
    /// every size from [`Architecture::smallest`] on, the perceptron one alone.
    ///
    /// # Errors
    /// [`EncoderError::TooSmall`] or [`EncoderError::Inputs`].
    pub fn takes(self, inputs: usize, shape: Shape) -> Result<(), EncoderError> {
        match self {
            Self::Mlp if inputs != shape.size() => Err(EncoderError::Inputs { expected: inputs, got: shape.size() }),
            _ => self.check(shape),
        }
    }

    /// One line for a listing.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Conv4 => "four 3x3 convolution blocks; features = width",
            Self::Resnet9 => "nine-layer residual network for small images; features = 8 x width",
            Self::Resnet18 => "ResNet-18 with the small-image stem; features = 8 x width",
            Self::Mlp => "two hidden layers for rows; features = width",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Architecture {
    type Err = EncoderError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|a| a.name() == name).ok_or_else(|| EncoderError::Unknown {
            name: name.to_owned(),
            hint: did_you_mean(name, Self::ALL.map(Self::name)),
        })
    }
}

/// Why an encoder cannot be built.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum EncoderError {
    /// Not one of the names.
    #[error("unknown encoder `{name}`{hint}; known: conv4, resnet9, resnet18, mlp")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The nearest known name, as a sentence part.
        hint: String,
    },
    /// The input is too small for the encoder's poolings.
    #[error(
        "{architecture} halves its input {halvings} times and needs at least {needed} x {needed}, the input is {height} x {width}: use `--encoder mlp`, or larger images"
    )]
    TooSmall {
        /// Which encoder.
        architecture: Architecture,
        /// How often it halves.
        halvings: u32,
        /// The least side.
        needed: usize,
        /// Height of the input.
        height: usize,
        /// Width of the input.
        width: usize,
    },
    /// An encoder of inputs of one size met another size.
    #[error(
        "mlp was built for {expected} numbers an item and this one has {got}: leave the views their size, or use a \
         convolutional encoder"
    )]
    Inputs {
        /// Numbers of an item that it was built for.
        expected: usize,
        /// Numbers of this item.
        got: usize,
    },
    /// A width of zero.
    #[error("the encoder's width must be at least 1")]
    ZeroWidth,
}

/// What to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderConfig {
    /// Which encoder.
    pub architecture: Architecture,
    /// Channels of the first block (images) or features (rows); see [`Architecture::describe`].
    pub width: usize,
}

impl EncoderConfig {
    /// Length of a feature vector.
    pub fn features(&self) -> usize {
        match self.architecture {
            Architecture::Conv4 | Architecture::Mlp => self.width,
            Architecture::Resnet9 | Architecture::Resnet18 => 8 * self.width,
        }
    }

    /// Checks that the encoder can be built for inputs of `shape`.
    ///
    /// # Errors
    /// When the input is too small for the encoder or the width is zero.
    pub fn check(&self, shape: Shape) -> Result<(), EncoderError> {
        if self.width == 0 {
            return Err(EncoderError::ZeroWidth);
        }
        self.architecture.check(shape)
    }

    /// Builds the encoder for inputs of `shape`, its weights drawn from `seed` ([`init::seeded`]).
    ///
    /// # Errors
    /// As [`EncoderConfig::check`].
    pub fn init(&self, shape: Shape, seed: u64, device: &Device) -> Result<Encoder, EncoderError> {
        self.check(shape)?;
        let (channels, width) = (shape.channels, self.width);
        let encoder = match self.architecture {
            Architecture::Conv4 => Encoder::Conv4(Conv4::new(channels, width, device)),
            Architecture::Resnet9 => Encoder::Resnet9(Resnet9::new(channels, width, device)),
            Architecture::Resnet18 => Encoder::Resnet18(Resnet18::new(channels, width, device)),
            Architecture::Mlp => Encoder::Mlp(Mlp::new(channels * shape.height * shape.width, width, device)),
        };
        Ok(init::seeded(encoder, seed))
    }
}

/// Any of the encoders.
#[derive(Module, Debug)]
// One encoder lives a whole run: its size on the stack does not matter, and modules cannot be boxed.
#[allow(clippy::large_enum_variant)]
pub enum Encoder {
    /// See [`Conv4`].
    Conv4(Conv4),
    /// See [`Resnet9`].
    Resnet9(Resnet9),
    /// See [`Resnet18`].
    Resnet18(Resnet18),
    /// See [`Mlp`].
    Mlp(Mlp),
}

impl Encoder {
    /// Features of a batch: `[n, c, h, w]` to `[n, features]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        match self {
            Self::Conv4(e) => e.forward(x),
            Self::Resnet9(e) => e.forward(x),
            Self::Resnet18(e) => e.forward(x),
            Self::Mlp(e) => e.forward(x),
        }
    }

    /// Checks that it takes items of `shape`.
    ///
    /// # Errors
    /// As [`Architecture::takes`].
    pub fn check(&self, shape: Shape) -> Result<(), EncoderError> {
        match self {
            Self::Conv4(_) => Architecture::Conv4.check(shape),
            Self::Resnet9(_) => Architecture::Resnet9.check(shape),
            Self::Resnet18(_) => Architecture::Resnet18.check(shape),
            Self::Mlp(e) => Architecture::Mlp.takes(e.inputs(), shape),
        }
    }
}

/// A convolution without bias and the batch norm behind it.
#[derive(Module, Debug)]
pub struct ConvNorm {
    weight: Param<Tensor<4>>,
    norm: BatchNorm,
    #[module(skip)]
    stride: usize,
}

impl ConvNorm {
    fn new(channels: usize, out: usize, kernel: usize, stride: usize, device: &Device) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::zeros([out, channels, kernel, kernel], device)),
            norm: BatchNormConfig::new(out).init(device),
            stride,
        }
    }

    fn conv(&self, x: Tensor<4>) -> Tensor<4> {
        let kernel = self.weight.dims()[2];
        kernels::conv2d(x, self.weight.val(), self.stride, kernel / 2)
    }

    /// Convolution, norm, ReLU and, with `pool`, 2x2 max pooling.
    fn relu(&self, x: Tensor<4>, pool: bool) -> Tensor<4> {
        kernels::batch_norm_relu(&self.norm, self.conv(x), pool)
    }

    /// Convolution and norm alone.
    fn linear(&self, x: Tensor<4>) -> Tensor<4> {
        kernels::batch_norm(&self.norm, self.conv(x))
    }

    /// ReLU of convolution and norm plus `residual`.
    fn add_relu(&self, x: Tensor<4>, residual: Tensor<4>) -> Tensor<4> {
        kernels::batch_norm_add_relu(&self.norm, self.conv(x), residual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;

    fn shape(channels: usize, height: usize, width: usize) -> Shape {
        Shape { channels, height, width }
    }

    #[test]
    fn every_encoder_gives_its_features_and_trains_all_its_parameters() {
        let device = Device::flex().autodiff();
        for architecture in Architecture::ALL {
            let config = EncoderConfig { architecture, width: 4 };
            let encoder = config.init(shape(3, 9, 11), 1, &device).unwrap();
            let x = Tensor::<4>::from_data(
                TensorData::new((0..2 * 3 * 99).map(|i| (i as f32).sin()).collect(), [2, 3, 9, 11]),
                &device,
            );
            let y = encoder.forward(x);
            assert_eq!(y.dims(), [2, config.features()], "{architecture}");
            let grads = y.powf_scalar(2.0).sum().backward();
            let grads = burn::optim::GradientsParams::from_grads(grads, &encoder);
            struct Count(usize);
            impl burn::module::ModuleVisitor for Count {
                fn visit_float<const D: usize>(&mut self, p: &Param<Tensor<D>>) {
                    self.0 += usize::from(p.is_require_grad());
                }
            }
            let mut count = Count(0);
            encoder.visit(&mut count);
            assert_eq!(grads.len(), count.0, "{architecture}");
        }
    }

    #[test]
    fn one_encoder_takes_views_of_every_size_from_its_smallest_on() {
        let device = Device::flex();
        let image = shape(1, 16, 16);
        for architecture in [Architecture::Conv4, Architecture::Resnet9, Architecture::Resnet18] {
            let config = EncoderConfig { architecture, width: 4 };
            let encoder = config.init(image, 1, &device).unwrap();
            let smallest = architecture.smallest();
            for side in [smallest, smallest + 1, 12, 16] {
                assert_eq!(encoder.check(shape(1, side, side)), Ok(()));
                let pixels = (0..2 * side * side).map(|i| (i as f32).cos()).collect();
                let x = Tensor::<4>::from_data(TensorData::new(pixels, [2, 1, side, side]), &device);
                let y = encoder.forward(x).try_into_vec_as::<f32>().unwrap();
                assert!(y.len() == 2 * config.features() && y.iter().all(|v| v.is_finite()), "{architecture}, {side}");
            }
            let refused = encoder.check(shape(1, smallest, smallest - 1)).unwrap_err();
            assert!(matches!(refused, EncoderError::TooSmall { needed: 8, width: 7, .. }), "{refused}");
        }
        let mlp = EncoderConfig { architecture: Architecture::Mlp, width: 4 }.init(image, 1, &device).unwrap();
        assert_eq!(mlp.check(image), Ok(()));
        assert_eq!(mlp.check(shape(1, 8, 8)), Err(EncoderError::Inputs { expected: 256, got: 64 }));
    }

    #[test]
    fn what_suits_is_known_before_anything_is_built() {
        let device = Device::flex();
        for architecture in Architecture::ALL {
            for (width, input) in [(4, shape(1, 16, 16)), (4, shape(1, 7, 16)), (0, shape(1, 16, 16))] {
                let config = EncoderConfig { architecture, width };
                let built = config.init(input, 1, &device);
                assert_eq!(config.check(input).as_ref().err(), built.as_ref().err(), "{config:?}");
                let Ok(encoder) = built else { continue };
                for view in [input, shape(1, 8, 8), shape(1, 8, 3)] {
                    assert_eq!(architecture.takes(input.size(), view), encoder.check(view), "{architecture}, {view:?}");
                }
            }
        }
    }

    #[test]
    fn too_small_an_input_is_refused_with_the_way_out() {
        let config = EncoderConfig { architecture: Architecture::Conv4, width: 4 };
        let error = config.init(shape(5, 1, 1), 0, &Device::flex()).unwrap_err();
        assert!(error.to_string().contains("--encoder mlp"), "{error}");
        assert!("resnt18".parse::<Architecture>().unwrap_err().to_string().contains("did you mean `resnet18`?"));
    }
}
