//! What a row computes features with, in a file of its own: `encoders/METHOD-seedN.safetensors`. It holds the encoder
//! or the principal components, the normalisation, and every linear map learnt on top, so that `compare embed` and
//! `compare query` need neither the run nor its data.

use super::{features::Features, prepare::Prepared};
use crate::report;
use burn::tensor::Device;
use metric::mahalanobis::{Mahalanobis, MahalanobisError, Pca};
use nearfar_core::{
    augment::{AugmentError, Augmenter, Normalization},
    data::{Dataset, ItemKind},
    encoder::{EncoderConfig, EncoderError},
    matrix::Matrix,
    weights::{Weights, WeightsError},
};
use nearfar_eval::Distance;
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use thiserror::Error;

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

/// Why such a file cannot be used.
#[derive(Debug, Error)]
pub enum EncoderFileError {
    /// A folder stands where a file is needed.
    #[error("{path} is a folder; --checkpoint takes one of the files in a run's `{FOLDER}`: {known}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The files that it has.
        known: String,
    },
    /// The system refused to read.
    #[error(
        "cannot read the encoder {path}: {source}; `compare run` writes one a row, DIR/encoders/METHOD-seedN.safetensors"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The tensors are damaged or do not fit.
    #[error("the encoder {path} cannot be used: {source}")]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: WeightsError,
    },
    /// A layout that this version does not know.
    #[error("the encoder {path} has format {found}, this version reads format {FORMAT}: use the version that wrote it")]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// The description is damaged.
    #[error("the description in the encoder {path} is damaged: {reason}; write the file again with `compare run`")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Writes the file of a row into the run's folder `out` and returns its name there.
