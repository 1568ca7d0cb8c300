mod own;
mod told;

use self::told::Told;
use super::{Embedder, LossMemory, deep_mahalanobis::away_from_identity, loss::over_tuples, table::LossSettings};
use crate::{
    Distance, MetricError, Pairwise,
    losses::{Contrastive, Evidence, PairLoss, SupCon},
    weak::{Weak, WeakError, WeakKind},
};
use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor},
};
use nearfar_core::{
    encoder::Encoder,
    head::{Head, HeadConfig},
    train::{BatchError, Embedded, Method, Needs, Progress, Staged},
};
use serde::{Deserialize, Serialize};

/// How an encoder is trained with a loss over tuples on what was said about the data, without class labels.
///
/// A batch holds as many statements as fit, side by side, each once a pass. A loss must be able to learn from the kind
/// ([`LossSettings::evidence`]):
///
/// | loss | pairs | triplets | quadruplets | chunks |
/// |---|---|---|---|---|
/// | values every pair by itself | yes | as one pair of each kind | as one pair of each kind | no |
/// | compares a positive and a negative of an anchor | joined | yes | `triplet_margin` alone | no |
/// | needs classes | no | no | no | no |
///
/// Joined: batches hold the triplets that pairs make ([`Pairs::triplets`](crate::weak::Pairs::triplets)), and of the
/// rows of a batch every answer counts. `triplet_margin` compares the two pairs of a quadruplet
/// ([`TripletMargin::forward_quadruplets`](crate::losses::TripletMargin::forward_quadruplets)).
///
/// Chunks alone train no encoder: nothing is far, and all rows may go to one point. Where no two chunks belong together
/// they are classes, and so are chains of pairs: [`Weak::as_classes`] makes class labels of them, from which every
/// method learns.
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
        match &self.loss {
            LossSettings::TripletMargin(loss) if kind == WeakKind::Quadruplets => loss.accepts_quadruplets(),
            loss => suffices(loss.name(), loss.evidence(), kind),
        }
    }

    /// The method for this supervision of data of `rows` rows.
    ///
    /// # Errors
    /// As [`WeakTraining::check`], and when the supervision does not fit the data or, of pairs, makes no triplet for a
    /// loss that needs them.
    pub fn method(self, supervision: Weak, rows: usize) -> Result<WeakMethod, WeakError> {
        self.check(supervision.kind())?;
        let name = self.loss.name();
        WeakMethod::new(name, WeakLoss::Table(self.loss), self.distance, Top::Nothing, &supervision, rows)
    }
}

/// Checks that a loss that must be told so much can learn from this kind.
fn suffices(loss: &'static str, evidence: Evidence, kind: WeakKind) -> Result<(), MetricError> {
    let reason = match (evidence, kind) {
        (_, WeakKind::Chunks) => return Err(MetricError::NothingFar { loss }),
        (Evidence::Classes, _) => "it needs the class of every image",
        (Evidence::Triplets, WeakKind::Quadruplets) => "it compares a positive and a negative of the same image",
        (Evidence::Pairs | Evidence::Triplets, _) => return Ok(()),
    };
    let instead = if kind == WeakKind::Pairs { "contrastive" } else { "triplet_margin" };
    Err(MetricError::Evidence { loss, given: kind.name(), reason, instead })
}

/// The loss of a method on statements.
#[derive(Clone, Debug, PartialEq)]
enum WeakLoss {
    /// One of the table.
    Table(LossSettings),
    /// That of `supcon`, which is a method of its own.
    SupCon(SupCon),
}

impl WeakLoss {
    fn evidence(&self) -> Evidence {
        match self {
            Self::Table(loss) => loss.evidence(),
            Self::SupCon(loss) => loss.evidence(),
        }
    }
}

/// What stands on the encoder while it trains.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Top {
    Nothing,
    /// A head of so many hidden units and outputs.
    Projector([usize; 2]),
    /// A learnt distance, with the weight of its penalty.
    Mahalanobis {
        penalty: f64,
    },
}

/// An encoder trained on weak supervision; made by [`WeakTraining::method`],
/// [`SupConMethod::weak`](super::SupConMethod::weak) and [`DeepMahalanobis::weak`](super::DeepMahalanobis::weak), which
/// check everything.
#[derive(Clone, Debug, PartialEq)]
pub struct WeakMethod {
    name: &'static str,
    loss: WeakLoss,
    distance: Option<Distance>,
    top: Top,
    told: Told,
}

