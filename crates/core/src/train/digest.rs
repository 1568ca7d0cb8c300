//! A run in a number, so that no checkpoint is taken for another run's.

use super::{Method, TrainConfig, TrainData};
use crate::digest::Digest;

/// Stands for all that a checkpoint depends on: the method with its settings, the budget, the optimiser, the seed, the
/// views and the data.
pub(super) fn digest<M: Method>(method: &M, features: usize, data: TrainData<'_>, config: &TrainConfig) -> String {
    let TrainConfig { batch, passes, steps, steps_per_epoch, seed, optimizer, checkpoints: _ } = config;
    let TrainData { dataset, augmenter } = data;
    let name = method.name();
    let settings = format!(
        "{name} {method:?} {features} {batch} {passes:?} {steps} {steps_per_epoch} {seed} {optimizer:?} {augmenter:?}"
    );
    let mut digest = Digest::new();
    digest.bytes(settings.as_bytes());
    digest.dataset(dataset);
    digest.text()
}
