use super::{
    LossMemory, check_sampling, stacked,
    table::{LossKind, LossSettings, MinerSettings},
};
use crate::{
    Distance, MetricError, Pairwise, Tuples,
    losses::{ManifoldHead, MultiSimilarity, PairLoss, class::ClassHead},
};
use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use nearfar_core::{
    encoder::Encoder,
    train::{BatchError, Embedded, Method, Needs, Progress, Sampling, Staged, forward_views},
};
use serde::{Deserialize, Serialize};

/// Images of a class in the batches of a loss over tuples.
const IMAGES_PER_CLASS: usize = 4;

/// How an encoder is trained with any loss of the table and any miner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossTraining {
    /// The loss. Default [`MultiSimilarity`].
    pub loss: LossSettings,
    /// Chooses the tuples; every one of the batch counts without it. A loss with class weights weighs every image by
    /// how often it is in a tuple.
    pub miner: Option<MinerSettings>,
    /// How embeddings are compared; without it the loss's own distance, and for the miner of a loss with class weights
    /// the default of [`Distance`].
    pub distance: Option<Distance>,
    /// Images of a class in a batch, at least 2. Without it 4, except for losses with class weights and no miner: their
    /// batches are shuffled.
    pub images_per_class: Option<usize>,
    /// How batches are drawn, in place of `images_per_class`.
    pub sampling: Option<Sampling>,
}

impl Default for LossTraining {
    fn default() -> Self {
        Self::new(LossSettings::MultiSimilarity(MultiSimilarity::default()))
    }
}

impl LossTraining {
    /// With this loss on its own distance, without a miner.
    pub fn new(loss: LossSettings) -> Self {
        Self { loss, miner: None, distance: None, images_per_class: None, sampling: None }
    }

    /// Checks every setting's range, and that loss, distance, miner, reducer and sampling go together.
    ///
    /// # Errors
    /// Names the first setting that is out of range, or what does not go with what, and what to take.
    pub fn validate(&self) -> Result<(), MetricError> {
        if let Some(m) = self.images_per_class {
            MetricError::check(m >= 2, "images_per_class", "at least 2", m as f64)?;
            if self.sampling.is_some() {
                return Err(MetricError::Settings(
                    "`sampling` takes the place of `images_per_class`: give one of them",
                ));
            }
        }
        check_sampling(self.sampling.as_ref())?;
        self.loss.check(self.distance, self.miner.as_ref().map(MinerSettings::miner))
    }

    /// The method for data of so many classes.
    ///
    /// # Errors
    /// As [`LossTraining::validate`], and when a loss with class weights or proxies has fewer than two classes, or the
    /// reducer weighs more or fewer classes.
    pub fn method(self, classes: usize) -> Result<LossMethod, MetricError> {
        self.validate()?;
        self.loss.check_classes(classes)?;
        Ok(LossMethod { training: self, classes })
    }
}

/// An encoder trained with a loss of the table; made by [`LossTraining::method`], which checks the settings.
#[derive(Clone, Debug, PartialEq)]
pub struct LossMethod {
    training: LossTraining,
    classes: usize,
}

/// An encoder and, where the loss has them, class weights or proxies.
#[derive(Module, Debug)]
pub struct LossModel {
    encoder: Encoder,
    head: Option<ClassHead>,
    manifold: Option<ManifoldHead>,
}

impl LossModel {
    /// The class weights, if the loss has any.
    pub fn head(&self) -> Option<&ClassHead> {
        self.head.as_ref()
    }

    /// The proxies of the manifold loss.
    pub fn manifold(&self) -> Option<&ManifoldHead> {
        self.manifold.as_ref()
    }
}

impl LossMethod {
    /// The settings.
    pub fn training(&self) -> &LossTraining {
        &self.training
    }

    /// The loss `[1]` of a batch.
    fn value(
        &self,
        model: &LossModel,
        memory: &mut LossMemory,
        batch: &Embedded<'_>,
        draw: u64,
    ) -> Result<Tensor<1>, MetricError> {
        let LossTraining { loss, miner, distance, .. } = &self.training;
        let distance = loss.distance(*distance);
        if let LossKind::Views(loss) = loss.kind() {
            return between_views(loss, distance, &batch.outputs);
        }
        let (x, labels) = stacked(batch);
        if let Some(manifold) = &model.manifold {
            return manifold.forward(x, &labels);
        }
        let mine = |on: &Pairwise| miner.as_ref().map(|miner| miner.miner().mine_at(on, draw)).transpose();
        if let Some(head) = &model.head {
            let mined = match miner {
                None => None,
                Some(_) => mine(&Pairwise::new(distance, x.clone().detach(), &labels, None)?)?,
            };
            return match mined {
                None => head.forward(x, &labels),
                Some(tuples) => head.forward_mined(x, &labels, &tuples),
            };
        }
        let on = Pairwise::new(distance, x, &labels, None)?;
        over_tuples(loss, &on, mine(&on)?.as_ref(), memory)
    }
}

