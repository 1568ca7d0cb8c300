use super::{LossMemory, loss::over_tuples, table::LossSettings};
use crate::{
    Distance, MetricError, Pairwise, Tuples,
    losses::{Contrastive, Evidence},
    weak::{Chunks, Pairs, Quadruplets, Triplets, WeakError},
};
use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use nearfar_core::{
    encoder::Encoder,
    train::{Batch, BatchError, Embedded, GivenTuples, Method, Needs, Objective, Progress, Sampling, Staged},
};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// What can be said about rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeakKind {
    /// Pairs that belong together or not.
    Pairs,
    /// Anchors that are nearer to one row than to another.
    Triplets,
    /// Pairs that are nearer than other pairs.
    Quadruplets,
    /// Small groups that belong together.
    Chunks,
}

impl WeakKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Pairs, Self::Triplets, Self::Quadruplets, Self::Chunks];

    /// Its name, in the plural.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pairs => "pairs",
            Self::Triplets => "triplets",
            Self::Quadruplets => "quadruplets",
            Self::Chunks => "chunks",
        }
    }
}

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
    /// Which kind it is.
    pub fn kind(&self) -> WeakKind {
        match self {
            Self::Pairs(_) => WeakKind::Pairs,
            Self::Triplets(_) => WeakKind::Triplets,
            Self::Quadruplets(_) => WeakKind::Quadruplets,
            Self::Chunks(_) => WeakKind::Chunks,
        }
    }

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
/// Of pairs, triplets and quadruplets a batch holds as many as fit, side by side, each once a pass. Chunks say only
/// what belongs together, so batches of their rows are shuffled, and those that meet in a batch count.
///
/// A loss must be able to learn from the kind ([`LossSettings::evidence`]): pairs and quadruplets (whose two pairs are
/// taken as one of each kind) need a loss that values every pair by itself; triplets also serve losses that compare a
/// positive with a negative of the same anchor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WeakTraining {
    /// The loss, over tuples. Default [`Contrastive`].
    pub loss: LossSettings,
    /// How embeddings are compared. Default none: the loss's own distance.
    pub distance: Option<Distance>,
}

impl Default for WeakTraining {
    fn default() -> Self {
        Self { loss: LossSettings::Contrastive(Contrastive::default()), distance: None }
    }
}

impl WeakTraining {
    /// Checks the settings, and that the loss can learn from this kind of supervision.
    ///
    /// # Errors
    /// Names what is out of range, or what the loss lacks, and which loss to take.
    pub fn check(&self, kind: WeakKind) -> Result<(), MetricError> {
        self.loss.check(self.distance, None)?;
        let triplets = kind == WeakKind::Triplets;
        let reason = match self.loss.evidence() {
            Evidence::Classes => "it needs the class of every image",
            Evidence::Triplets if !triplets => "it compares a positive and a negative of the same image",
            Evidence::Pairs | Evidence::Triplets => return Ok(()),
        };
        let instead = if triplets { "triplet_margin" } else { "contrastive" };
        Err(MetricError::Evidence { loss: self.loss.name(), given: kind.name(), reason, instead })
    }

    /// The method for this supervision of data of `rows` rows.
    ///
    /// # Errors
    /// As [`WeakTraining::check`], and when the supervision does not fit the data.
    pub fn method(self, supervision: Weak, rows: usize) -> Result<WeakMethod, WeakError> {
        self.check(supervision.kind())?;
        supervision.validate(rows)?;
        let name = self.loss.name();
        Ok(WeakMethod { training: self, name, told: Told::new(supervision) })
    }
}

/// Supervision as batches need it.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    /// The answer to every pair, the smaller row first.
    Pairs {
        given: GivenTuples,
        same: HashMap<[usize; 2], bool>,
    },
    Triplets(GivenTuples),
    Quadruplets(GivenTuples),
    Chunks(Chunks),
}

impl Told {
    fn new(supervision: Weak) -> Self {
        match supervision {
            Weak::Pairs(Pairs { pairs, same }) => {
                let answers = pairs.iter().zip(&same).map(|([a, b], same)| ([*a.min(b), *a.max(b)], *same));
                Self::Pairs { same: answers.collect(), given: GivenTuples::Pairs(pairs.into()) }
            }
            Weak::Triplets(Triplets(triplets)) => Self::Triplets(GivenTuples::Triplets(triplets.into())),
            Weak::Quadruplets(Quadruplets(four)) => Self::Quadruplets(GivenTuples::Quadruplets(four.into())),
            Weak::Chunks(chunks) => Self::Chunks(chunks),
        }
    }

