//! The fused operations against the plain composition of Burn's own, values and gradients, on both CPU backends.

#![cfg(all(feature = "flex", feature = "ndarray"))]

use burn::{
    nn::{BatchNorm, BatchNormConfig},
    tensor::{
        Device, Tensor, TensorData, activation, module,
        ops::{ConvOptions, MaxPoolOptions},
    },
};
use nearfar_kernels as kernels;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn devices() -> [Device; 2] {
    #[allow(deprecated)]
    [Device::flex().autodiff(), Device::ndarray().autodiff()]
}

fn random<const D: usize>(rng: &mut ChaCha8Rng, shape: [usize; D], device: &Device) -> Tensor<D> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-2.0..2.0)).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn values<const D: usize>(t: Tensor<D>) -> Vec<f32> {
    t.try_into_vec_as::<f32>().unwrap()
}

fn assert_close(got: &[f32], want: &[f32], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    let scale = want.iter().fold(1.0f32, |m, v| m.max(v.abs()));
    for (i, (a, b)) in got.iter().zip(want).enumerate() {
        assert!((a - b).abs() <= 2e-4 * scale, "{what}[{i}]: {a}, want {b}");
    }
}

/// A scalar that weighs every entry differently, so that gradients differ too.
fn weigh<const D: usize>(y: Tensor<D>) -> Tensor<1> {
    let shape: [usize; D] = y.dims();
    let weights: Vec<f32> = (0..shape.iter().product()).map(|i| ((i * 7 % 13) as f32 - 6.0) / 5.0).collect();
    let weights = Tensor::<D>::from_data(TensorData::new(weights, shape), &y.device());
    (y * weights).sum()
}

fn norm_with_state(rng: &mut ChaCha8Rng, channels: usize, device: &Device) -> BatchNorm {
    let mut norm = BatchNormConfig::new(channels).init(device);
    let (gamma, beta) = (random(rng, [channels], device), random(rng, [channels], device));
    norm.gamma = norm.gamma.map(|_| gamma.require_grad());
    norm.beta = norm.beta.map(|_| beta.require_grad());
    norm
}

/// Output, gradients of every argument, and running statistics of one forward and backward pass.
fn pass(
    seed: u64,
    shape: [usize; 4],
    device: &Device,
    forward: impl Fn(&BatchNorm, Tensor<4>, Tensor<4>) -> Tensor<4>,
) -> Vec<Vec<f32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let x = random(&mut rng, shape, device).require_grad();
    let residual = random(&mut rng, shape, device).require_grad();
    let norm = norm_with_state(&mut rng, shape[1], device);
    let y = forward(&norm, x.clone(), residual.clone());
    let grads = weigh(y.clone()).backward();
    let mut out = vec![values(y), values(x.grad(&grads).unwrap())];
    out.extend(residual.grad(&grads).map(values));
    out.push(values(norm.gamma.val().grad(&grads).unwrap()));
    out.push(values(norm.beta.val().grad(&grads).unwrap()));
    out.push(values(norm.running_mean.value_sync()));
    out.push(values(norm.running_var.value_sync()));
    out
}

fn compare(got: &[Vec<f32>], want: &[Vec<f32>], what: &str) {
    assert_eq!(got.len(), want.len());
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert_close(g, w, &format!("{what}, part {i}"));
    }
}

fn max_pool(x: Tensor<4>) -> Tensor<4> {
    module::max_pool2d(x, MaxPoolOptions::new([2, 2]))
}

