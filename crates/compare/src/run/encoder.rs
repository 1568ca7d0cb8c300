//! The encoder as settings ask for it.

use nearfar_core::{
    data::Inputs,
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

#[cfg(test)]
mod tests {
    use super::super::config::Config;
    use super::*;
    use nearfar_core::matrix::Matrix;

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