    fn sampling(&self) -> Sampling {
        match self {
            Self::Pairs { given, .. } | Self::Triplets(given) | Self::Quadruplets(given) => {
                Sampling::Tuples(given.clone())
            }
            Self::Chunks(_) => Sampling::Shuffled,
        }
    }

    /// The tuples of a batch of these rows, as its order of images puts them side by side.
    fn tuples(&self, rows: &[usize]) -> Tuples {
        match self {
            Self::Pairs { same, .. } => {
                let pairs: Vec<[usize; 2]> = side_by_side(rows);
                let answer = |[i, j]: &[usize; 2]| {
                    let (a, b) = (rows[*i], rows[*j]);
                    same.get(&[a.min(b), a.max(b)]).copied()
                };
                // Rows that stand side by side but were never compared say nothing.
                let answered = pairs.iter().filter_map(|pair| Some((*pair, answer(pair)?)));
                let (pairs, same) = answered.unzip();
                Tuples::from(&Pairs { pairs, same })
            }
            Self::Triplets(_) => Tuples::from(&Triplets(side_by_side(rows))),
            Self::Quadruplets(_) => Tuples::from(&Quadruplets(side_by_side(rows))),
            Self::Chunks(chunks) => Tuples::from(&chunks.within(rows)),
        }
    }
}

/// Places `0..N`, `N..2 N` and so on of a batch of these rows.
fn side_by_side<const N: usize>(rows: &[usize]) -> Vec<[usize; N]> {
    (0..rows.len() / N).map(|k| std::array::from_fn(|i| N * k + i)).collect()
}

/// An encoder trained on weak supervision; made by [`WeakTraining::method`], which checks everything.
#[derive(Clone, Debug, PartialEq)]
pub struct WeakMethod {
    training: WeakTraining,
    name: &'static str,
    told: Told,
}

/// The encoder alone.
#[derive(Module, Debug)]
pub struct WeakModel {
    encoder: Encoder,
}

impl WeakMethod {
    /// Under another name in reports and checkpoints than that of its loss.
    #[must_use]
    pub fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// The loss `[1]` of embeddings `[n, d]` of the rows `indices`.
    fn value(&self, x: Tensor<2>, memory: &mut LossMemory, indices: &[usize]) -> Result<Tensor<1>, MetricError> {
        let WeakTraining { loss, distance } = &self.training;
        // Nothing is known of classes; the tuples say it all.
        let on = Pairwise::new(loss.distance(*distance), x, &vec![0; indices.len()], None)?;
        over_tuples(loss, &on, Some(&self.told.tuples(indices)), memory)
    }
}

impl Method for WeakMethod {
    type Model = WeakModel;
    type Memory = LossMemory;

    fn name(&self) -> &'static str {
        self.name
    }

    fn needs(&self) -> Needs {
        Needs { views: 1, labels: false, sampling: self.told.sampling() }
    }

    fn build(&self, encoder: Encoder, _: usize, _: u64, device: &Device) -> (WeakModel, LossMemory) {
        (WeakModel { encoder }, LossMemory::new(&self.training.loss, device))
    }

    fn objective(
        &self,
        model: &WeakModel,
        memory: &mut LossMemory,
        batch: &Batch,
        at: Progress,
    ) -> Result<Objective, BatchError> {
        self.whole(model, memory, batch, at)
    }

    fn staged(&self) -> Option<&dyn Staged<WeakModel, LossMemory>> {
        Some(self)
    }

    fn encoder<'a>(&self, model: &'a WeakModel) -> &'a Encoder {
        &model.encoder
    }
}

impl Staged<WeakModel, LossMemory> for WeakMethod {
    fn embed(&self, model: &WeakModel, views: &[Tensor<4>]) -> Vec<Tensor<2>> {
        vec![model.encoder.forward(views[0].clone())] // [n, d]
    }

    fn loss(
        &self,
        _: &WeakModel,
        memory: &mut LossMemory,
        batch: &Embedded<'_>,
        _: Progress,
    ) -> Result<Tensor<1>, BatchError> {
        Ok(self.value(batch.outputs[0].clone(), memory, batch.indices)?)
    }
}
