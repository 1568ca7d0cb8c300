//! What a row computes features with, in a file of its own: `encoders/METHOD-seedN.safetensors`. It holds the encoder
//! or the principal components, the normalisation, and every linear map learnt on top, so that `compare embed` and
//! `compare query` need neither the run nor its data.

mod error;
mod model;
#[cfg(test)]
mod tests;

pub use error::EncoderFileError;
pub use model::Model;

use super::{features::Features, jobs::Job, prepare::Prepared};
use crate::report;
use anyhow::Context;
use nearfar_core::{
    augment::Normalization,
    data::ItemKind,
    encoder::EncoderConfig,
    weights::{Weights, WeightsError},
};
use nearfar_eval::Distance;
use serde::{Deserialize, Serialize};
use std::{fs, path::Path};

/// Folder of the files inside a run's folder.
const FOLDER: &str = "encoders";
const ENDING: &str = "safetensors";
/// Layout of the file that this version writes and reads.
const FORMAT: u32 = 1;

/// What the file says about itself, as JSON in its header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Layout of the file.
    pub format: u32,
    /// Version of `compare` that wrote it.
    pub version: String,
    /// Name of the method.
    pub method: String,
    /// Seed of weights, order and views.
    pub seed: u64,
    /// Name of the data set that it was trained on.
    pub dataset: String,
    /// What it takes.
    pub input: ItemKind,
    /// Where features come from.
    pub base: Base,
    /// Linear maps learnt on top, applied one after the other.
    pub maps: usize,
    /// How two of its features are compared: by cosine, or by the Euclidean distance where it was learnt.
    pub distance: Distance,
}

/// Where features come from before any learnt map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Base {
    /// The normalised values themselves.
    Pixels,
    /// Their principal components.
    Pca {
        /// Whether each has unit variance.
        whitened: bool,
    },
    /// An encoder.
    Encoder(EncoderConfig),
}

/// Writes the file of a row into the run's folder `out` and returns its name there.
pub fn write(features: &Features, job: &Job, data: &Prepared, out: &Path) -> anyhow::Result<String> {
    let about = About {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        method: job.name.clone(),
        seed: job.seed,
        dataset: data.name.clone(),
        input: ItemKind::of(&data.seen.train),
        base: base(features, data.encoder),
        maps: maps(features),
        distance: features.distance(),
    };
    let name = format!("{FOLDER}/{}.{ENDING}", job.file);
    let folder = out.join(FOLDER);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    report::replace(&out.join(&name), &encode(&about, features, &data.normalization)?)?;
    Ok(name)
}

fn base(features: &Features, encoder: EncoderConfig) -> Base {
    match features {
        Features::Pixels => Base::Pixels,
        Features::Pca(pca) => Base::Pca { whitened: pca.is_whitened() },
        Features::Encoder(_) => Base::Encoder(encoder),
        Features::Mahalanobis(inner, _) => base(inner, encoder),
    }
}

fn maps(features: &Features) -> usize {
    match features {
        Features::Mahalanobis(inner, _) => maps(inner) + 1,
        _ => 0,
    }
}

fn encode(about: &About, features: &Features, normalization: &Normalization) -> anyhow::Result<Vec<u8>> {
    let mut weights = Weights::new(serde_json::to_string(about)?);
    let Normalization { mean, std } = normalization;
    weights.insert_f32("normalization.mean", &[mean.len()], mean);
    weights.insert_f32("normalization.std", &[std.len()], std);
    insert(&mut weights, features)?;
    Ok(weights.to_bytes()?)
}

/// Adds the tensors of `features`, the innermost first.
fn insert(weights: &mut Weights, features: &Features) -> Result<(), WeightsError> {
    match features {
        Features::Pixels => {}
        Features::Pca(pca) => {
            let (inputs, outputs) = (pca.input_dim(), pca.output_dim());
            weights.insert_f64("pca.mean", &[inputs], pca.mean());
            weights.insert_f64("pca.components", &[outputs, inputs], pca.components());
            weights.insert_f64("pca.variances", &[outputs], pca.explained_variance());
            weights.insert_f64("pca.total_variance", &[1], &[pca.total_variance()]);
        }
        Features::Encoder(encoder) => weights.insert_module("encoder", &**encoder)?,
        Features::Mahalanobis(inner, map) => {
            insert(weights, inner)?;
            weights.insert_f64(&map_name(maps(inner)), &[map.output_dim(), map.input_dim()], map.components());
        }
    }
    Ok(())
}

fn map_name(place: usize) -> String {
    format!("maps.{place}")
}
