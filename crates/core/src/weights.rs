//! Tensors by name in one safetensors file, which Python's `safetensors` opens too.
//!
//! A parameter's name is its path in the module, `blocks.0.norm.gamma`, behind a prefix. Linear weights are
//! `[in, out]`, convolution weights `[out, in, k, k]`. Running statistics of batch norm are tensors like any other.

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Tensor, TensorData},
};
use safetensors::{Dtype, SafeTensorError, SafeTensors, View, tensor::TensorView};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
};
use thiserror::Error;

/// Key of the description in the file's header.
const ABOUT: &str = "nearfar";

/// Why weights cannot be written or read.
#[derive(Debug, Error)]
pub enum WeightsError {
    /// Not a safetensors file, or a damaged one.
    #[error("it is no safetensors file, or is damaged ({0}): use a file that `compare run` wrote, or write it again")]
    File(#[from] SafeTensorError),
    /// A safetensors file from elsewhere.
    #[error("its header has no entry `nearfar`: it was not written by `compare run`")]
    NoDescription,
    /// A tensor that is needed is not there.
    #[error("it has no tensor `{name}`: it belongs to another network")]
    Missing {
        /// The tensor.
        name: String,
    },
    /// A tensor that the network does not have.
    #[error("it holds the tensor `{name}`, which the network does not have: it belongs to another network")]
    Unused {
        /// The tensor.
        name: String,
    },
    /// A tensor of another shape.
    #[error("its tensor `{name}` has the shape {found:?}, expected {expected:?}: it belongs to another network")]
    Shape {
        /// The tensor.
        name: String,
        /// Shape that is needed.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// A tensor of another type.
    #[error("its tensor `{name}` holds {found}, expected {expected}")]
    Type {
        /// The tensor.
        name: String,
        /// Type that is needed.
        expected: Dtype,
        /// Type in the file.
        found: Dtype,
    },
    /// The device did not hand a tensor over.
    #[error("the device did not give the tensor `{name}`: {reason}")]
    Device {
        /// The tensor.
        name: String,
        /// What it said.
        reason: String,
    },
}

/// Named tensors in host memory, and a description of what they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    about: String,
    tensors: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    /// Little endian, row after row.
    bytes: Vec<u8>,
}

impl View for &Entry {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

impl Weights {
    /// No tensors yet; `about` says what they will be.
    pub fn new(about: String) -> Self {
        Self { about, tensors: BTreeMap::new() }
    }

    /// What the tensors are, as [`Weights::new`] was told.
    pub fn about(&self) -> &str {
        &self.about
    }

    /// Adds or replaces a tensor of single precision.
    pub fn insert_f32(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.tensors.insert(name.to_owned(), Entry { dtype: Dtype::F32, shape: shape.to_vec(), bytes });
    }

    /// Adds or replaces a tensor of double precision.
    pub fn insert_f64(&mut self, name: &str, shape: &[usize], values: &[f64]) {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.tensors.insert(name.to_owned(), Entry { dtype: Dtype::F64, shape: shape.to_vec(), bytes });
    }

    /// Shape and values of a tensor of single precision.
    ///
    /// # Errors
    /// When there is none of that name and type.
    pub fn f32(&self, name: &str) -> Result<(&[usize], Vec<f32>), WeightsError> {
        let entry = self.entry(name, Dtype::F32)?;
        let (words, _) = entry.bytes.as_chunks::<4>();
        Ok((entry.shape.as_slice(), words.iter().map(|word| f32::from_le_bytes(*word)).collect()))
    }

    /// Shape and values of a tensor of double precision.
    ///
    /// # Errors
    /// When there is none of that name and type.
    pub fn f64(&self, name: &str) -> Result<(&[usize], Vec<f64>), WeightsError> {
        let entry = self.entry(name, Dtype::F64)?;
        let (words, _) = entry.bytes.as_chunks::<8>();
        Ok((entry.shape.as_slice(), words.iter().map(|word| f64::from_le_bytes(*word)).collect()))
    }

    fn entry(&self, name: &str, expected: Dtype) -> Result<&Entry, WeightsError> {
        let entry = self.tensors.get(name).ok_or_else(|| WeightsError::Missing { name: name.to_owned() })?;
        match entry.dtype {
            found if found == expected => Ok(entry),
            found => Err(WeightsError::Type { name: name.to_owned(), expected, found }),
        }
    }

