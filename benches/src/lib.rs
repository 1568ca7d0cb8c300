//! What the benches share: inputs drawn from ChaCha8, the CPU backends, and the step that is timed.
//!
//! ```
//! use benches::{balanced_labels, random_embeddings};
//!
//! let rows = random_embeddings(6, 128, 1);
//! assert_eq!((rows.rows(), rows.cols()), (6, 128));
//! assert_eq!(balanced_labels(6, 3), [0, 1, 2, 0, 1, 2]);
//! ```

#![recursion_limit = "256"]

mod step;
pub mod timer;

pub use step::{Inference, TrainStep};

use burn::tensor::{Device, Tensor, TensorData};
use metric::weak::Pairs;
use nearfar_core::{
    backend::{Backend, BackendError},
    data::{Inputs, Shape},
    matrix::Matrix,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Flex and NdArray with their devices, without autodiff.
///
/// # Errors
/// When one of them is not part of this build.
pub fn cpu_backends() -> Result<Vec<(Backend, Device)>, BackendError> {
    [Backend::Flex, Backend::NdArray].into_iter().map(Backend::open).collect()
}

/// Images `[items, c, h, w]` whose pixels are uniform in 0..=255.
pub fn random_pixels(items: usize, shape: Shape, seed: u64) -> Inputs {
    let mut pixels = vec![0u8; items * shape.channels * shape.height * shape.width];
    ChaCha8Rng::seed_from_u64(seed).fill(&mut pixels[..]);
    Inputs::Images { pixels, channels: shape.channels, height: shape.height, width: shape.width }
}

/// A batch `[items, c, h, w]` on `device`, uniform in [-1, 1): about what a normalised image holds.
pub fn random_images(items: usize, shape: Shape, seed: u64, device: &Device) -> Tensor<4> {
    let dims = [items, shape.channels, shape.height, shape.width];
    Tensor::from_data(TensorData::new(uniform(dims.iter().product(), seed), dims), device)
}

/// Rows `[items, dimension]`, uniform in [-1, 1): not of unit length.
pub fn random_embeddings(items: usize, dimension: usize, seed: u64) -> Matrix {
    Matrix::new(uniform(items * dimension, seed), items, dimension).expect("as many values as the shape says")
}

/// Rows `[items, dimension]`, uniform in [-1, 1), that other languages can draw as well: SplitMix64 (Steele, Lea and
/// Flood, 2014), the upper 24 bits of every word. `benches/peers/common.py` draws the same numbers.
pub fn shared_embeddings(items: usize, dimension: usize, seed: u64) -> Matrix {
    // An f32 holds 24 bits: nothing is rounded.
    let value = |i: usize| (split_mix(seed, i as u64) >> 40) as f32 / 8_388_608.0 - 1.0;
    let values = (0..items * dimension).map(value).collect();
    Matrix::new(values, items, dimension).expect("as many values as the shape says")
}

/// Rows `[items, features]` of classes that overlap, and their classes `0, 1, .., classes - 1, 0, ..`: noise uniform in
/// [-2, 2), and 1.5 more in each feature whose number leaves the rest `class` when divided by the classes.
/// `benches/peers/mahalanobis.py` makes the same.
///
/// # Panics
/// When there are items but no classes.
pub fn shared_classes(items: usize, features: usize, classes: usize) -> (Matrix, Vec<usize>) {
    let value = |i: usize, j: usize| {
        let unit = (split_mix(0, (i * features + j) as u64) >> 40) as f32 / 16_777_216.0;
        let signal = if j % classes == i % classes { 1.5 } else { 0.0 };
        4.0 * unit - 2.0 + signal
    };
    (Matrix::from_fn(items, features, value), balanced_labels(items, classes))
}

/// `count` pairs of equal classes of [`shared_classes`], then as many of different ones; the same as the peer's.
///
/// # Panics
/// When there are fewer than two classes, fewer than two items of each, or `classes` does not divide `items`.
pub fn shared_pairs(items: usize, classes: usize, count: usize) -> Pairs {
    assert!(classes > 1 && items >= 2 * classes && items.is_multiple_of(classes), "{items} items of {classes} classes");
    let each = items / classes;
    let word = |seed: u64, i: usize, range: usize| (split_mix(seed, i as u64) % range as u64) as usize;
    let same = (0..count).map(|p| {
        let a = word(3, 2 * p, items);
        [a, (a + classes * (1 + word(3, 2 * p + 1, each - 1))) % items]
    });
    let different = (0..count).map(|p| {
        let a = word(4, 3 * p, items);
        [a, (a + classes * word(4, 3 * p + 1, each) + 1 + word(4, 3 * p + 2, classes - 1)) % items]
    });
    Pairs { pairs: same.chain(different).collect(), same: (0..2 * count).map(|p| p < count).collect() }
}

/// Word `i` of the stream that begins at `seed`.
fn split_mix(seed: u64, i: u64) -> u64 {
    let z = seed.wrapping_add((i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A matrix as a tensor `[rows, cols]` on `device`.
pub fn to_tensor(matrix: Matrix, device: &Device) -> Tensor<2> {
    let dims = [matrix.rows(), matrix.cols()];
    Tensor::from_data(TensorData::new(matrix.into_vec(), dims), device)
}

/// Labels `0, 1, .., classes - 1, 0, 1, ..`: every class equally often when `classes` divides `items`.
///
/// # Panics
/// When there are items but no classes.
pub fn balanced_labels(items: usize, classes: usize) -> Vec<usize> {
    (0..items).map(|i| i % classes).collect()
}

fn uniform(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| rng.random_range(-1.0f32..1.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { channels: 3, height: 4, width: 5 };

    #[test]
    fn inputs_are_a_function_of_the_seed() {
        assert_eq!(random_embeddings(7, 3, 1), random_embeddings(7, 3, 1));
        assert_ne!(random_embeddings(7, 3, 1), random_embeddings(7, 3, 2));
        assert!(random_embeddings(50, 20, 1).as_slice().iter().all(|v| (-1.0..1.0).contains(v)));
    }

    #[test]
    fn shared_embeddings_are_those_of_the_peers() {
        assert_eq!(split_mix(0, 0), 0xe220_a839_7b1d_cdaf); // the generator's published first word
        // Printed by `common.embeddings(2, 3, 1)`.
        let expected = [0.133_123_04, 0.491_563_44, 0.942_005_4, -0.111_281_63, -0.111_470_7, 0.525_788_66];
        assert_eq!(shared_embeddings(2, 3, 1).as_slice(), expected);
        assert!(shared_embeddings(50, 20, 1).as_slice().iter().all(|v| (-1.0..1.0).contains(v)));
    }

    #[test]
    fn shared_pairs_are_of_the_kind_they_say() {
        let (x, labels) = shared_classes(30, 4, 5);
        assert_eq!((x.rows(), x.cols(), labels[6]), (30, 4, 1));
        let pairs = shared_pairs(30, 5, 40);
        assert_eq!((pairs.pairs.len(), pairs.same.len()), (80, 80));
        for (&[a, b], &same) in pairs.pairs.iter().zip(&pairs.same) {
            assert!(a != b && (labels[a] == labels[b]) == same, "{a} {b}");
        }
    }

    #[test]
    fn images_have_the_shape_asked_for() {
        for (backend, device) in cpu_backends().unwrap() {
            assert_eq!(random_images(2, SHAPE, 1, &device).dims(), [2, 3, 4, 5], "{backend}");
        }
        let Inputs::Images { pixels, channels, height, width } = random_pixels(2, SHAPE, 1) else {
            panic!("random pixels are images");
        };
        assert_eq!((pixels.len(), channels, height, width), (120, 3, 4, 5));
        assert!(pixels.iter().any(|p| *p > 200) && pixels.iter().any(|p| *p < 50));
    }

    #[test]
    fn a_matrix_keeps_its_rows_on_the_device() {
        let rows = random_embeddings(3, 4, 1);
        for (backend, device) in cpu_backends().unwrap() {
            let tensor = to_tensor(rows.clone(), &device);
            assert_eq!(tensor.dims(), [3, 4], "{backend}");
            assert_eq!(tensor.try_into_vec_as::<f32>().unwrap(), rows.as_slice(), "{backend}");
        }
    }

    #[test]
    fn labels_are_balanced() {
        let labels = balanced_labels(12, 4);
        assert!((0..4).all(|class| labels.iter().filter(|l| **l == class).count() == 3));
    }
}
