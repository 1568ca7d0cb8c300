//! Networks and what else several methods share.

use burn::{
    module::{Module, Param},
    nn::{Linear, LinearConfig},
    tensor::{Device, Tensor},
};
use nearfar_core::{
    encoder::Encoder,
    head::{Head, HeadConfig},
    init,
    momentum::cosine_momentum,
    similarity::{dot_products, normalize_rows},
    train::{Needs, Progress, Sampling, forward_views},
};

/// What a method without labels needs: `views` of each image, all images once a pass.
pub(crate) fn views(views: usize) -> Needs {
    Needs { views, labels: false, sampling: Sampling::Shuffled }
}

/// Sizes of a head of `layers` layers, for [`HeadConfig::new`].
pub(crate) fn sizes(input: usize, hidden: usize, layers: usize, output: usize) -> Vec<usize> {
    let mut sizes = vec![input];
    sizes.resize(layers.max(1), hidden);
    sizes.push(output);
    sizes
}

/// The momentum of a step: `start`, or, if it `rises`, from there to 1 along BYOL's cosine.
pub(crate) fn momentum_at(start: f64, rises: bool, at: Progress) -> f64 {
    if rises { cosine_momentum(start, at.step, at.steps) } else { start }
}

/// Encoder and projector.
#[derive(Module, Debug)]
pub struct Projected {
    pub(crate) encoder: Encoder,
    projector: Head,
}

impl Projected {
    /// A projector drawn from `seed` behind `encoder`.
    pub(crate) fn new(encoder: Encoder, projector: &HeadConfig, seed: u64, device: &Device) -> Self {
        Self { encoder, projector: init::seeded(projector.init(device), seed) }
    }

    /// `[n, c, h, w]` to `[n, output]`.
    pub(crate) fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        self.projector.forward(self.encoder.forward(x))
    }

    /// All views, `[n, output]` each: the projector sees them together, the encoder those of one size, so that batch norm
    /// sees them together.
    pub(crate) fn forward_together(&self, views: &[Tensor<4>]) -> Vec<Tensor<2>> {
        let [n, ..] = views[0].dims();
        let z = self.projector.forward(forward_views(views, |x| self.encoder.forward(x))); // [views n, output]
        (0..views.len()).map(|view| z.clone().narrow(0, view * n, n)).collect()
    }

    /// Every view on its own, so that batch norm does not let the views see each other.
    pub(crate) fn forward_each(&self, views: &[Tensor<4>]) -> Vec<Tensor<2>> {
        views.iter().map(|view| self.forward(view.clone())).collect()
    }

    /// [`Projected::forward_each`] of a momentum network: no gradient comes this way.
    pub(crate) fn targets(&self, views: &[Tensor<4>]) -> Vec<Tensor<2>> {
        views.iter().map(|view| self.forward(view.clone()).detach()).collect()
    }
}

/// Encoder, projector, and a predictor on the projections.
#[derive(Module, Debug)]
pub struct Predicting {
    pub(crate) online: Projected,
    predictor: Head,
}

impl Predicting {
    /// The predictor is drawn from `seed + 1`: the projector had `seed`.
    pub(crate) fn new(online: Projected, predictor: &HeadConfig, seed: u64, device: &Device) -> Self {
        Self { online, predictor: init::seeded(predictor.init(device), seed.wrapping_add(1)) }
    }

    /// Predictions `[n, output]` of each view's projections.
    pub(crate) fn predict_each(&self, projections: &[Tensor<2>]) -> Vec<Tensor<2>> {
        projections.iter().map(|z| self.predictor.forward(z.clone())).collect()
    }
}

/// Encoder and projector whose normalised outputs are compared with learnt prototypes of unit length.
#[derive(Module, Debug)]
pub struct Prototyped {
    pub(crate) network: Projected,
    /// `[output, prototypes]`, one prototype a column, of any length: only its direction counts.
    prototypes: Linear,
}

impl Prototyped {
    /// The `count` prototypes are drawn from `seed + 1`: the projector had `seed`.
    pub(crate) fn new(network: Projected, output: usize, count: usize, seed: u64, device: &Device) -> Self {
        let prototypes = LinearConfig::new(output, count).with_bias(false).init(device);
        Self { network, prototypes: init::seeded(prototypes, seed.wrapping_add(1)) }
    }

    /// The unit prototypes `[count, output]`; no gradient reaches them while they are `frozen`.
    pub(crate) fn prototypes(&self, frozen: bool) -> Tensor<2> {
        let weight = self.prototypes.weight.val();
        // `detach` would leave a parameter its wish for a gradient.
        let weight = if frozen { Tensor::from_inner(weight.inner()) } else { weight };
        normalize_rows(weight.transpose())
    }

    /// Unit embeddings `[n, output]` of each view. Crops of one size share the encoder's batch statistics, all crops the
    /// projector's, as in the authors' code of SwAV and DINO.
    pub(crate) fn embed(&self, views: &[Tensor<4>]) -> Vec<Tensor<2>> {
        self.network.forward_together(views).into_iter().map(normalize_rows).collect()
    }
}

/// A matrix of a method's memory: part of checkpoints, never trained.
#[derive(Module, Debug)]
pub struct Constant {
    matrix: Param<Tensor<2>>,
}

impl Constant {
    pub(crate) fn new(matrix: Tensor<2>) -> Self {
        Self { matrix: Param::from_tensor(matrix).set_require_grad(false) }
    }

    /// The matrix, without a graph.
    pub(crate) fn value(&self) -> Tensor<2> {
        self.matrix.val()
    }

    /// Puts another matrix of the same shape in its place.
    pub(crate) fn set(&mut self, matrix: Tensor<2>) {
        self.matrix = Param::initialized(self.matrix.id, matrix.detach()).set_require_grad(false);
    }
}

/// Cosines of unit embeddings with unit prototypes, view by view: `[n, count]` each.
pub(crate) fn scores(embeddings: &[Tensor<2>], prototypes: &Tensor<2>) -> Vec<Tensor<2>> {
    embeddings.iter().map(|z| dot_products(z.clone(), prototypes.clone())).collect()
}
