//! The operations as a Burn backend extension: what there is, here; how the CPU backends do it, in `cpu`; the backward
//! passes, in `backward`.

// Burn recommends Flex over NdArray; this project serves both.
#![allow(deprecated)]

mod backward;
mod cpu;

use crate::norm::After;
use burn::backend::{Backend, backend_extension, tensor::FloatTensor};

/// Settings of a batch norm with what follows it.
#[derive(Clone, Copy, Debug)]
pub struct NormOptions {
    /// Added to the variance.
    pub epsilon: f64,
    /// ReLU behind the normalisation (and the residual addition).
    pub relu: bool,
    /// 2x2 max pooling behind the ReLU; not together with a residual.
    pub pool: bool,
    /// Mean and variance are those of the input, so the gradient flows through them.
    pub batch_statistics: bool,
}

impl NormOptions {
    fn after(&self) -> After {
        After { relu: self.relu, pool: self.pool }
    }
}

/// The fused operations. Images are `[n, c, h, w]` in any memory layout; results lie channels-last.
#[backend_extension(Flex: cfg(feature = "flex"), NdArray: cfg(feature = "ndarray"), Autodiff)]
pub trait KernelOps: Backend {
    /// 2-D convolution without bias.
    fn nf_conv2d(x: FloatTensor<Self>, weight: FloatTensor<Self>, stride: usize, padding: usize) -> FloatTensor<Self>;
    /// Gradient of [`KernelOps::nf_conv2d`] with respect to `x`, of which only the shape is needed.
    fn nf_conv2d_input_gradient(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self>;
    /// Gradient of [`KernelOps::nf_conv2d`] with respect to `weight`, of which only the shape is needed.
    fn nf_conv2d_weight_gradient(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self>;
    /// Per-channel mean and biased variance; no gradient.
    fn nf_statistics(x: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// Batch norm with given statistics, then ReLU and pooling.
    fn nf_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        var: FloatTensor<Self>,
        options: NormOptions,
    ) -> FloatTensor<Self>;
    /// Gradients of [`KernelOps::nf_norm`]: of `x`, `gamma`, `beta`.
    fn nf_norm_gradient(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        var: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        options: NormOptions,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
    /// Batch norm with given statistics, plus `residual`, then ReLU.
    fn nf_norm_add(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        var: FloatTensor<Self>,
        options: NormOptions,
    ) -> FloatTensor<Self>;
    /// Gradients of [`KernelOps::nf_norm_add`], whose result is `output`: of `x`, `residual`, `gamma`, `beta`.
    #[allow(clippy::too_many_arguments, clippy::type_complexity)]
    fn nf_norm_add_gradient(
        x: FloatTensor<Self>,
        output: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        var: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        options: NormOptions,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
    /// `a + b` of one shape.
    fn nf_sum(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;
    /// `x` twice, for two branches of a network that are both used: their gradients are added as [`KernelOps::nf_sum`]
    /// does, in the memory layout that they have.
    fn nf_fork(x: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// Mean over height and width: `[n, c, h, w]` to `[n, c]`.
    fn nf_global_average(x: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Gradient of [`KernelOps::nf_global_average`] for images of `height x width`.
    fn nf_global_average_gradient(grad: FloatTensor<Self>, height: usize, width: usize) -> FloatTensor<Self>;
}
