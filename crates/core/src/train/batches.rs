//! Batches made ahead of the step that uses them.

use super::{Needs, Sampling, TrainConfig, TrainData, TrainError};
use crate::data::{DataError, MPerClass, Shape, Shuffled};
use burn::tensor::{Device, Tensor, TensorData};
use std::{
    ops::Range,
    sync::mpsc::{Receiver, sync_channel},
};

/// One batch.
pub struct Batch {
    /// The views, each `[n, c, h, w]`.
    pub views: Vec<Tensor<4>>,
    /// Class of each image; empty if the method asked for none.
    pub labels: Vec<usize>,
    /// Index of each image in the data set.
    pub indices: Vec<usize>,
}

impl Batch {
    /// Images in the batch.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// All views one below the other, `[views * n, c, h, w]`, the first view first.
    pub fn concatenated(&self) -> Tensor<4> {
        Tensor::cat(self.views.clone(), 0)
    }

    /// The images `range` alone.
    ///
    /// # Panics
    /// When the batch has fewer images.
    pub fn part(&self, range: &Range<usize>) -> Self {
        Self {
            views: self.views.iter().map(|view| view.clone().narrow(0, range.start, range.len())).collect(),
            labels: self.labels.get(range.clone()).unwrap_or_default().to_vec(),
            indices: self.indices[range.clone()].to_vec(),
        }
    }
}

/// A batch in host memory.
pub(super) struct HostBatch {
    views: Vec<Vec<f32>>,
    labels: Vec<usize>,
    indices: Vec<usize>,
}

impl HostBatch {
    pub(super) fn upload(self, shape: Shape, device: &Device) -> Batch {
        let dims = [self.indices.len(), shape.channels, shape.height, shape.width];
        let views = self.views.into_iter().map(|v| Tensor::from_data(TensorData::new(v, dims), device)).collect();
        Batch { views, labels: self.labels, indices: self.indices }
    }
}

/// The order of a run's images: a function of the seed, so that a resumed run goes on with the right batch.
enum Order {
    Shuffled(Shuffled),
    PerClass(MPerClass),
}

impl Order {
    fn new(needs: Needs, data: TrainData<'_>, config: &TrainConfig) -> Result<Self, TrainError> {
        let n = data.dataset.len();
        Ok(match needs.sampling {
            Sampling::Shuffled => Self::Shuffled(Shuffled::new(n, config.batch, config.seed)?),
            Sampling::PerClass { images } => {
                let labels = data.dataset.labels()?;
                let classes = (config.batch / images.max(1)).min(data.dataset.class_names.len());
                // Few classes: more images of each, so that a batch keeps its size.
                let images = config.batch / classes.max(1);
                Self::PerClass(MPerClass::new(labels, classes, images, config.seed)?)
            }
        })
    }

    fn pass(&self, pass: u64) -> Vec<Vec<usize>> {
        match self {
            Self::Shuffled(s) => s.epoch(pass).collect(),
            Self::PerClass(s) => s.epoch(pass).collect(),
        }
    }
}

/// Calls `body` with a channel of the batches from step `first` on, made by a thread of their own.
pub(super) fn with_batches<R>(
    needs: Needs,
    data: TrainData<'_>,
    config: &TrainConfig,
    first: usize,
    body: impl FnOnce(Receiver<HostBatch>) -> R,
) -> Result<R, TrainError> {
    let labels = if needs.labels { Some(data.dataset.labels()?) } else { None };
    let order = Order::new(needs, data, config)?;
    let per_pass = order.pass(0).len();
    if per_pass == 0 {
        return Err(DataError::BatchTooLarge { batch: config.batch, images: data.dataset.len() }.into());
    }
    let steps = first..config.steps;
    // One batch ready and one in the making keep the step from waiting without filling memory.
    let (sender, receiver) = sync_channel(1);
    Ok(std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut passes = (0, order.pass(0));
            for step in steps {
                let pass = step / per_pass;
                if passes.0 != pass {
                    passes = (pass, order.pass(pass as u64));
                }
                let indices = std::mem::take(&mut passes.1[step % per_pass]);
                let mut views = data.augmenter.views(&data.dataset.inputs, &indices, pass as u64);
                views.truncate(needs.views);
                let labels = labels.map_or_else(Vec::new, |l| indices.iter().map(|i| l[*i]).collect());
                // The receiver is gone when the run has ended early.
                if sender.send(HostBatch { views, labels, indices }).is_err() {
                    return;
                }
            }
        });
        body(receiver)
    }))
}
