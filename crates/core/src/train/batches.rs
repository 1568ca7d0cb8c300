//! Batches made ahead of the step that uses them.

use super::{Needs, Order, TrainConfig, TrainData, TrainError};
use crate::{
    data::{DataError, Shape},
    encoder::EncoderError,
};
use burn::tensor::{Device, Tensor, TensorData};
use std::{
    ops::Range,
    sync::mpsc::{Receiver, sync_channel},
};

/// One batch.
pub struct Batch {
    /// The views, each `[n, c, h, w]`; small crops have a height and a width of their own.
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

/// `forward` of all views, one below the other, `[views * n, d]`, the first view first.
///
/// Neighbouring views of one size pass together, so batch statistics are those of all of them; a change of size begins
/// another pass, as in the authors' code of SwAV and DINO.
///
/// # Panics
/// When there is no view.
pub fn forward_views(views: &[Tensor<4>], forward: impl Fn(Tensor<4>) -> Tensor<2>) -> Tensor<2> {
    let sizes = views.chunk_by(|a, b| a.dims() == b.dims());
    let parts: Vec<Tensor<2>> = sizes.map(|group| forward(Tensor::cat(group.to_vec(), 0))).collect();
    match <[Tensor<2>; 1]>::try_from(parts) {
        Ok([all]) => all,
        Err(parts) => Tensor::cat(parts, 0),
    }
}

/// The shapes of a method's views; `takes` says of each whether the encoder can take it ([`Encoder::check`], or
/// [`Architecture::takes`] before there is one).
///
/// [`Encoder::check`]: crate::encoder::Encoder::check
/// [`Architecture::takes`]: crate::encoder::Architecture::takes
///
/// # Errors
/// When a recipe does not fit the data, or a view is too small for the encoder.
pub fn view_shapes(
    needs: &Needs,
    data: TrainData<'_>,
    takes: impl Fn(Shape) -> Result<(), EncoderError>,
) -> Result<Vec<Shape>, TrainError> {
    data.augmenter.check(&data.dataset.inputs)?;
    let mut shapes = data.augmenter.view_shapes(data.dataset.shape());
    shapes.truncate(needs.views);
    for (view, shape) in shapes.iter().enumerate() {
        takes(*shape).map_err(|reason| TrainError::View { view, reason })?;
    }
    Ok(shapes)
}

/// A batch in host memory.
pub(super) struct HostBatch {
    views: Vec<Vec<f32>>,
    labels: Vec<usize>,
    indices: Vec<usize>,
}

impl HostBatch {
    /// `shapes` are those of the views.
    pub(super) fn upload(self, shapes: &[Shape], device: &Device) -> Batch {
        let n = self.indices.len();
        let upload = |(values, shape): (Vec<f32>, &Shape)| {
            let dims = [n, shape.channels, shape.height, shape.width];
            Tensor::from_data(TensorData::new(values, dims), device)
        };
        let views = self.views.into_iter().zip(shapes).map(upload).collect();
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// `n` images of `side x side` pixels, all `value`.
    fn view(n: usize, side: usize, value: f32) -> Tensor<4> {
        Tensor::full([n, 1, side, side], value, &Device::flex())
    }

    #[test]
    fn neighbouring_views_of_one_size_pass_together_and_keep_their_order() {
        let passes = RefCell::new(Vec::new());
        let forward = |x: Tensor<4>| {
            passes.borrow_mut().push(x.dims());
            x.flatten::<2>(1, 3).mean_dim(1) // [views n, 1]
        };
        let rows = |views: &[Tensor<4>]| forward_views(views, forward).try_into_vec_as::<f32>().unwrap();
        let large = [view(2, 8, 1.0), view(2, 8, 2.0)];
        assert_eq!(rows(&large), [1.0, 1.0, 2.0, 2.0]);
        assert_eq!(passes.take(), [[4, 1, 8, 8]]);
        let multi = [large, [view(2, 4, 3.0), view(2, 4, 4.0)]].concat();
        assert_eq!(rows(&multi), [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]);
        assert_eq!(passes.take(), [[4, 1, 8, 8], [4, 1, 4, 4]]);
    }

    #[test]
    fn a_batch_keeps_the_shape_of_each_view() {
        let shape = |side| Shape { channels: 1, height: side, width: side };
        let host = HostBatch { views: vec![vec![0.0; 32], vec![1.0; 8]], labels: Vec::new(), indices: vec![3, 5] };
        let batch = host.upload(&[shape(4), shape(2)], &Device::flex());
        let dims: Vec<[usize; 4]> = batch.views.iter().map(Tensor::dims).collect();
        assert_eq!(dims, [[2, 1, 4, 4], [2, 1, 2, 2]]);
        assert_eq!(batch.len(), 2);
    }
}
