//! Features of a frozen encoder.

use crate::{
    augment::Augmenter,
    data::{Dataset, Inputs, Shape},
    encoder::Encoder,
    matrix::Matrix,
};
use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};

/// Images in one forward pass without gradients.
pub const BATCH: usize = 256;

/// Features of every image of `dataset`, `[n, features]`: the frozen encoder without augmentation, batch norm in
/// inference mode. The encoder is not changed.
pub fn embed(encoder: &Encoder, dataset: &Dataset, augmenter: &Augmenter, device: &Device) -> Matrix {
    embed_in_batches(encoder, dataset, augmenter, BATCH, device)
}

/// [`embed`] with `batch` images in one forward pass, at least 1: fewer need less memory. Images do not see each other.
pub fn embed_in_batches(
    encoder: &Encoder,
    dataset: &Dataset,
    augmenter: &Augmenter,
    batch: usize,
    device: &Device,
) -> Matrix {
    let (frozen, shape) = (Frozen::new(encoder, device), dataset.shape());
    let indices: Vec<usize> = (0..dataset.len()).collect();
    let plain = |images: &[usize]| augmenter.plain(&dataset.inputs, images);
    let parts = indices.chunks(batch.max(1)).map(|i| frozen.features(plain(i), i.len(), shape));
    stack(parts.collect())
}

/// Features of augmented views of the images `indices`, as of pass 0: one `[n, features]` a view.
pub fn views(
    encoder: &Encoder,
    dataset: &Dataset,
    indices: &[usize],
    augmenter: &Augmenter,
    device: &Device,
) -> Vec<Matrix> {
    let frozen = Frozen::new(encoder, device);
    let shapes = augmenter.view_shapes(dataset.shape());
    let inputs: &Inputs = &dataset.inputs;
    let mut parts: Vec<Vec<Matrix>> = vec![Vec::new(); augmenter.view_count()];
    for indices in indices.chunks(BATCH) {
        let views = augmenter.views(inputs, indices, 0).into_iter().zip(&shapes);
        for (part, (values, shape)) in parts.iter_mut().zip(views) {
            part.push(frozen.features(values, indices.len(), *shape));
        }
    }
    parts.into_iter().map(stack).collect()
}

/// Features of images that are on the device already, `[n, c, h, w]` to `[n, features]`, as in [`embed`].
pub fn features(encoder: &Encoder, images: &Tensor<4>) -> Matrix {
    read(encoder.valid().forward(images.clone().inner()))
}

struct Frozen {
    encoder: Encoder,
    device: Device,
}

impl Frozen {
    fn new(encoder: &Encoder, device: &Device) -> Self {
        Self { encoder: encoder.valid(), device: device.clone().without_autodiff() }
    }

    fn features(&self, values: Vec<f32>, n: usize, shape: Shape) -> Matrix {
        let dims = [n, shape.channels, shape.height, shape.width];
        read(self.encoder.forward(Tensor::from_data(TensorData::new(values, dims), &self.device)))
    }
}

fn read(features: Tensor<2>) -> Matrix {
    let [rows, cols] = features.dims();
    let values = features.try_into_vec_as::<f32>().expect("features are f32 and the device is alive");
    Matrix::new(values, rows, cols).expect("a tensor has as many values as its shape")
}

fn stack(parts: Vec<Matrix>) -> Matrix {
    let (rows, cols) = (parts.iter().map(Matrix::rows).sum(), parts.first().map_or(0, Matrix::cols));
    let data = parts.into_iter().flat_map(Matrix::into_vec).collect();
    Matrix::new(data, rows, cols).expect("parts of one width stack")
}