fn convolution(seed: u64, n: usize, [cin, cout]: [usize; 2], [h, w]: [usize; 2], kernel: usize, stride: usize) {
    for device in devices() {
        let run = |fused: bool| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let x = random(&mut rng, [n, cin, h, w], &device).require_grad();
            let weight = random(&mut rng, [cout, cin, kernel, kernel], &device).require_grad();
            let y = if fused {
                kernels::conv2d(x.clone(), weight.clone(), stride, kernel / 2)
            } else {
                let options = ConvOptions::new([stride; 2], [kernel / 2; 2], [1, 1], 1);
                module::conv2d(x.clone(), weight.clone(), None, options)
            };
            let grads = weigh(y.clone()).backward();
            vec![values(y), values(x.grad(&grads).unwrap()), values(weight.grad(&grads).unwrap())]
        };
        compare(&run(true), &run(false), &format!("convolution on {device:?}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn convolution_equals_burn(
        seed in any::<u64>(), n in 1usize..4, cin in 1usize..24, cout in 1usize..36, h in 3usize..10, w in 3usize..10,
        three in any::<bool>(), stride in 1usize..3,
    ) {
        convolution(seed, n, [cin, cout], [h, w], if three { 3 } else { 1 }, stride);
    }

    #[test]
    fn norms_equal_burn(seed in any::<u64>(), n in 1usize..4, c in 1usize..20, h in 2usize..8, w in 2usize..8) {
        let shape = [n, c, h, w];
        for device in devices() {
            compare(
                &pass(seed, shape, &device, |norm, x, _| kernels::batch_norm_relu(norm, x, false)),
                &pass(seed, shape, &device, |norm, x, _| activation::relu(norm.forward(x))),
                "norm, relu",
            );
            compare(
                &pass(seed, shape, &device, |norm, x, _| kernels::batch_norm_relu(norm, x, true)),
                &pass(seed, shape, &device, |norm, x, _| max_pool(activation::relu(norm.forward(x)))),
                "norm, relu, pool",
            );
            compare(
                &pass(seed, shape, &device, |norm, x, _| kernels::batch_norm(norm, x)),
                &pass(seed, shape, &device, |norm, x, _| norm.forward(x)),
                "norm",
            );
            compare(
                &pass(seed, shape, &device, kernels::batch_norm_add_relu),
                &pass(seed, shape, &device, |norm, x, r| activation::relu(norm.forward(x) + r)),
                "norm, add, relu",
            );
        }
    }
}

#[test]
fn inputs_in_any_memory_layout_give_the_same() {
    for device in devices() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let x = random(&mut rng, [2, 6, 5, 7], &device);
        let weight = random(&mut rng, [4, 6, 3, 3], &device);
        let want = values(kernels::conv2d(x.clone(), weight.clone(), 1, 1));
        // The same values as a view of a transposed tensor and as a slice of a larger one.
        let transposed = x.clone().swap_dims(2, 3).clone().mul_scalar(1.0).swap_dims(2, 3);
        assert_close(&values(kernels::conv2d(transposed, weight.clone(), 1, 1)), &want, "transposed");
        let larger = Tensor::cat(vec![x.clone(), x.clone()], 0).narrow(0, 2, 2);
        assert_close(&values(kernels::conv2d(larger, weight.clone(), 1, 1)), &want, "sliced");
        let flipped = x.flip([2]).mul_scalar(1.0).flip([2]);
        assert_close(&values(kernels::conv2d(flipped, weight, 1, 1)), &want, "flipped twice");
    }
}

#[test]
fn nan_and_infinity_come_out_as_from_burn() {
    for device in devices().into_iter().take(1) {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let norm = norm_with_state(&mut rng, 2, &device);
        let mut data = values(random(&mut rng, [1, 2, 4, 4], &device));
        data[3] = f32::NAN;
        data[20] = f32::INFINITY;
        let x = || Tensor::<4>::from_data(TensorData::new(data.clone(), [1, 2, 4, 4]), &device);
        let fused = values(kernels::batch_norm_relu(&norm, x(), false));
        let plain = values(activation::relu(norm.forward(x())));
        for (a, b) in fused.iter().zip(&plain) {
            assert!(a.is_nan() == b.is_nan() && (a.is_nan() || (a - b).abs() < 1e-4), "{fused:?} {plain:?}");
        }
    }
}

#[test]
fn inference_uses_the_running_statistics() {
    use burn::module::Module;
    for device in devices() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let norm = norm_with_state(&mut rng, 3, &device);
        let x = random(&mut rng, [4, 3, 6, 6], &device);
        norm.forward(x.clone());
        let (norm, x) = (norm.valid(), x.without_autodiff());
        let fused = kernels::batch_norm_relu(&norm, x.clone(), true);
        assert_close(&values(fused), &values(max_pool(activation::relu(norm.forward(x)))), "inference");
    }
}

