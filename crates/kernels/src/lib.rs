//! Fused training operations for Burn's CPU backends.
//!
//! Burn's CPU backends run convolution, batch norm, ReLU and pooling as separate passes over memory. The functions here
//! do the same work in few passes, with one implementation over host memory for Flex and NdArray. On every other
//! backend, and for every type but `f32`, they are the plain composition of Burn's operations, so that an encoder is
//! written once. Activations stay channels-last in memory between the operations; their shape is always
//! `[batch, channels, height, width]`.

mod conv;
mod cross_entropy;
mod host;
mod memory;
mod norm;
mod ops;
mod product;
mod simd;
mod winograd;

pub use cross_entropy::{CrossEntropy, cross_entropy};
pub use memory::keep_freed_memory;
pub use ops::{KernelOps, NormOptions};
pub use product::{row_products, weighted_rows, weighted_rows_transposed};

use burn::backend::Dispatch;
use burn::nn::BatchNorm;
use burn::tensor::{
    DType, Device, Tensor, activation, module,
    ops::{ConvOptions, MaxPoolOptions},
};

/// Whether tensors on `device` live in host memory and take the fused path.
pub fn is_host(device: &Device) -> bool {
    let device = device.clone().without_autodiff();
    match device.as_dispatch() {
        #[cfg(feature = "flex")]
        burn::backend::DispatchDevice::Flex(_) => true,
        #[cfg(feature = "ndarray")]
        burn::backend::DispatchDevice::NdArray(_) => true,
        _ => false,
    }
}

fn fused<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32 && is_host(&x.device())
}

/// 2-D convolution without bias: `x [n, c_in, h, w]`, `weight [c_out, c_in, k, k]` to `[n, c_out, h', w']` with
/// `h' = (h + 2 padding - k) / stride + 1`.
///
/// # Panics
/// When the channel counts differ or the padded input is smaller than the kernel, as Burn's own convolution does.
pub fn conv2d(x: Tensor<4>, weight: Tensor<4>, stride: usize, padding: usize) -> Tensor<4> {
    let [_, channels, h, w] = x.dims();
    let [_, expected, kernel, kernel_w] = weight.dims();
    assert_eq!(channels, expected, "the input has {channels} channels, the weights expect {expected}");
    assert!(
        h + 2 * padding >= kernel && w + 2 * padding >= kernel_w,
        "a {h} x {w} image padded by {padding} is smaller than the {kernel} x {kernel_w} kernel"
    );
    if !fused(&x) || kernel != kernel_w {
        let options = ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1);
        return module::conv2d(x, weight, None, options);
    }
    Tensor::from_dispatch(<Dispatch as KernelOps>::nf_conv2d(
        x.into_dispatch(),
        weight.into_dispatch(),
        stride,
        padding,
    ))
}

/// Batch norm, ReLU and, with `pool`, 2x2 max pooling of stride 2: `x [n, c, h, w]` to the same shape, or to
/// `[n, c, h / 2, w / 2]`. Uses and updates `norm` exactly as `norm.forward` does.
///
/// # Panics
/// When the channel counts differ, as Burn's own batch norm does.
pub fn batch_norm_relu(norm: &BatchNorm, x: Tensor<4>, pool: bool) -> Tensor<4> {
    if !fused(&x) {
        let y = activation::relu(norm.forward(x));
        return if pool { module::max_pool2d(y, MaxPoolOptions::new([2, 2]).with_stride([2, 2])) } else { y };
    }
    apply(norm, x, None, true, pool)
}

/// Batch norm alone: `x [n, c, h, w]` to the same shape, with `norm`'s statistics as in `norm.forward`.
///
/// # Panics
/// When the channel counts differ.
pub fn batch_norm(norm: &BatchNorm, x: Tensor<4>) -> Tensor<4> {
    if !fused(&x) {
        return norm.forward(x);
    }
    apply(norm, x, None, false, false)
}