/// An encoder and, where the method has one, what stands on it.
#[derive(Module, Debug)]
pub struct WeakModel {
    encoder: Encoder,
    projector: Option<Head>,
    /// `L^T` of a learnt distance, `[features, features]`.
    metric: Option<Param<Tensor<2>>>,
}

impl WeakModel {
    /// What the loss compares, `[n, d]`.
    fn embed(&self, view: Tensor<4>) -> Tensor<2> {
        let features = self.encoder.forward(view); // [n, features]
        let projected = match &self.projector {
            Some(projector) => projector.forward(features),
            None => features,
        };
        match &self.metric {
            Some(map) => projected.matmul(map.val()),
            None => projected,
        }
    }
}

impl WeakMethod {
    fn new(
        name: &'static str,
        loss: WeakLoss,
        distance: Option<Distance>,
        top: Top,
        said: &Weak,
        rows: usize,
    ) -> Result<Self, WeakError> {
        said.validate(rows)?;
        let told = Told::new(said, loss.evidence())?;
        Ok(Self { name, loss, distance, top, told })
    }

    /// Under another name in reports and checkpoints than that of its loss.
    #[must_use]
    pub fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// The loss `[1]` of embeddings `[n, d]` of the rows `indices`.
    fn value(
        &self,
        model: &WeakModel,
        x: Tensor<2>,
        memory: &mut LossMemory,
        indices: &[usize],
    ) -> Result<Tensor<1>, MetricError> {
        let loss = match &self.loss {
            WeakLoss::Table(loss) => {
                let on = compared(x, loss.distance(self.distance))?;
                match (loss, self.told.quadruplets(indices)) {
                    (LossSettings::TripletMargin(loss), Some(four)) => loss.forward_quadruplets(&on, &four),
                    _ => over_tuples(loss, &on, Some(&self.told.tuples(indices)), memory),
                }
            }
            WeakLoss::SupCon(loss) => {
                let on = compared(x, loss.default_distance())?;
                loss.forward(&on, Some(&self.told.tuples(indices)))
            }
        }?;
        Ok(match (self.top, &model.metric) {
            (Top::Mahalanobis { penalty }, Some(map)) => loss + away_from_identity(map.val()).mul_scalar(penalty),
            _ => loss,
        })
    }
}

/// Nothing is known of classes; the tuples say it all.
fn compared(x: Tensor<2>, distance: Distance) -> Result<Pairwise, MetricError> {
    let [rows, _] = x.dims();
    Pairwise::new(distance, x, &vec![0; rows], None)
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

    fn build(&self, encoder: Encoder, features: usize, seed: u64, device: &Device) -> (WeakModel, LossMemory) {
        let (mut head, mut metric) = (None, None);
        match self.top {
            Top::Nothing => {}
            Top::Projector([hidden, output]) => head = Some(HeadConfig::new([features, hidden, output])),
            Top::Mahalanobis { .. } => metric = Some(Param::from_tensor(Tensor::<2>::eye(features, device))),
        }
        let Embedder { encoder, projector } = Embedder::new(encoder, head, seed, device);
        let memory = match &self.loss {
            WeakLoss::Table(loss) => LossMemory::new(loss, device),
            WeakLoss::SupCon(_) => LossMemory::nothing(),
        };
        (WeakModel { encoder, projector, metric }, memory)
    }

    fn staged(&self) -> Option<&dyn Staged<WeakModel, LossMemory>> {
        Some(self)
    }

    fn encoder<'a>(&self, model: &'a WeakModel) -> &'a Encoder {
        &model.encoder
    }

    fn components(&self, model: &WeakModel) -> Option<Tensor<2>> {
        model.metric.as_ref().map(|map| map.val().detach().transpose())
    }
}

impl Staged<WeakModel, LossMemory> for WeakMethod {
    fn embed(&self, model: &WeakModel, views: &[Tensor<4>]) -> Vec<Tensor<2>> {
        vec![model.embed(views[0].clone())] // [n, d]
    }

    fn loss(
        &self,
        model: &WeakModel,
        memory: &mut LossMemory,
        batch: &Embedded<'_>,
        _: Progress,
    ) -> Result<Tensor<1>, BatchError> {
        Ok(self.value(model, batch.outputs[0].clone(), memory, batch.indices)?)
    }
}
