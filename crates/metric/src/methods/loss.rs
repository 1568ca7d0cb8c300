use super::{
    repeated_labels,
    table::{LossKind, LossSettings, MinerSettings},
};
use crate::{
    Distance, MetricError, Pairwise,
    losses::{
        MultiSimilarity,
        class::{self, ClassHead},
    },
};
use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use nearfar_core::{
    encoder::Encoder,
    train::{Batch, Method, Needs, NoMemory, Objective, Progress, Sampling, forward_views},
};
use serde::{Deserialize, Serialize};

/// Images of a class in the batches of a loss over tuples.
const IMAGES_PER_CLASS: usize = 4;

/// How an encoder is trained with any loss of the table and any miner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossTraining {
    /// The loss.
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
}

impl Default for LossTraining {
    fn default() -> Self {
        Self::new(LossSettings::MultiSimilarity(MultiSimilarity::default()))
    }
}

impl LossTraining {
    /// With this loss on its own distance, without a miner.
    pub fn new(loss: LossSettings) -> Self {
        Self { loss, miner: None, distance: None, images_per_class: None }
    }

    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), MetricError> {
        if let Some(m) = self.images_per_class {
            MetricError::check(m >= 2, "images_per_class", "at least 2", m as f64)?;
        }
        if let Some(distance) = &self.distance {
            distance.validate()?;
        }
        if let Some(miner) = &self.miner {
            miner.miner().validate()?;
        }
        self.loss.validate()
    }

    /// The method for data of so many classes.
    ///
    /// # Errors
    /// When a setting is out of range, there are fewer than two classes, or the reducer does not suit the loss.
    pub fn method(self, classes: usize) -> Result<LossMethod, MetricError> {
        self.validate()?;
        if let LossKind::Class(loss) = self.loss.kind() {
            class::check(&*loss, classes)?;
        }
        Ok(LossMethod { training: self, classes })
    }
}

/// An encoder trained with a loss of the table; made by [`LossTraining::method`], which checks the settings.
#[derive(Clone, Debug, PartialEq)]
pub struct LossMethod {
    training: LossTraining,
    classes: usize,
}

/// An encoder and, where the loss has them, class weights.
#[derive(Module, Debug)]
pub struct LossModel {
    encoder: Encoder,
    head: Option<ClassHead>,
}

impl LossModel {
    /// The class weights, if the loss has any.
    pub fn head(&self) -> Option<&ClassHead> {
        self.head.as_ref()
    }
}

impl LossMethod {
    /// The settings.
    pub fn training(&self) -> &LossTraining {
        &self.training
    }

    /// The loss `[1]` of embeddings `[n, d]`.
    fn value(
        &self,
        head: Option<&ClassHead>,
        x: Tensor<2>,
        labels: &[usize],
        draw: u64,
    ) -> Result<Tensor<1>, MetricError> {
        let LossTraining { loss, miner, distance, .. } = &self.training;
        match (head, loss.kind()) {
            (Some(head), _) => match miner {
                None => head.forward(x, labels),
                Some(miner) => {
                    let distance = distance.unwrap_or_default();
                    let on = Pairwise::new(distance, x.clone().detach(), labels, None)?;
                    head.forward_mined(x, labels, &miner.miner().mine_at(&on, draw)?)
                }
            },
            (None, LossKind::Pair(loss)) => {
                let distance = distance.unwrap_or_else(|| loss.default_distance());
                let on = Pairwise::new(distance, x, labels, None)?;
                let tuples = miner.as_ref().map(|miner| miner.miner().mine_at(&on, draw)).transpose()?;
                loss.forward(&on, tuples.as_ref())
            }
            (None, LossKind::Class(_)) => Err(MetricError::Settings("a loss with class weights came without them")),
        }
    }
}

impl Method for LossMethod {
    type Model = LossModel;
    type Memory = NoMemory;

    fn name(&self) -> &'static str {
        self.training.loss.name()
    }

    fn needs(&self) -> Needs {
        let tuples = matches!(self.training.loss.kind(), LossKind::Pair(_)) || self.training.miner.is_some();
        let sampling = match self.training.images_per_class {
            Some(images) => Sampling::PerClass { images },
            None if tuples => Sampling::PerClass { images: IMAGES_PER_CLASS },
            None => Sampling::Shuffled,
        };
        Needs { views: 1, labels: true, sampling }
    }

    fn build(&self, encoder: Encoder, features: usize, seed: u64, device: &Device) -> (LossModel, NoMemory) {
        let head = match self.training.loss.kind() {
            LossKind::Pair(_) => None,
            LossKind::Class(loss) => {
                let head = ClassHead::new(loss, self.classes, features, seed, device);
                Some(head.expect("loss and classes are checked, and an encoder has features"))
            }
        };
        (LossModel { encoder, head }, NoMemory::new())
    }

    fn objective(&self, model: &LossModel, _: &mut NoMemory, batch: &Batch, progress: Progress) -> Objective {
        let embedding = forward_views(&batch.views, |x| model.encoder.forward(x)); // [n, d]
        // What a miner draws depends on the run and on the step.
        let draw = progress.seed.rotate_left(32) ^ progress.step as u64;
        let loss = self.value(model.head(), embedding.clone(), &repeated_labels(batch), draw);
        // What settings cannot rule out (a failing device, a loss on a distance that it is not defined for, a label
        // beyond the classes) has no other way out: a loss that is no number stops the run and names the step.
        let loss = loss.unwrap_or_else(|_| embedding.clone().sum().mul_scalar(f32::NAN));
        Objective { loss, embedding }
    }

    fn encoder<'a>(&self, model: &'a LossModel) -> &'a Encoder {
        &model.encoder
    }
}
