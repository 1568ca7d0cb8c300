//! Batch norm over parts of a batch on one device.
//!
//! MoCo's queries and keys must not see each other's batch statistics, or the network learns to cheat by them. On many
//! GPUs each computes its own statistics and the keys are shuffled between them. On one device the same is had by
//! passing parts of the batch one by one (MoCo's CIFAR demonstration: 8 parts) and shuffling the keys before.

use burn::tensor::{Int, Tensor, TensorData};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

/// Applies `forward` to `parts` slices of the batch and joins the results. Each slice has its own batch statistics;
/// running statistics move once a slice. A remainder goes to the first slices; no slice gets fewer than two rows.
pub(crate) fn in_parts(x: Tensor<4>, parts: usize, forward: impl Fn(Tensor<4>) -> Tensor<2>) -> Tensor<2> {
    let [n, ..] = x.dims();
    let parts = parts.clamp(1, (n / 2).max(1));
    if parts == 1 {
        return forward(x);
    }
    let mut start = 0;
    let mut results = Vec::with_capacity(parts);
    for part in 0..parts {
        let len = n / parts + usize::from(part < n % parts);
        results.push(forward(x.clone().narrow(0, start, len)));
        start += len;
    }
    Tensor::cat(results, 0)
}

/// As [`in_parts`] with the rows in a random order that the result undoes: the keys' side of MoCo.
pub(crate) fn in_shuffled_parts(
    x: Tensor<4>,
    parts: usize,
    seed: u64,
    forward: impl Fn(Tensor<4>) -> Tensor<2>,
) -> Tensor<2> {
    let [n, ..] = x.dims();
    let device = x.device();
    let mut order: Vec<i32> = (0..n as i32).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let mut inverse = vec![0i32; n];
    for (i, o) in order.iter().enumerate() {
        inverse[*o as usize] = i as i32;
    }
    let index = |v: Vec<i32>| Tensor::<1, Int>::from_data(TensorData::new(v, [n]), &device);
    in_parts(x.select(0, index(order)), parts, forward).select(0, index(inverse))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn batch(n: usize) -> Tensor<4> {
        Tensor::from_data(TensorData::new((0..n).map(|i| i as f32).collect(), [n, 1, 1, 1]), &Device::flex())
    }

    /// What batch norm does to a part: subtract its mean.
    fn centre(x: Tensor<4>) -> Tensor<2> {
        let x = x.flatten::<2>(1, 3);
        x.clone() - x.mean_dim(0)
    }

    #[test]
    fn each_part_has_its_own_statistics() {
        let y = in_parts(batch(5), 2, centre).try_into_vec_as::<f32>().unwrap();
        assert_eq!(y, [-1.0, 0.0, 1.0, -0.5, 0.5]);
        assert_eq!(in_parts(batch(3), 8, centre).dims(), [3, 1]);
    }

    #[test]
    fn shuffling_is_undone() {
        let identity = |x: Tensor<4>| x.flatten::<2>(1, 3);
        let y = in_shuffled_parts(batch(11), 3, 4, identity).try_into_vec_as::<f32>().unwrap();
        assert_eq!(y, (0..11).map(|i| i as f32).collect::<Vec<_>>());
    }
}