    /// Adds every parameter and running statistic of `module` as `PREFIX.PATH`.
    ///
    /// # Errors
    /// When the device fails to hand one over.
    pub fn insert_module<M: Module>(&mut self, prefix: &str, module: &M) -> Result<(), WeightsError> {
        let mut collect = Collect { path: Path::new(prefix), weights: self, failed: None };
        // `valid` folds the newest running statistics into the values that are visited.
        module.valid().visit(&mut collect);
        collect.failed.map_or(Ok(()), Err)
    }

    /// `module` with the values of the tensors `PREFIX.PATH`, on the devices and with the gradients that it has.
    ///
    /// # Errors
    /// When a tensor is missing, has another shape or type, or is left over under that prefix.
    pub fn load_module<M: Module>(&self, prefix: &str, module: M) -> Result<M, WeightsError> {
        let mut fill = Fill { path: Path::new(prefix), weights: self, used: BTreeSet::new(), failed: None };
        let module = module.map(&mut fill);
        if let Some(error) = fill.failed {
            return Err(error);
        }
        let inside = |name: &&String| name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'));
        match self.tensors.keys().filter(inside).find(|name| !fill.used.contains(*name)) {
            Some(name) => Err(WeightsError::Unused { name: name.clone() }),
            None => Ok(module),
        }
    }

    /// The content of the file. The same tensors give the same bytes.
    ///
    /// # Errors
    /// When a shape does not fit the number of values.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WeightsError> {
        let header = HashMap::from([(ABOUT.to_owned(), self.about.clone())]);
        Ok(safetensors::serialize(self.tensors.iter(), Some(header))?)
    }

    /// Reads the content of a file.
    ///
    /// # Errors
    /// When it is no safetensors file, is damaged, or says nothing about itself.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WeightsError> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let about = header.metadata().as_ref().and_then(|entries| entries.get(ABOUT));
        let about = about.ok_or(WeightsError::NoDescription)?.clone();
        let file = SafeTensors::deserialize(bytes)?;
        let entry = |(name, view): (&str, TensorView<'_>)| {
            let entry = Entry { dtype: view.dtype(), shape: view.shape().to_vec(), bytes: view.data().to_vec() };
            (name.to_owned(), entry)
        };
        let tensors = file.iter().map(entry).collect();
        Ok(Self { about, tensors })
    }
}

/// Where a walk through a module stands.
struct Path(Vec<String>);

impl Path {
    fn new(prefix: &str) -> Self {
        Self(vec![prefix.to_owned()])
    }

    /// The variant of an enum is no part of the name: there is one.
    fn enter(&mut self, name: &str, container: &str) {
        if !container.starts_with("Enum:") {
            self.0.push(name.to_owned());
        }
    }

    fn leave(&mut self, container: &str) {
        if !container.starts_with("Enum:") {
            self.0.pop();
        }
    }

    fn name(&self) -> String {
        self.0.join(".")
    }
}

struct Collect<'a> {
    path: Path,
    weights: &'a mut Weights,
    failed: Option<WeightsError>,
}

impl ModuleVisitor for Collect<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, container: &str) {
        self.path.leave(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let (name, value) = (self.path.name(), param.val());
        let shape: [usize; D] = value.dims();
        match value.try_into_vec_as::<f32>() {
            Ok(values) => self.weights.insert_f32(&name, &shape, &values),
            Err(error) => {
                let failed = WeightsError::Device { name, reason: format!("{error:?}") };
                self.failed.get_or_insert(failed);
            }
        }
    }
}

struct Fill<'a> {
    path: Path,
    weights: &'a Weights,
    used: BTreeSet<String>,
    failed: Option<WeightsError>,
}

