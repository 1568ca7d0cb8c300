//! The one training loop and what a method must say to run in it.
//!
//! Budget, logging, checkpoints, cancelation and collapse warnings exist once, here. A method owns its networks and its
//! memory and says what a batch must hold.

mod batches;
mod checkpoint;
mod digest;
pub mod embed;
mod error;
mod health;
mod order;
mod passes;
mod run;
mod staged;

pub use batches::{Batch, forward_views, view_shapes};
pub use checkpoint::{CheckpointError, latest};

pub use error::{BatchError, TrainError};
pub use health::{Health, Pairs, Warning};
pub use order::{GivenTuples, Order};
pub use passes::{Passes, PassesError, Step};
pub use run::{Trained, train};
pub use staged::{Embedded, Staged};

use crate::{
    augment::{AugmentError, Augmenter, SmallCrops},
    data::Dataset,
    encoder::Encoder,
    optim::OptimizerConfig,
};
use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};
use std::{fmt::Debug, ops::ControlFlow, path::PathBuf, time::Duration};

/// How a method wants its batches drawn; [`Order`] draws them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Sampling {
    /// Every image once a pass, in a new order each pass.
    Shuffled,
    /// As many classes as fit, with this many images of each.
    PerClass {
        /// Images of a class in a batch, at least 2.
        images: usize,
    },
    /// Classes of a few super classes only, which are hard to tell apart: the groups of the data are the super classes
    /// ([`crate::data::Hierarchical`]).
    Hierarchical {
        /// Super classes in a batch, at least 1.
        super_classes: usize,
        /// Images of a class in a batch, at least 2; more where the super classes have few classes.
        images: usize,
    },
    /// As many classes as fit, each with one image from each of several groups (cameras, sessions) of the data, so that
    /// no positive is from the anchor's group ([`crate::data::CrossGroups`]). Few classes make smaller batches.
    CrossGroups {
        /// Groups of a class in a batch, at least 2. Classes with fewer are left out.
        groups: usize,
    },
    /// As many given tuples as fit, their items side by side ([`crate::data::FixedTuples`]). What a method gives, not a
    /// setting.
    #[serde(skip)]
    Tuples(GivenTuples),
}

/// What a batch must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Augmented views of each image.
    pub views: usize,
    /// Whether class labels are used.
    pub labels: bool,
    /// How images are drawn.
    pub sampling: Sampling,
}

/// Where the run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Steps done before this one.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// Seed of the run, for what a method draws itself.
    pub seed: u64,
}

/// What a method makes of one batch.
pub struct Objective {
    /// The scalar that is differentiated, `[1]`.
    pub loss: Tensor<1>,
    /// The embeddings that the loss compares, `[n, d]`, for the health monitor.
    pub embedding: Tensor<2>,
}

/// A memory without content, for methods that keep nothing between steps.
#[derive(Module, Debug)]
pub struct NoMemory {
    nothing: Vec<crate::head::Head>,
}

impl NoMemory {
    /// The empty memory.
    pub fn new() -> Self {
        Self { nothing: Vec::new() }
    }
}

impl Default for NoMemory {
    fn default() -> Self {
        Self::new()
    }
}

/// A way of training an encoder. The value itself holds the settings: what it prints of them (`Debug`) tells the
/// checkpoints of one setting from those of another, so it must be the same for equal settings in every process.
pub trait Method: Debug {
    /// Everything that the optimiser updates.
    type Model: Module + 'static;
    /// What is kept between steps and saved in checkpoints but not optimised: a queue, a momentum encoder.
    type Memory: Module + 'static;

    /// The name in reports.
    fn name(&self) -> &'static str;

    /// What a batch must hold.
    fn needs(&self) -> Needs;

    /// Small crops of each image, the last of the views that a batch must hold: the method's own, where all others are
    /// shared by every method of a comparison.
    fn small_crops(&self) -> Option<SmallCrops> {
        None
    }

    /// Makes this method's views: those of `shared`, in turn, as many as it needs, and its small crops.
    ///
    /// # Errors
    /// When a setting of the small crops is outside its range.
    fn augmenter(&self, shared: &Augmenter) -> Result<Augmenter, AugmentError> {
        let views = self.needs().views;
        match self.small_crops() {
            None => Ok(shared.with_views(views)),
            Some(crops) => shared.with_views(views.saturating_sub(crops.count)).with_small_crops(&crops),
        }
    }

    /// Networks around `encoder`, which gives `features` numbers; new weights are drawn from `seed`.
    fn build(&self, encoder: Encoder, features: usize, seed: u64, device: &Device) -> (Self::Model, Self::Memory);

