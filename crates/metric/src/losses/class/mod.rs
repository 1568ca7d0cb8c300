//! Losses against trained class weights: every class has one direction or more in the embedding space, and embeddings
//! are pulled towards those of their own class.
//!
//! A loss is a settings struct with its formula ([`ClassLoss`]); [`ClassLoss::init`] puts the trained weights beside it
//! ([`ClassHead`]), a Burn module that the optimiser updates together with the encoder.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use metric::losses::class::{ArcFace, ClassLoss};
//!
//! let device = Device::flex().autodiff();
//! let embeddings = Tensor::<2>::from_data([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.2, 0.8]], &device).require_grad();
//! let head = ArcFace::default().init(2, 2, 0, &device)?; // 2 classes, 2 dimensions, seed 0
//! let loss = head.forward(embeddings.clone(), &[0, 0, 1, 1])?;
//! assert!(embeddings.grad(&loss.backward()).is_some());
//! # Ok::<(), metric::MetricError>(())
//! ```

mod arcface;
mod cosface;
mod large_margin_softmax;
mod normalized_softmax;
mod outliers;
mod p2s_grad;
mod proxy_anchor;
mod proxy_nca;
mod soft_triple;
mod sphereface;
mod subcenter_arcface;
mod targets;

pub use arcface::ArcFace;
pub use cosface::CosFace;
pub use large_margin_softmax::LargeMarginSoftmax;
pub use normalized_softmax::NormalizedSoftmax;
pub use outliers::Outliers;
pub use p2s_grad::P2sGrad;
pub use proxy_anchor::ProxyAnchor;
pub use proxy_nca::ProxyNca;
pub use soft_triple::SoftTriple;
pub use sphereface::SphereFace;
pub use subcenter_arcface::SubCenterArcFace;
pub use targets::{Part, Targets};

use crate::{MetricError, Reducer, reducer::Elements, tuples::Tuples};
use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor, TensorData},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use std::{fmt::Debug, sync::Arc};

/// How the numbers of a new weight are drawn, one apart from the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Draw {
    /// Normal with mean 0.
    Normal {
        /// Standard deviation.
        deviation: f64,
    },
    /// Uniform between `-bound` and `bound`.
    Uniform {
        /// Largest size.
        bound: f64,
    },
}

/// The settings and the formula of a loss against class weights.
///
/// Weights are `[classes * centers, d]`, the centres of a class one below the other (pytorch-metric-learning keeps most
/// of them transposed, `[d, classes * centers]`).
pub trait ClassLoss: Debug + Send + Sync {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    fn validate(&self) -> Result<(), MetricError>;

    /// How the elements become one number.
    fn reducer(&self) -> &Reducer;

    /// Similarity of embeddings `[n, d]` to every class, `[n, classes]`: an embedding belongs to the class of the
    /// largest.
    fn logits(&self, embeddings: Tensor<2>, weights: Tensor<2>) -> Tensor<2>;

    /// The elements of the loss of embeddings `[n, d]`; parts are reduced apart and added.
    fn parts(&self, embeddings: Tensor<2>, weights: Tensor<2>, targets: &Targets) -> Vec<Part>;

    /// Directions of a class.
    fn centers(&self) -> usize {
        1
    }

    /// How the weights of so many classes are drawn; pytorch-metric-learning's default is standard normal.
    fn draw(&self, _classes: usize) -> Draw {
        Draw::Normal { deviation: 1.0 }
    }

    /// Whether the parts say what [`Reducer::Divisor`] divides by.
    fn gives_divisor(&self) -> bool {
        false
    }

    /// The loss with new weights for `classes` classes in `dimension` dimensions, drawn on the host from `seed`.
    ///
    /// # Errors
    /// When a setting is out of range, the reducer does not suit the loss, there are fewer than two classes or no
    /// dimension.
    fn init(self, classes: usize, dimension: usize, seed: u64, device: &Device) -> Result<ClassHead, MetricError>
    where
        Self: Sized + 'static,
    {
        ClassHead::new(Arc::new(self), classes, dimension, seed, device)
    }
}

/// A loss with its trained weights `[classes * centers, d]`.
#[derive(Module, Debug)]
pub struct ClassHead {
    weights: Param<Tensor<2>>,
    #[module(skip)]
    classes: usize,
    #[module(skip)]
    loss: Arc<dyn ClassLoss>,
}