impl ModuleMapper for Fill<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, container: &str) {
        self.path.leave(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.name();
        let expected: [usize; D] = param.val().dims();
        let values = match self.weights.f32(&name) {
            Ok((shape, values)) if shape == expected.as_slice() => values,
            Ok((shape, _)) => {
                let (expected, found) = (expected.to_vec(), shape.to_vec());
                self.failed.get_or_insert(WeightsError::Shape { name, expected, found });
                return param;
            }
            Err(error) => {
                self.failed.get_or_insert(error);
                return param;
            }
        };
        self.used.insert(name);
        let trained = param.is_require_grad();
        param.map(|old| {
            let new = Tensor::from_data(TensorData::new(values, expected), &old.device());
            if trained { new.require_grad() } else { new }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        data::Shape,
        encoder::{Architecture, Encoder, EncoderConfig},
    };
    use burn::tensor::Device;

    const SHAPE: Shape = Shape { channels: 3, height: 9, width: 11 };

    fn images(device: &Device) -> Tensor<4> {
        let values: Vec<f32> = (0..2 * SHAPE.size()).map(|i| (i as f32 * 0.37).sin()).collect();
        Tensor::from_data(TensorData::new(values, [2, 3, 9, 11]), device)
    }

    fn encoder(architecture: Architecture, width: usize, seed: u64, device: &Device) -> Encoder {
        EncoderConfig { architecture, width }.init(SHAPE, seed, device).unwrap()
    }

    /// An encoder whose running statistics have moved, some of them not yet folded into their values.
    fn used(architecture: Architecture) -> Encoder {
        let device = Device::flex().autodiff();
        let encoder = encoder(architecture, 4, 1, &device);
        for _ in 0..3 {
            let _ = encoder.forward(images(&device));
        }
        encoder
    }

    fn saved(encoder: &Encoder) -> Weights {
        let mut weights = Weights::new("a test".into());
        weights.insert_module("encoder", encoder).unwrap();
        weights
    }

    #[test]
    fn every_encoder_comes_back_with_its_running_statistics() {
        let device = Device::flex();
        for architecture in Architecture::ALL {
            let original = used(architecture);
            let bytes = saved(&original).to_bytes().unwrap();
            let weights = Weights::from_bytes(&bytes).unwrap();
            assert_eq!((weights.about(), &weights.to_bytes().unwrap()), ("a test", &bytes));
            let other = encoder(architecture, 4, 2, &device);
            let features = |e: &Encoder| e.forward(images(&device)).try_into_vec_as::<f32>().unwrap();
            let expected = features(&original.valid());
            assert_ne!(features(&other), expected, "{architecture}");
            assert_eq!(features(&weights.load_module("encoder", other).unwrap()), expected, "{architecture}");
        }
    }

    #[test]
    fn loaded_weights_train_and_running_statistics_do_not() {
        let device = Device::flex().autodiff();
        let weights = saved(&used(Architecture::Conv4));
        let loaded = weights.load_module("encoder", encoder(Architecture::Conv4, 4, 2, &device)).unwrap();
        let grads = loaded.forward(images(&device)).powf_scalar(2.0).sum().backward();
        // Weight, scale and shift of four blocks.
        assert_eq!(burn::optim::GradientsParams::from_grads(grads, &loaded).len(), 12);
    }

    #[test]
    fn names_are_paths_without_the_enum() {
        let weights = saved(&used(Architecture::Conv4));
        assert_eq!(weights.f32("encoder.blocks.0.weight").unwrap().0, [4, 3, 3, 3]);
        let (shape, mean) = weights.f32("encoder.blocks.3.norm.running_mean").unwrap();
        assert!(shape == [4] && mean.iter().any(|v| *v != 0.0), "{mean:?}");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let device = Device::flex();
        let weights = saved(&used(Architecture::Conv4));
        let error = |architecture, width| {
            weights.load_module("encoder", encoder(architecture, width, 0, &device)).unwrap_err().to_string()
        };
        assert!(error(Architecture::Conv4, 8).contains("`encoder.blocks.0.weight` has the shape [4, 3, 3, 3]"));
        assert!(error(Architecture::Mlp, 4).contains("no tensor `encoder.layers.0.weight`"));
        let mut more = weights.clone();
        more.insert_f32("encoder.extra", &[1], &[0.0]);
        more.insert_f32("encoders", &[1], &[0.0]);
        let fresh = encoder(Architecture::Conv4, 4, 0, &device);
        assert!(more.load_module("encoder", fresh).unwrap_err().to_string().contains("`encoder.extra`"));
        more.insert_f64("double", &[2], &[0.1, f64::MIN_POSITIVE]);
        assert_eq!(more.f64("double").unwrap(), (&[2][..], vec![0.1, f64::MIN_POSITIVE]));
        assert!(more.f32("double").unwrap_err().to_string().contains("holds F64, expected F32"));
        more.insert_f32("short", &[3], &[0.0]);
        assert!(matches!(more.to_bytes(), Err(WeightsError::File(_))));
    }

    #[test]
    fn damage_is_refused() {
        let bytes = saved(&used(Architecture::Conv4)).to_bytes().unwrap();
        for keep in [0, 4, 8, 100, bytes.len() - 1] {
            assert!(matches!(Weights::from_bytes(&bytes[..keep]), Err(WeightsError::File(_))), "{keep}");
        }
        let foreign = safetensors::serialize(BTreeMap::<String, &Entry>::new(), None).unwrap();
        assert!(matches!(Weights::from_bytes(&foreign), Err(WeightsError::NoDescription)));
    }
}
