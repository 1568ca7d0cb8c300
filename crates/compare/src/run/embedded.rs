//! The features of every part of the data, which all scores of a row are taken from.

use super::{
    features::Features,
    prepare::{Parts, Prepared},
};
use burn::tensor::Device;
use metric::mahalanobis::{Mahalanobis, MahalanobisError};
use nearfar_core::{augment::Augmenter, matrix::Matrix, train::embed};
use nearfar_eval::Distance;

/// Images whose two views alignment compares.
const ALIGNMENT_IMAGES: usize = 1_000;

/// Features `[n, d]` of the parts `train`, `validation` and `test` of every place.
pub struct Embedded {
    /// Of the seen classes.
    pub seen: [Matrix; 3],
    /// Of the classes never trained on.
    pub unseen: Option<[Matrix; 3]>,
    /// Of another data set.
    pub other: Option<[Matrix; 3]>,
    /// Two augmented views of the first test items of the seen classes; of encoders alone.
    pub views: Option<[Matrix; 2]>,
    /// How two of them are compared.
    pub distance: Distance,
}

impl Embedded {
    /// Takes everything through `features` once.
    pub fn new(
        features: &Features,
        data: &Prepared,
        augmenter: &Augmenter,
        device: &Device,
    ) -> Result<Self, MahalanobisError> {
        let of = |parts: &Parts| -> Result<[Matrix; 3], MahalanobisError> {
            let one = |part| features.of(part, augmenter, device);
            Ok([one(&parts.train)?, one(&parts.validation)?, one(&parts.test)?])
        };
        Ok(Self {
            seen: of(&data.seen)?,
            unseen: data.unseen.as_ref().map(of).transpose()?,
            other: data.other.as_ref().map(|(_, parts)| of(parts)).transpose()?,
            views: views(features, data, augmenter, device),
            distance: features.distance(),
        })
    }

    /// The same under a learnt linear distance.
    pub fn under(&self, metric: &Mahalanobis) -> Result<Self, MahalanobisError> {
        let of = |[train, validation, test]: &[Matrix; 3]| -> Result<[Matrix; 3], MahalanobisError> {
            Ok([metric.transform(train)?, metric.transform(validation)?, metric.transform(test)?])
        };
        Ok(Self {
            seen: of(&self.seen)?,
            unseen: self.unseen.as_ref().map(of).transpose()?,
            other: self.other.as_ref().map(of).transpose()?,
            views: None,
            distance: Distance::Euclidean,
        })
    }
}

fn views(features: &Features, data: &Prepared, augmenter: &Augmenter, device: &Device) -> Option<[Matrix; 2]> {
    let Features::Encoder(encoder) = features else { return None };
    let test = &data.seen.test;
    let some: Vec<usize> = (0..test.len().min(ALIGNMENT_IMAGES)).collect();
    let mut both = embed::views(encoder, test, &some, augmenter, device).into_iter();
    both.next().zip(both.next()).map(|(a, b)| [a, b])
}