/// A loss without weights of its own over `tuples`, or over every tuple of the batch.
pub(super) fn over_tuples(
    loss: &LossSettings,
    on: &Pairwise,
    tuples: Option<&Tuples>,
    memory: &mut LossMemory,
) -> Result<Tensor<1>, MetricError> {
    match loss.kind() {
        LossKind::Pair(loss) | LossKind::Views(loss) => loss.forward(on, tuples),
        LossKind::Gaps(loss) => {
            let mut histogram = memory.gaps()?;
            let value = loss.forward(on, tuples, &mut histogram)?;
            memory.keep(&histogram);
            Ok(value)
        }
        LossKind::Class(_) | LossKind::Manifold(_) => {
            Err(MetricError::Settings("a loss with trained weights came without them"))
        }
    }
}

/// The mean loss `[1]` of every view `[n, d]` as anchors against every other one: an image's other view is what it
/// belongs with, the views of all other images are what it does not.
fn between_views(loss: &dyn PairLoss, distance: Distance, views: &[Tensor<2>]) -> Result<Tensor<1>, MetricError> {
    let items: Vec<usize> = (0..views.first().map_or(0, |view| view.dims()[0])).collect();
    let mut losses = Vec::new();
    for (a, anchors) in views.iter().enumerate() {
        for (_, others) in views.iter().enumerate().filter(|(b, _)| *b != a) {
            let on = Pairwise::in_memory(distance, anchors.clone(), &items, others.clone(), &items)?;
            losses.push(loss.forward(&on, None)?);
        }
    }
    MetricError::check(!losses.is_empty(), "views", "at least 2", views.len() as f64)?;
    Ok(Tensor::cat(losses, 0).mean())
}

impl Method for LossMethod {
    type Model = LossModel;
    type Memory = LossMemory;

    fn name(&self) -> &'static str {
        self.training.loss.name()
    }

    fn needs(&self) -> Needs {
        let LossTraining { loss, miner, images_per_class, sampling, .. } = &self.training;
        let tuples = matches!(loss.kind(), LossKind::Pair(_) | LossKind::Gaps(_)) || miner.is_some();
        let own = match images_per_class {
            Some(images) => Sampling::PerClass { images: *images },
            None if tuples => Sampling::PerClass { images: IMAGES_PER_CLASS },
            None => Sampling::Shuffled,
        };
        let labels = loss.uses_labels();
        Needs { views: if labels { 1 } else { 2 }, labels, sampling: sampling.clone().unwrap_or(own) }
    }

    fn build(&self, encoder: Encoder, features: usize, seed: u64, device: &Device) -> (LossModel, LossMemory) {
        let (mut head, mut manifold) = (None, None);
        match self.training.loss.kind() {
            LossKind::Class(loss) => {
                let new = ClassHead::new(loss, self.classes, features, seed, device);
                head = Some(new.expect("loss and classes are checked, and an encoder has features"));
            }
            LossKind::Manifold(loss) => {
                let new = loss.with_classes(self.classes).init(features, seed, device);
                manifold = Some(new.expect("loss and classes are checked, and an encoder has features"));
            }
            LossKind::Pair(_) | LossKind::Views(_) | LossKind::Gaps(_) => {}
        }
        (LossModel { encoder, head, manifold }, LossMemory::new(&self.training.loss, device))
    }

    fn staged(&self) -> Option<&dyn Staged<LossModel, LossMemory>> {
        Some(self)
    }

    fn encoder<'a>(&self, model: &'a LossModel) -> &'a Encoder {
        &model.encoder
    }
}

impl Staged<LossModel, LossMemory> for LossMethod {
    fn embed(&self, model: &LossModel, views: &[Tensor<4>]) -> Vec<Tensor<2>> {
        forward_views(views, |x| model.encoder.forward(x)).chunk(views.len(), 0) // [n, d] each
    }

    fn loss(
        &self,
        model: &LossModel,
        memory: &mut LossMemory,
        batch: &Embedded<'_>,
        at: Progress,
    ) -> Result<Tensor<1>, BatchError> {
        // What a miner draws depends on the run and on the step.
        let draw = at.seed.rotate_left(32) ^ at.step as u64;
        Ok(self.value(model, memory, batch, draw)?)
    }
}