#[test]
fn a_frozen_norm_passes_gradients_without_batch_statistics() {
    use burn::module::Module;
    for device in devices() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let norm = norm_with_state(&mut rng, 3, &device).freeze();
        let x = random(&mut rng, [2, 3, 4, 4], &device).require_grad();
        let grad = |y: Tensor<4>| values(x.grad(&weigh(y).backward()).unwrap());
        let fused = grad(kernels::batch_norm_relu(&norm, x.clone(), false));
        assert_close(&fused, &grad(activation::relu(norm.forward(x.clone()))), "frozen");
    }
}

#[test]
fn averages_and_their_gradients() {
    for device in devices() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let x = random(&mut rng, [3, 5, 4, 2], &device).require_grad();
        let fused = kernels::global_average_pool(x.clone());
        let plain = x.clone().mean_dim(3).mean_dim(2).flatten::<2>(1, 3);
        assert_close(&values(fused.clone()), &values(plain.clone()), "average");
        let grad = |y: Tensor<2>| values(x.grad(&weigh(y).backward()).unwrap());
        assert_close(&grad(fused), &grad(plain), "average's gradient");
    }
}

#[test]
fn both_branches_of_a_fork_reach_its_input() {
    for device in devices() {
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        let x = random(&mut rng, [2, 17, 5, 4], &device).require_grad();
        let weight = random(&mut rng, [17, 17, 3, 3], &device).require_grad();
        let grads = |y: Tensor<4>| {
            let grads = weigh(y.clone()).backward();
            [values(y), values(x.grad(&grads).unwrap()), values(weight.grad(&grads).unwrap())]
        };
        let (a, b) = kernels::fork(x.clone());
        let fused = grads(kernels::add(b, kernels::conv2d(a, weight.clone(), 1, 1)));
        let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
        let plain = grads(x.clone() + module::conv2d(x.clone(), weight.clone(), None, options));
        compare(&fused, &plain, "fork");
        let (a, b) = kernels::fork(x.clone().without_autodiff());
        assert_eq!(values(a), values(b), "a fork without a graph");
    }
}

/// Central differences of the weighed output in single precision: steps of 1/8 keep the rounding small, and every
/// layer here is linear or smooth.
#[test]
fn gradients_are_the_slopes_of_the_outputs() {
    let device = Device::flex().autodiff();
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let norm = norm_with_state(&mut rng, 18, &device);
    let weight = random(&mut rng, [18, 16, 3, 3], &device).mul_scalar(0.1);
    let start = values(random(&mut rng, [3, 16, 5, 5], &device));
    for (stride, normalise) in [(1, false), (2, false), (1, true)] {
        let forward = |x: Tensor<4>| {
            let y = kernels::conv2d(x, weight.clone(), stride, 1);
            weigh(if normalise { kernels::batch_norm(&norm, y) } else { y })
        };
        let tensor = |v: &[f32]| Tensor::<4>::from_data(TensorData::new(v.to_vec(), [3, 16, 5, 5]), &device);
        let x = tensor(&start).require_grad();
        let gradient = values(x.grad(&forward(x.clone()).backward()).unwrap());
        let largest = gradient.iter().fold(0.0f32, |m, g| m.max(g.abs()));
        for i in (0..start.len()).step_by(97) {
            let at = |step: f32| {
                let mut moved = start.clone();
                moved[i] += step;
                forward(tensor(&moved)).into_scalar::<f32>()
            };
            let slope = (at(0.125) - at(-0.125)) / 0.25;
            assert!((slope - gradient[i]).abs() <= 0.02 * largest, "{i}: {slope}, the gradient is {}", gradient[i]);
        }
    }
}

/// More channels than the layer has would be read from beside the pixels.
#[test]
#[should_panic(expected = "the batch norm expects 8")]
fn a_batch_norm_of_other_channels_is_refused() {
    let device = devices()[0].clone().without_autodiff();
    let norm = BatchNormConfig::new(8).init(&device);
    let _ = kernels::batch_norm(&norm, Tensor::<4>::zeros([1, 6, 2, 2], &device));
}