    /// The loss of one batch: all its [stages](Method::staged) at once, or what a method without stages writes here. Memory
    /// may change here only where the method's paper changes it before the update.
    ///
    /// # Errors
    /// Whatever keeps the loss of this batch from being computed, where nothing could tell before: a device that cannot
    /// be read, a batch with too few images. The loop stops with the reason.
    fn objective(
        &self,
        model: &Self::Model,
        memory: &mut Self::Memory,
        batch: &Batch,
        at: Progress,
    ) -> Result<Objective, BatchError> {
        let staged = self.staged().ok_or_else(|| format!("`{}` has neither an objective nor stages", self.name()))?;
        staged.whole(model, memory, batch, at)
    }

    /// Called after the optimiser's step with the new model: momentum updates belong here.
    fn after_step(&self, _model: &Self::Model, memory: Self::Memory, _at: Progress) -> Self::Memory {
        memory
    }

    /// The encoder inside the model.
    fn encoder<'a>(&self, model: &'a Self::Model) -> &'a Encoder;

    /// The map `L`, `[k, features]` without a graph, where the method learns one: features are then to be compared by
    /// `|L (f(a) - f(b))|`.
    fn components(&self, _model: &Self::Model) -> Option<Tensor<2>> {
        None
    }

    /// Parts of the paths of parameters whose learning rate does not decay.
    fn constant_rate(&self) -> &'static [&'static str] {
        &[]
    }

    /// The loss's value when all embeddings are equal, for a batch of `n` images, where the method has such a mark.
    fn collapsed_loss(&self, _n: usize) -> Option<f64> {
        None
    }

    /// What usually brings this method there, and the setting to change: the end of a sentence in a warning.
    fn remedy(&self) -> &'static str {
        "lower the learning rate or use easier views"
    }

    /// Whether a batch's loss compares its images with each other: negatives, whitening, correlations. Such a loss is
    /// not the mean of the losses of the batch's parts.
    fn compares_batch(&self) -> bool {
        true
    }

    /// The method in stages, where its loss sees the images through embeddings alone: gradient caching
    /// ([`Passes::Chunks`]) needs them.
    fn staged(&self) -> Option<&dyn Staged<Self::Model, Self::Memory>> {
        None
    }
}

/// The data of a run.
#[derive(Clone, Copy)]
pub struct TrainData<'a> {
    /// Training images; labels are needed if the method needs them.
    pub dataset: &'a Dataset,
    /// Makes the views.
    pub augmenter: &'a Augmenter,
}

/// Budget and bookkeeping of a run.
#[derive(Clone, Debug)]
pub struct TrainConfig {
    /// Images a step.
    pub batch: usize,
    /// How they pass through the networks.
    pub passes: Passes,
    /// Steps in all.
    pub steps: usize,
    /// Steps that are reported, checked and saved together.
    pub steps_per_epoch: usize,
    /// Seed of weights, order and views.
    pub seed: u64,
    /// Optimiser and schedule.
    pub optimizer: OptimizerConfig,
    /// Where checkpoints go; none are written without it.
    pub checkpoints: Option<PathBuf>,
}

/// One step's outcome, for progress display.
#[derive(Clone, Copy, Debug)]
pub struct StepEvent {
    /// Steps done, this one included.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// The newest loss that was read back.
    pub loss: f64,
    /// Images since the run (or its resumption) began, per second.
    pub images_per_second: f64,
}

/// One epoch's outcome.
#[derive(Clone, Debug)]
pub struct EpochEvent<'a> {
    /// Epochs done, this one included.
    pub epoch: usize,
    /// Mean of the losses read during the epoch.
    pub loss: f64,
    /// State of the embeddings at its end.
    pub health: Health,
    /// Time since the run began.
    pub elapsed: Duration,
    /// The encoder at its end.
    pub encoder: &'a Encoder,
}

/// Hears of a run's progress and may stop it.
pub trait Observer {
    /// After every step. Breaking ends the run behind a checkpoint.
    fn step(&mut self, _event: &StepEvent) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// After every epoch.
    fn epoch(&mut self, _event: &EpochEvent<'_>) {}

    /// Once for each new kind of trouble.
    fn warning(&mut self, _warning: &Warning) {}

    /// Whether [`batch`](Self::batch) is to be called; on a GPU the loop then waits for every step.
    fn watches_batches(&self) -> bool {
        false
    }

    /// After every step, before [`step`](Self::step): its batch and the encoder that came of it. Time spent here and in
    /// [`epoch`](Self::epoch) is no training time.
    fn batch(&mut self, _batch: &Batch, _encoder: &Encoder) {}

    /// What must outlive a stop: part of every checkpoint.
    fn save(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    /// Called before the first step of a run that goes on from a checkpoint, with what was saved there.
    fn restore(&mut self, _saved: &serde_json::Value) {}
}

/// An observer that does nothing.
impl Observer for () {}
