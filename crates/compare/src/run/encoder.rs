//! The encoder as settings ask for it.

use anyhow::ensure;
use nearfar_core::{
    data::{Inputs, Shape},
    encoder::{Architecture, EncoderConfig},
};
use serde::{Deserialize, Serialize};

/// Which encoder is trained, and how wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EncoderSettings {
    /// Which one; chosen by the kind of data if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<Architecture>,
    /// Channels of its first block, or features of `mlp`.
    pub width: usize,
}

impl Default for EncoderSettings {
    fn default() -> Self {
        Self { architecture: None, width: 64 }
    }
}

impl EncoderSettings {
    /// The encoder for these data: what was asked for, or else `mlp` for rows and `conv4` for images.
    pub fn suited_to(self, inputs: &Inputs) -> EncoderConfig {
        let usual = if matches!(inputs, Inputs::Rows(_)) { Architecture::Mlp } else { Architecture::Conv4 };
        EncoderConfig { architecture: self.architecture.unwrap_or(usual), width: self.width }
    }
}

/// Most weights of an encoder: with gradients and the optimiser's state they fill 16 GB.
const MOST_WEIGHTS: f64 = 1e9;

/// Checks that the encoder takes the data, and that there is memory for its weights.
pub fn check(encoder: EncoderConfig, shape: Shape) -> anyhow::Result<()> {
    encoder.check(shape)?;
    let (weights, EncoderConfig { architecture, width }) = (weights(encoder, shape), encoder);
    ensure!(
        weights <= MOST_WEIGHTS,
        "{architecture} of width {width} would have {weights:.1e} weights, {MOST_WEIGHTS:.0e} at most can be trained: \
         lower --width"
    );
    Ok(())
}

/// About how many weights it has, those of norms and biases left out.
fn weights(encoder: EncoderConfig, shape: Shape) -> f64 {
    let (width, channels, inputs) = (encoder.width as f64, shape.channels as f64, shape.size() as f64);
    let (first, others) = match encoder.architecture {
        Architecture::Conv4 => (9.0 * channels, 27.0),
        Architecture::Resnet9 => (9.0 * channels, 1_602.0),
        Architecture::Resnet18 => (9.0 * channels, 2_724.0),
        Architecture::Mlp => (4.0 * inputs, 20.0),
    };
    width * (first + others * width)
}

#[cfg(test)]
mod tests {
    use super::super::config::Config;
    use super::*;
    use burn::{module::Module, tensor::Device};
    use nearfar_core::matrix::Matrix;

    #[test]
    fn weights_are_counted() {
        let shape = Shape { channels: 3, height: 8, width: 8 };
        for architecture in Architecture::ALL {
            let encoder = EncoderConfig { architecture, width: 16 };
            let true_count = encoder.init(shape, 0, &Device::flex()).unwrap().num_params() as f64;
            let counted = weights(encoder, shape);
            assert!((counted / true_count - 1.0).abs() < 0.05, "{architecture}: {counted} of {true_count}");
            assert!(check(encoder, shape).is_ok());
        }
    }

    #[test]
    fn what_is_left_out_follows_the_data() {
        let (rows, images) = (
            Inputs::Rows(Matrix::zeros(1, 4)),
            Inputs::Images { pixels: vec![0; 64], channels: 1, height: 8, width: 8 },
        );
        let both = |text: &str| {
            let encoder = Config::parse(text).unwrap().encoder;
            [encoder.suited_to(&rows), encoder.suited_to(&images)].map(|e| (e.architecture, e.width))
        };
        assert_eq!(both(""), [(Architecture::Mlp, 64), (Architecture::Conv4, 64)]);
        assert_eq!(both("encoder.width = 16"), [(Architecture::Mlp, 16), (Architecture::Conv4, 16)]);
        assert_eq!(both("encoder.architecture = \"resnet9\""), [(Architecture::Resnet9, 64); 2]);
        assert!(Config::parse("encoder.widht = 16").is_err());
    }
}