/// `relu(batch_norm(x) + residual)`, all `[n, c, h, w]`.
///
/// # Panics
/// When the shapes or the channel counts differ.
pub fn batch_norm_add_relu(norm: &BatchNorm, x: Tensor<4>, residual: Tensor<4>) -> Tensor<4> {
    assert_eq!(x.dims(), residual.dims(), "the residual must have the shape of the normalised input");
    if !fused(&x) {
        return activation::relu(norm.forward(x) + residual);
    }
    apply(norm, x, Some(residual), true, false)
}

/// `a + b`, both `[n, c, h, w]`.
///
/// # Panics
/// When the shapes differ.
pub fn add(a: Tensor<4>, b: Tensor<4>) -> Tensor<4> {
    assert_eq!(a.dims(), b.dims(), "both operands must have one shape");
    if !fused(&a) {
        return a + b;
    }
    Tensor::from_dispatch(<Dispatch as KernelOps>::nf_sum(a.into_dispatch(), b.into_dispatch()))
}

/// `x [n, c, h, w]` for two branches of a network. Both results must take part in what is differentiated: their
/// gradients are joined in channels-last memory when the second arrives. (Burn's own sum of two gradients would lay
/// them out anew.)
pub fn fork(x: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
    if !fused(&x) {
        return (x.clone(), x);
    }
    let (a, b) = <Dispatch as KernelOps>::nf_fork(x.into_dispatch());
    (Tensor::from_dispatch(a), Tensor::from_dispatch(b))
}

/// Mean over height and width: `[n, c, h, w]` to `[n, c]`.
pub fn global_average_pool(x: Tensor<4>) -> Tensor<2> {
    if !fused(&x) {
        return x.mean_dim(3).mean_dim(2).flatten(1, 3);
    }
    Tensor::from_dispatch(<Dispatch as KernelOps>::nf_global_average(x.into_dispatch()))
}

fn apply(norm: &BatchNorm, x: Tensor<4>, residual: Option<Tensor<4>>, relu: bool, pool: bool) -> Tensor<4> {
    let device = x.device();
    let ([_, channels, ..], [expected]) = (x.dims(), norm.gamma.dims());
    assert_eq!(channels, expected, "the input has {channels} channels, the batch norm expects {expected}");
    // The rule of `BatchNorm::forward`: batch statistics on a training device unless the layer is frozen.
    let batch_statistics = device.is_autodiff() && norm.training.is_enabled();
    let (mean, var) = if batch_statistics {
        let (mean, var) = <Dispatch as KernelOps>::nf_statistics(x.clone().into_dispatch());
        let (mean, var) = (Tensor::<1>::from_dispatch(mean), Tensor::<1>::from_dispatch(var));
        update_running(norm, &mean, &var, &device);
        (mean, var)
    } else {
        (norm.running_mean.value().to_device(&device), norm.running_var.value().to_device(&device))
    };
    let options = NormOptions { epsilon: norm.epsilon, relu, pool, batch_statistics };
    let (x, mean, var) = (x.into_dispatch(), mean.into_dispatch(), var.into_dispatch());
    let (gamma, beta) = (norm.gamma.val().into_dispatch(), norm.beta.val().into_dispatch());
    Tensor::from_dispatch(match residual {
        Some(r) => <Dispatch as KernelOps>::nf_norm_add(x, r.into_dispatch(), gamma, beta, mean, var, options),
        None => <Dispatch as KernelOps>::nf_norm(x, gamma, beta, mean, var, options),
    })
}

/// Burn's update of the running statistics, with its biased variance.
fn update_running(norm: &BatchNorm, mean: &Tensor<1>, var: &Tensor<1>, device: &Device) {
    let blend = |old: Tensor<1>, new: &Tensor<1>| {
        old.to_device(device)
            .mul_scalar(1.0 - norm.momentum)
            .add(new.clone().detach().mul_scalar(norm.momentum))
            .detach()
    };
    norm.running_mean.update(blend(norm.running_mean.value_sync(), mean));
    norm.running_var.update(blend(norm.running_var.value_sync(), var));
}