impl ClassHead {
    /// The loss with new weights, as [`ClassLoss::init`].
    ///
    /// # Errors
    /// See [`ClassLoss::init`].
    pub fn new(
        loss: Arc<dyn ClassLoss>,
        classes: usize,
        dimension: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Self, MetricError> {
        check(&*loss, classes)?;
        MetricError::check(dimension >= 1, "dimension", "at least 1", dimension as f64)?;
        let shape = [classes * loss.centers(), dimension];
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let count = shape[0] * shape[1];
        let values: Vec<f32> = match loss.draw(classes) {
            Draw::Normal { deviation } => (0..count)
                .map(|_| {
                    let z: f64 = StandardNormal.sample(&mut rng);
                    (deviation * z) as f32
                })
                .collect(),
            Draw::Uniform { bound } => (0..count).map(|_| rng.random_range(-bound..=bound) as f32).collect(),
        };
        Self::with_weights(loss, Tensor::from_data(TensorData::new(values, shape), device))
    }

    /// The loss with given weights `[classes * centers, d]`.
    ///
    /// # Errors
    /// When a setting is out of range, the reducer does not suit the loss, or the weights are not those of two classes
    /// or more.
    pub fn with_weights(loss: Arc<dyn ClassLoss>, weights: Tensor<2>) -> Result<Self, MetricError> {
        loss.validate()?;
        let [rows, _] = weights.dims();
        let (classes, rest) = (rows / loss.centers(), rows % loss.centers());
        MetricError::check(rest == 0, "weights", "a whole number of centres for each class", rows as f64)?;
        check(&*loss, classes)?;
        Ok(Self { weights: Param::from_tensor(weights), classes, loss })
    }

    /// The settings.
    pub fn loss(&self) -> &dyn ClassLoss {
        &*self.loss
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The weights `[classes * centers, d]`, for regularisers.
    pub fn weights(&self) -> Tensor<2> {
        self.weights.val()
    }

    /// Similarity of embeddings `[n, d]` to every class, `[n, classes]`.
    pub fn logits(&self, embeddings: Tensor<2>) -> Tensor<2> {
        self.loss.logits(embeddings, self.weights())
    }

    /// The loss `[1]` of embeddings `[n, d]`.
    ///
    /// # Errors
    /// When labels do not number the rows or have no class, dimensions differ, or the device fails.
    pub fn forward(&self, embeddings: Tensor<2>, labels: &[usize]) -> Result<Tensor<1>, MetricError> {
        self.reduced(self.parts(embeddings, labels, None)?)
    }

    /// The loss `[1]` where every embedding counts as often as it is in the tuples of a miner, relative to the one that
    /// is there most often ([`Tuples::weights`]).
    ///
    /// # Errors
    /// As [`ClassHead::forward`], and when a tuple points outside the batch.
    pub fn forward_mined(
        &self,
        embeddings: Tensor<2>,
        labels: &[usize],
        tuples: &Tuples,
    ) -> Result<Tensor<1>, MetricError> {
        self.reduced(self.parts(embeddings, labels, Some(&tuples.weights(labels.len(), false)?))?)
    }

    /// The elements before they are reduced, each times the weight of its embedding.
    ///
    /// # Errors
    /// When labels or weights do not number the rows, a label has no class, or dimensions differ.
    pub fn parts(
        &self,
        embeddings: Tensor<2>,
        labels: &[usize],
        item_weights: Option<&[f32]>,
    ) -> Result<Vec<Part>, MetricError> {
        self.check_batch(&embeddings, labels)?;
        let targets = Targets::new(labels, self.classes, item_weights, &embeddings.device())?;
        Ok(self.loss.parts(embeddings, self.weights(), &targets))
    }

    /// Checks that labels number the rows and that embeddings have the weights' dimensions.
    fn check_batch(&self, embeddings: &Tensor<2>, labels: &[usize]) -> Result<(), MetricError> {
        let ([rows, given], [_, wanted]) = (embeddings.dims(), self.weights().dims());
        if rows != labels.len() {
            return Err(MetricError::Labels { what: "embeddings", rows, labels: labels.len() });
        }
        if given != wanted {
            return Err(MetricError::ClassDimensions { embeddings: given, weights: wanted });
        }
        Ok(())
    }

    fn reduced(&self, parts: Vec<Part>) -> Result<Tensor<1>, MetricError> {
        let reducer = self.loss.reducer();
        let values = parts.into_iter().map(|part| reduce(part, reducer)).collect::<Result<Vec<_>, _>>()?;
        values.into_iter().reduce(|a, b| a + b).ok_or(MetricError::NoElements)
    }
}

/// Checks the settings, the number of classes, and that the reducer suits both.
pub(crate) fn check(loss: &dyn ClassLoss, classes: usize) -> Result<(), MetricError> {
    loss.validate()?;
    MetricError::check(classes >= 2, "classes", "at least 2", classes as f64)?;
    match loss.reducer() {
        Reducer::Divisor if !loss.gives_divisor() => Err(MetricError::NoDivisor),
        Reducer::ClassWeighted { weights } if weights.len() < classes => {
            Err(MetricError::ClassWeight { class: weights.len(), classes: weights.len() })
        }
        _ => Ok(()),
    }
}

/// One number `[1]` of a part's elements; they are read from the device only where the reducer selects by value.
fn reduce(part: Part, reducer: &Reducer) -> Result<Tensor<1>, MetricError> {
    let values = match reducer {
        Reducer::AverageNonZero | Reducer::Threshold { .. } => {
            let values = part.values.clone().detach().try_into_vec_as::<f32>();
            values.map_err(|e| MetricError::Device(e.to_string()))?
        }
        _ => vec![0.0; part.labels.len()],
    };
    let elements = Elements { divisor: part.divisor, ..Elements::items(&part.labels) };
    let weights = reducer.weights(&values, &elements)?;
    let count = weights.len();
    let weights = Tensor::<1>::from_data(TensorData::new(weights, [count]), &part.values.device());
    Ok((part.values * weights).sum())
}
