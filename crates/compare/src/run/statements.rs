//! How methods that learn from labels learn from statements alone, and which cannot.

use super::method::{Base, Deep, Linear, MethodName, MethodSettings};
use anyhow::{bail, ensure};
use metric::{
    MetricError,
    mahalanobis::WeakLearner,
    methods::{DeepMahalanobis, LossSettings, SupConMethod, WeakMethod, WeakTraining},
    weak::{Weak, WeakError, WeakKind},
};
use nearfar_core::{optim::OptimizerConfig, train::Sampling};

/// Whether a method can learn from this kind alone; one that uses no labels can.
pub fn can_learn(settings: &MethodSettings, method: MethodName, kind: WeakKind) -> anyhow::Result<()> {
    ensure!(!matches!(method.base, Base::Hybrid(_)), "{method} trains on the class of every image");
    if let Base::Deep(deep) = method.base
        && deep.needs_labels()
    {
        let (way, _) = Way::of(settings, deep)?;
        way.check(kind)?;
    }
    let Some(metric) = method.metric.filter(|metric| *metric != Linear::Covariance) else { return Ok(()) };
    match learner(settings, metric) {
        Some(learner) => Ok(learner.can_learn(kind)?),
        None => bail!("{method} needs the class of every image"),
    }
}

/// The learner of a Mahalanobis metric, where it is one that learns from statements.
pub fn learner(settings: &MethodSettings, metric: Linear) -> Option<&dyn WeakLearner> {
    let learner: &dyn WeakLearner = match metric {
        Linear::Itml => &settings.itml,
        Linear::Mmc => &settings.mmc,
        Linear::Sdml => &settings.sdml,
        Linear::Lsml => &settings.lsml,
        Linear::Scml => &settings.scml,
        Linear::Rca => &settings.rca,
        Linear::Mahalanobis | Linear::Lmnn | Linear::Nca | Linear::Lfda | Linear::Mlkr | Linear::Covariance => {
            return None;
        }
    };
    Some(learner)
}

/// A method of class labels on statements.
pub enum Way {
    /// Its loss, on given tuples in place of those of classes.
    Loss(WeakTraining),
    /// `supcon`.
    SupCon(SupConMethod),
    /// `deep_mahalanobis`.
    Mahalanobis(DeepMahalanobis),
}

impl Way {
    /// Of a method, with its optimiser's settings.
    pub fn of(settings: &MethodSettings, deep: Deep) -> anyhow::Result<(Self, &OptimizerConfig)> {
        match deep {
            Deep::Siamese => {
                let tuned = &settings.siamese;
                batches_are_given(tuned.settings.sampling.as_ref())?;
                let loss = LossSettings::Contrastive(tuned.settings.loss.clone());
                let distance = Some(tuned.settings.distance);
                Ok((Self::Loss(WeakTraining { loss, distance }), &tuned.optimizer))
            }
            Deep::Triplet => {
                let tuned = &settings.triplet;
                batches_are_given(tuned.settings.sampling.as_ref())?;
                let loss = LossSettings::TripletMargin(tuned.settings.loss.clone());
                let distance = Some(tuned.settings.distance);
                Ok((Self::Loss(WeakTraining { loss, distance }), &tuned.optimizer))
            }
            Deep::Mahalanobis => {
                let tuned = &settings.deep_mahalanobis;
                batches_are_given(tuned.settings.sampling.as_ref())?;
                Ok((Self::Mahalanobis(tuned.settings.clone()), &tuned.optimizer))
            }
            Deep::SupCon => Ok((Self::SupCon(settings.supcon.settings.clone()), &settings.supcon.optimizer)),
            Deep::Loss(place) => {
                let tuned = settings.loss(place)?;
                let own = &tuned.settings;
                ensure!(own.miner.is_none(), "its miner chooses among classes: leave `miner` out");
                batches_are_given(own.sampling.as_ref())?;
                ensure!(own.images_per_class.is_none(), "batches hold what was said: leave `images_per_class` out");
                let training = WeakTraining { loss: own.loss.clone(), distance: own.distance };
                Ok((Self::Loss(training), &tuned.optimizer))
            }
            other => bail!("`{}` needs the class of every image", other.name()),
        }
    }

    /// Whether this kind tells it enough.
    pub fn check(&self, kind: WeakKind) -> Result<(), MetricError> {
        match self {
            Self::Loss(training) => training.check(kind),
            Self::SupCon(method) => method.check_weak(kind),
            Self::Mahalanobis(method) => method.check_weak(kind),
        }
    }

    /// The method, on what was said about `rows` images.
    pub fn method(self, said: &Weak, rows: usize) -> Result<WeakMethod, WeakError> {
        match self {
            Self::Loss(training) => training.method(said.clone(), rows),
            Self::SupCon(method) => method.weak(said, rows),
            Self::Mahalanobis(method) => method.weak(said, rows),
        }
    }
}

fn batches_are_given(sampling: Option<&Sampling>) -> anyhow::Result<()> {
    ensure!(sampling.is_none(), "batches hold what was said: leave `sampling` out");
    Ok(())
}
