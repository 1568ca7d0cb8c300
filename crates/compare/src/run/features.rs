//! Where a row's features come from, as one function from a data set to a matrix.

use metric::mahalanobis::{Mahalanobis, MahalanobisError, Pca};
use nearfar_core::{augment::Augmenter, data::Dataset, encoder::Encoder, matrix::Matrix, train::embed};
use nearfar_eval::Distance;

/// Maps a data set to features.
#[derive(Clone)]
pub enum Features {
    /// The values themselves.
    Pixels,
    /// Their principal components.
    Pca(Pca),
    /// A frozen encoder.
    Encoder(Box<Encoder>),
    /// A learnt linear distance on others.
    Mahalanobis(Box<Features>, Mahalanobis),
}

impl Features {
    /// `[n, features]`, normalised as in training.
    pub fn of(
        &self,
        data: &Dataset,
        augmenter: &Augmenter,
        device: &burn::tensor::Device,
    ) -> Result<Matrix, MahalanobisError> {
        self.in_batches(data, augmenter, embed::BATCH, device)
    }

    /// The same with `batch` images in one forward pass.
    pub fn in_batches(
        &self,
        data: &Dataset,
        augmenter: &Augmenter,
        batch: usize,
        device: &burn::tensor::Device,
    ) -> Result<Matrix, MahalanobisError> {
        match self {
            Self::Pixels => Ok(plain(data, augmenter)),
            Self::Pca(pca) => pca.transform(&plain(data, augmenter)),
            Self::Encoder(encoder) => Ok(embed::embed_in_batches(encoder, data, augmenter, batch, device)),
            Self::Mahalanobis(base, metric) => metric.transform(&base.in_batches(data, augmenter, batch, device)?),
        }
    }

    /// The encoder beneath, if there is one.
    pub fn encoder(&self) -> Option<&Encoder> {
        match self {
            Self::Pixels | Self::Pca(_) => None,
            Self::Encoder(encoder) => Some(encoder),
            Self::Mahalanobis(base, _) => base.encoder(),
        }
    }

    /// How two features are compared: by cosine, but by the learnt distance where there is one.
    pub fn distance(&self) -> Distance {
        match self {
            Self::Mahalanobis(..) => Distance::Euclidean,
            _ => Distance::Cosine,
        }
    }
}

fn plain(data: &Dataset, augmenter: &Augmenter) -> Matrix {
    let indices: Vec<usize> = (0..data.len()).collect();
    let values = augmenter.plain(&data.inputs, &indices);
    let cols = values.len().checked_div(data.len()).unwrap_or(0);
    Matrix::new(values, data.len(), cols).expect("every item has as many values as the others")
}
