//! Batches made ahead of the step that uses them.

use super::{Needs, Order, TrainConfig, TrainData, TrainError};
use crate::data::{DataError, Shape};
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::mpsc::{Receiver, sync_channel};

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

/// Calls `body` with a channel of the batches from step `first` on, made by a thread of their own.
pub(super) fn with_batches<R>(
    needs: Needs,
    data: TrainData<'_>,
    config: &TrainConfig,
    first: usize,
    body: impl FnOnce(Receiver<HostBatch>) -> R,
) -> Result<R, TrainError> {
    let labels = if needs.labels { Some(data.dataset.labels()?) } else { None };
    let order = Order::new(&needs.sampling, data.dataset, config.batch, config.seed)?;
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