pub fn write(features: &Features, method: &str, seed: u64, data: &Prepared, out: &Path) -> anyhow::Result<String> {
    let about = About {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        method: method.to_owned(),
        seed,
        dataset: data.name.clone(),
        input: ItemKind::of(&data.seen.train),
        base: base(features, data.encoder),
        maps: maps(features),
        distance: features.distance(),
    };
    let name = format!("{FOLDER}/{method}-seed{seed}.{ENDING}");
    fs::create_dir_all(out.join(FOLDER))?;
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

/// A row's features, ready for other data.
pub struct Model {
    /// What the file says.
    pub about: About,
    features: Features,
    augmenter: Augmenter,
    device: Device,
}

impl Model {
    /// Reads a file that [`write`] wrote; the encoder goes to `device`.
    pub fn read(path: &Path, device: &Device) -> Result<Self, EncoderFileError> {
        if path.is_dir() {
            return Err(EncoderFileError::Folder { path: path.to_owned(), known: known(path) });
        }
        let bytes = fs::read(path).map_err(|source| EncoderFileError::Read { path: path.to_owned(), source })?;
        Self::decode(&bytes, device).map_err(|trouble| trouble.at(path))
    }

    fn decode(bytes: &[u8], device: &Device) -> Result<Self, Trouble> {
        let weights = Weights::from_bytes(bytes)?;
        let value: serde_json::Value = serde_json::from_str(weights.about())?;
        // Before the rest is understood: another layout may have other fields.
        match value.get("format").and_then(serde_json::Value::as_u64) {
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

/// What is wrong with a file, before its path is known.
enum Trouble {
    Weights(WeightsError),
    Format(u64),
    Damaged(String),
}

impl Trouble {
    fn at(self, path: &Path) -> EncoderFileError {
        let path = path.to_owned();
        match self {
            Self::Weights(source) => EncoderFileError::Weights { path, source },
            Self::Format(found) => EncoderFileError::Format { path, found },
            Self::Damaged(reason) => EncoderFileError::Damaged { path, reason },
        }
    }
}

impl From<WeightsError> for Trouble {
    fn from(error: WeightsError) -> Self {
        Self::Weights(error)
    }
}

impl From<serde_json::Error> for Trouble {
    fn from(error: serde_json::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<AugmentError> for Trouble {
    fn from(error: AugmentError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<EncoderError> for Trouble {
    fn from(error: EncoderError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<MahalanobisError> for Trouble {
    fn from(error: MahalanobisError) -> Self {
        Self::Damaged(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metric::mahalanobis::Keep;
    use nearfar_core::{data::Inputs, encoder::Architecture};

    const CONFIG: EncoderConfig = EncoderConfig { architecture: Architecture::Conv4, width: 6 };

    fn images() -> Dataset {
        let pixels: Vec<u8> = (0..20 * 64u32).map(|i| (i * i % 251) as u8).collect();
        let inputs = Inputs::Images { pixels, channels: 1, height: 8, width: 8 };
        Dataset { name: "t".into(), inputs, labels: None, class_names: Vec::new(), groups: None }
    }

    fn about(features: &Features) -> About {
        About {
            format: FORMAT,
            version: "0".into(),
            method: "m".into(),
            seed: 3,
            dataset: "t".into(),
            input: ItemKind::of(&images()),
            base: base(features, CONFIG),
            maps: maps(features),
            distance: features.distance(),
        }
    }

    fn encoder() -> Features {
        let shape = images().shape();
        Features::Encoder(Box::new(CONFIG.init(shape, 5, &Device::flex().autodiff()).unwrap()))
    }

    fn map(inputs: usize, outputs: usize) -> Mahalanobis {
        Mahalanobis::new((0..inputs * outputs).map(|i| (i as f64 * 0.7).sin()).collect(), inputs).unwrap()
    }

    /// Every kind of row.
    fn every_kind() -> Vec<Features> {
        let rows = images().features();
        let pca = Pca::fit(&rows, Keep::Count(5)).unwrap();
        let learnt = |features: Features, inputs| Features::Mahalanobis(Box::new(features), map(inputs, 4));
        vec![
            Features::Pixels,
            Features::Pca(pca.clone()),
            Features::Pca(pca.clone().whitened()),
            encoder(),
            learnt(Features::Pca(pca), 5),
            learnt(encoder(), 6),
            Features::Mahalanobis(Box::new(learnt(encoder(), 6)), map(4, 3)),
        ]
    }

    #[test]
    fn every_kind_of_row_computes_the_same_features_again() {
        let data = images();
        let normalization = Normalization::of(&data.inputs);
        let augmenter = Augmenter::new(&[], normalization.clone(), 9).unwrap();
        for features in every_kind() {
            let about = about(&features);
            let bytes = encode(&about, &features, &normalization).unwrap();
            let model = Model::decode(&bytes, &Device::flex()).unwrap_or_else(|t| panic!("{}", t.at(Path::new("f"))));
            assert_eq!(model.about, about);
            let expected = features.of(&data, &augmenter, &Device::flex()).unwrap();
            assert_eq!(model.embed(&data, 256).unwrap(), expected, "{about:?}");
            let few = model.embed(&data, 3).unwrap();
            let close = few.as_slice().iter().zip(expected.as_slice()).all(|(a, b)| (a - b).abs() < 1e-5);
            assert!(close && few.rows() == expected.rows(), "{about:?}");
        }
    }

    #[test]
    fn trouble_is_named_with_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m-seed0.safetensors");
        let normalization = Normalization::of(&images().inputs);
        let error = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            let error = Model::read(&path, &Device::flex()).err().unwrap().to_string();
            assert!(error.contains("m-seed0.safetensors"), "{error}");
            error
        };
        let features = encoder();
        let written = |change: &dyn Fn(&mut About)| {
            let mut about = about(&features);
            change(&mut about);
            encode(&about, &features, &normalization).unwrap()
        };
        assert!(error(b"no such file").contains("no safetensors file"));
        assert!(error(&written(&|a| a.format = 2)).contains("format 2, this version reads format 1"));
        assert!(error(&written(&|a| a.maps = 1)).contains("no tensor `maps.0`"));
        let wide = EncoderConfig { width: 7, ..CONFIG };
        assert!(error(&written(&|a| a.base = Base::Encoder(wide))).contains("belongs to another network"));
        let colour = ItemKind::Images { channels: 3, height: 8, width: 8 };
        assert!(error(&written(&|a| a.input = colour)).contains("normalises 1 channels or columns, and takes 3"));
        let misfit = Features::Mahalanobis(Box::new(encoder()), map(5, 2));
        let bytes = encode(&about(&misfit), &misfit, &normalization).unwrap();
        assert!(error(&bytes).contains("maps.0 takes 5 numbers, but gets 6"));
        let mut weights = Weights::new("{}".into());
        weights.insert_f32("x", &[1], &[0.0]);
        assert!(error(&weights.to_bytes().unwrap()).contains("it names no format"));

        let message = Model::read(dir.path(), &Device::flex()).err().unwrap().to_string();
        assert!(message.contains("is a folder") && message.contains("m-seed0.safetensors"), "{message}");
        let message = Model::read(&dir.path().join("none"), &Device::flex()).err().unwrap().to_string();
        assert!(message.contains("cannot read the encoder") && message.contains("compare run"), "{message}");
    }
}
