//! A file of an encoder read back.

use super::{About, Base, ENDING, EncoderFileError, FOLDER, FORMAT, error::Trouble, map_name};
use crate::run::features::Features;
use burn::tensor::Device;
use metric::mahalanobis::{Mahalanobis, MahalanobisError, Pca};
use nearfar_core::{
    augment::{Augmenter, Normalization},
    data::Dataset,
    matrix::Matrix,
    weights::Weights,
};
use serde_json::Value;
use std::{fs, path::Path};

/// A row's features, ready for other data.
pub struct Model {
    /// What the file says.
    pub about: About,
    features: Features,
    augmenter: Augmenter,
    device: Device,
}

impl Model {
    /// Reads a file that [`write`](super::write) wrote; the encoder goes to `device`.
    pub fn read(path: &Path, device: &Device) -> Result<Self, EncoderFileError> {
        if path.is_dir() {
            return Err(EncoderFileError::Folder { path: path.to_owned(), known: known(path) });
        }
        let bytes = fs::read(path).map_err(|source| EncoderFileError::Read { path: path.to_owned(), source })?;
        Self::decode(&bytes, device).map_err(|trouble| trouble.at(path))
    }

    pub(super) fn decode(bytes: &[u8], device: &Device) -> Result<Self, Trouble> {
        let weights = Weights::from_bytes(bytes)?;
        let value: Value = serde_json::from_str(weights.about())?;
        // Before the rest is understood: another layout may have other fields.
        match value.get("format").and_then(Value::as_u64) {
            Some(format) if format == u64::from(FORMAT) => {}
            Some(format) => return Err(Trouble::Format(format)),
            None => return Err(Trouble::Damaged("it names no format".to_owned())),
        }
        let about: About = serde_json::from_value(value)?;
        let (mean, std) = (weights.f32("normalization.mean")?.1, weights.f32("normalization.std")?.1);
        let (expected, found) = (about.input.shape().channels, mean.len());
        if found != expected {
            return Err(Trouble::Damaged(format!("it normalises {found} channels or columns, and takes {expected}")));
        }
        let augmenter = Augmenter::new(&[], Normalization { mean, std }, 0)?;
        let (mut features, mut width) = match about.base {
            Base::Pixels => (Features::Pixels, about.input.shape().size()),
            Base::Pca { whitened } => {
                let pca = read_pca(&weights, whitened)?;
                fits("the principal components", pca.input_dim(), about.input.shape().size())?;
                let width = pca.output_dim();
                (Features::Pca(pca), width)
            }
            Base::Encoder(config) => {
                let encoder = config.init(about.input.shape(), 0, device)?;
                let encoder = weights.load_module("encoder", encoder)?;
                (Features::Encoder(Box::new(encoder)), config.features())
            }
        };
        for place in 0..about.maps {
            let name = map_name(place);
            let (shape, components) = weights.f64(&name)?;
            let inputs = shape.last().copied().unwrap_or_default();
            fits(&name, inputs, width)?;
            let map = Mahalanobis::new(components, inputs)?;
            width = map.output_dim();
            features = Features::Mahalanobis(Box::new(features), map);
        }
        Ok(Self { about, features, augmenter, device: device.clone() })
    }

    /// Features of every item of `data`, `[n, d]`, with `batch` items in one forward pass.
    pub fn embed(&self, data: &Dataset, batch: usize) -> Result<Matrix, MahalanobisError> {
        self.features.in_batches(data, &self.augmenter, batch, &self.device)
    }
}

fn read_pca(weights: &Weights, whitened: bool) -> Result<Pca, Trouble> {
    let values = |name: &str| weights.f64(name).map(|(_, values)| values);
    let total = values("pca.total_variance")?.first().copied().unwrap_or_default();
    let pca = Pca::from_parts(values("pca.mean")?, values("pca.components")?, values("pca.variances")?, total)?;
    Ok(if whitened { pca.whitened() } else { pca })
}

fn fits(what: &str, takes: usize, gets: usize) -> Result<(), Trouble> {
    if takes == gets {
        return Ok(());
    }
    Err(Trouble::Damaged(format!("{what} takes {takes} numbers, but gets {gets}")))
}

/// The encoders of a run's folder, for a message.
fn known(path: &Path) -> String {
    let folders = [path.join(FOLDER), path.to_owned()];
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let mut files: Vec<String> = entries
        .map(|entry| entry.path())
        .filter(|file| file.extension().is_some_and(|ending| ending == ENDING))
        .map(|file| file.display().to_string())
        .collect();
    files.sort();
    if files.is_empty() { "there are none here".to_owned() } else { files.join(", ") }
}
