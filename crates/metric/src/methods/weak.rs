use super::table::{LossKind, LossSettings};
use crate::{
    Distance, MetricError, Pairwise, Tuples,
    losses::Contrastive,
    weak::{Chunks, Pairs, Quadruplets, Triplets, WeakError},
};
use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use nearfar_core::{
    encoder::Encoder,
    train::{Batch, Method, Needs, NoMemory, Objective, Progress, Sampling},
};
use serde::{Deserialize, Serialize};

/// What was said about the rows of the data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weak {
    /// Pairs that belong together or not.
    Pairs(Pairs),
    /// Anchors that are nearer to one row than to another.
    Triplets(Triplets),
    /// Pairs that are nearer than other pairs.
    Quadruplets(Quadruplets),
    /// Small groups that belong together.
    Chunks(Chunks),
}

impl Weak {
    /// Checks it against data of `rows` rows.
    ///
    /// # Errors
    /// As the `validate` of what it is.
    pub fn validate(&self, rows: usize) -> Result<(), WeakError> {
        match self {
            Self::Pairs(pairs) => pairs.validate(rows),
            Self::Triplets(triplets) => triplets.validate(rows),
            Self::Quadruplets(quadruplets) => quadruplets.validate(rows),
            Self::Chunks(chunks) => chunks.validate(rows),
        }
    }

    /// What it says about a batch of these rows, as tuples of the batch.
    pub fn tuples(&self, rows: &[usize]) -> Tuples {
        match self {
            Self::Pairs(pairs) => Tuples::from(&pairs.within(rows)),
            Self::Triplets(triplets) => Tuples::from(&triplets.within(rows)),
            Self::Quadruplets(quadruplets) => Tuples::from(&quadruplets.within(rows)),
            Self::Chunks(chunks) => Tuples::from(&chunks.within(rows)),
        }
    }
}

/// How an encoder is trained with a loss over tuples on what was said about the data, without class labels.
///
/// Batches are shuffled, and of what was said only that counts whose rows meet in a batch: of `t` pairs of `n` rows
/// about `t (batch / n)^2` a step, of triplets `t (batch / n)^3`. Say much, or take large batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WeakTraining {
    /// The loss, over tuples.
    pub loss: LossSettings,
    /// How embeddings are compared; without it the loss's own distance.
    pub distance: Option<Distance>,
}

impl Default for WeakTraining {
    fn default() -> Self {
        Self { loss: LossSettings::Contrastive(Contrastive::default()), distance: None }
    }
}

impl WeakTraining {
    /// The method for this supervision of data of `rows` rows.
    ///
    /// # Errors
    /// When a setting is out of range, the loss has class weights, or the supervision does not fit the data.
    pub fn method(self, supervision: Weak, rows: usize) -> Result<WeakMethod, WeakError> {
        self.loss.validate()?;
        if let Some(distance) = &self.distance {
            distance.validate()?;
        }
        if matches!(self.loss.kind(), LossKind::Class(_)) {
            return Err(MetricError::Settings("weak supervision has no classes: take a loss over tuples").into());
        }
        supervision.validate(rows)?;
        Ok(WeakMethod { training: self, supervision })
    }
}

/// An encoder trained on weak supervision; made by [`WeakTraining::method`], which checks everything.
#[derive(Clone, Debug, PartialEq)]
pub struct WeakMethod {
    training: WeakTraining,
    supervision: Weak,
}

/// The encoder alone.
#[derive(Module, Debug)]
pub struct WeakModel {
    encoder: Encoder,
}

impl WeakMethod {
    /// The loss `[1]` of embeddings `[n, d]` of the rows `indices`.
    fn value(&self, x: Tensor<2>, indices: &[usize]) -> Result<Tensor<1>, MetricError> {
        let LossKind::Pair(loss) = self.training.loss.kind() else {
            return Err(MetricError::Settings("weak supervision has no classes: take a loss over tuples"));
        };
        let distance = self.training.distance.unwrap_or_else(|| loss.default_distance());
        // Nothing is known of classes; the tuples say it all.
        let on = Pairwise::new(distance, x, &vec![0; indices.len()], None)?;
        loss.forward(&on, Some(&self.supervision.tuples(indices)))
    }
}

impl Method for WeakMethod {
    type Model = WeakModel;
    type Memory = NoMemory;

    fn name(&self) -> &'static str {
        self.training.loss.name()
    }

    fn needs(&self) -> Needs {
        Needs { views: 1, labels: false, sampling: Sampling::Shuffled }
    }

    fn build(&self, encoder: Encoder, _: usize, _: u64, _: &Device) -> (WeakModel, NoMemory) {
        (WeakModel { encoder }, NoMemory::new())
    }

    fn objective(&self, model: &WeakModel, _: &mut NoMemory, batch: &Batch, _: Progress) -> Objective {
        let embedding = model.encoder.forward(batch.views[0].clone()); // [n, d]
        let loss = self.value(embedding.clone(), &batch.indices);
        // A failing device, or a loss that takes no tuples or not this distance: a loss that is no number stops the run
        // and names the step.
        let loss = loss.unwrap_or_else(|_| embedding.clone().sum().mul_scalar(f32::NAN));
        Objective { loss, embedding }
    }

    fn encoder<'a>(&self, model: &'a WeakModel) -> &'a Encoder {
        &model.encoder
    }
}
