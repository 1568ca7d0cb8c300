//! The operations as a Burn backend extension, with their backward passes.

// Burn recommends Flex over NdArray; this project serves both.
#![allow(deprecated)]

use crate::{
    conv::{self, Geometry},
    host::Host,
    norm::{self, Affine, After, Saved, Size},
    simd::Level,
};
use burn::backend::{Backend, backend_extension, tensor::FloatTensor};
use burn_autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use std::sync::{Arc, Mutex, PoisonError};

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

fn geometry<B: Host>(x: &FloatTensor<B>, weight: &FloatTensor<B>, stride: usize, padding: usize) -> Geometry {
    let [n, cin, h, w] = B::sizes(x);
    let [cout, _, kernel, _] = B::sizes(weight);
    Geometry { n, h, w, cin, cout, kernel, stride, padding }
}

fn size<B: Host>(x: &FloatTensor<B>) -> Size {
    let [n, c, h, w] = B::sizes(x);
    Size { n, h, w, c }
}

fn conv2d<B: Host>(x: FloatTensor<B>, weight: FloatTensor<B>, stride: usize, padding: usize) -> FloatTensor<B> {
    let g = geometry::<B>(&x, &weight, stride, padding);
    let y = conv::forward(Level::detect(), &g, &B::channels_last(&x), &B::contiguous(&weight));
    B::from_channels_last(y, [g.n, g.cout, g.ho(), g.wo()])
}

fn input_gradient<B: Host>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    grad: FloatTensor<B>,
    stride: usize,
    padding: usize,
) -> FloatTensor<B> {
    let g = geometry::<B>(&x, &weight, stride, padding);
    let dx = conv::input_gradient(Level::detect(), &g, &B::channels_last(&grad), &B::contiguous(&weight));
    B::from_channels_last(dx, [g.n, g.cin, g.h, g.w])
}

fn weight_gradient<B: Host>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    grad: FloatTensor<B>,
    stride: usize,
    padding: usize,
) -> FloatTensor<B> {
    let g = geometry::<B>(&x, &weight, stride, padding);
    let dw = conv::weight_gradient(Level::detect(), &g, &B::channels_last(&x), &B::channels_last(&grad));
    B::from_contiguous(dw, &[g.cout, g.cin, g.kernel, g.kernel])
}

fn statistics<B: Host>(x: FloatTensor<B>) -> (FloatTensor<B>, FloatTensor<B>) {
    let c = size::<B>(&x).c;
    let (mean, var) = norm::statistics(&B::channels_last(&x), c);
    (B::from_contiguous(mean, &[c]), B::from_contiguous(var, &[c]))
}

fn norm_forward<B: Host>(
    x: FloatTensor<B>,
    residual: Option<FloatTensor<B>>,
    [gamma, beta, mean, var]: [FloatTensor<B>; 4],
    options: NormOptions,
) -> FloatTensor<B> {
    let size = size::<B>(&x);
    let affine = Affine::new(
        &B::contiguous(&gamma),
        &B::contiguous(&beta),
        &B::contiguous(&mean),
        &B::contiguous(&var),
        options.epsilon,
    );
    let residual = residual.as_ref().map(|r| B::channels_last(r));
    let y = norm::forward(&B::channels_last(&x), residual.as_deref(), size, &affine, options.after());
    let out = if options.pool { size.pooled() } else { size };
    B::from_channels_last(y, [out.n, out.c, out.h, out.w])
}

fn norm_backward<B: Host>(
    x: FloatTensor<B>,
    output: Option<FloatTensor<B>>,
    [gamma, beta, mean, var]: [FloatTensor<B>; 4],
    grad: FloatTensor<B>,
    options: NormOptions,
) -> (FloatTensor<B>, Option<FloatTensor<B>>, FloatTensor<B>, FloatTensor<B>) {
    let size = size::<B>(&x);
    let saved = Saved {
        x: &B::channels_last(&x),
        size,
        gamma: &B::contiguous(&gamma),
        beta: &B::contiguous(&beta),
        mean: &B::contiguous(&mean),
        var: &B::contiguous(&var),
        epsilon: options.epsilon,
        after: options.after(),
        batch_statistics: options.batch_statistics,
    };
    let output = output.as_ref().map(|y| B::channels_last(y));
    let g = norm::backward(&saved, output.as_deref(), &B::channels_last(&grad));
    let shape = [size.n, size.c, size.h, size.w];
    (
        B::from_channels_last(g.input, shape),
        g.residual.map(|r| B::from_channels_last(r, shape)),
        B::from_contiguous(g.gamma, &[size.c]),
        B::from_contiguous(g.beta, &[size.c]),
    )
}

fn sum<B: Host>(a: FloatTensor<B>, b: FloatTensor<B>) -> FloatTensor<B> {
    let y = norm::sum(&B::channels_last(&a), &B::channels_last(&b));
    B::from_channels_last(y, B::sizes(&a))
}

fn global_average<B: Host>(x: FloatTensor<B>) -> FloatTensor<B> {
    let Size { n, h, w, c } = size::<B>(&x);
    let x = B::channels_last(&x);
    let mut out = vec![0.0f32; n * c];
    if h * w * c > 0 {
        for (out, image) in out.chunks_exact_mut(c).zip(x.chunks_exact(h * w * c)) {
            for pixel in image.chunks_exact(c) {
                out.iter_mut().zip(pixel).for_each(|(o, v)| *o += v);
            }
            out.iter_mut().for_each(|o| *o /= (h * w) as f32);
        }
    }
    B::from_contiguous(out, &[n, c])
}

fn global_average_gradient<B: Host>(grad: FloatTensor<B>, height: usize, width: usize) -> FloatTensor<B> {
    let [n, c] = B::sizes(&grad);
    let scale = 1.0 / (height * width) as f32;
    let mut out = Vec::with_capacity(n * c * height * width);
    for row in B::contiguous(&grad).chunks_exact(c.max(1)) {
        for _ in 0..height * width {
            out.extend(row.iter().map(|g| g * scale));
        }
    }
    B::from_channels_last(out, [n, c, height, width])
}

macro_rules! host_ops {
    ($backend:ty) => {
        impl KernelOps for $backend {
            fn nf_conv2d(
                x: FloatTensor<Self>,
                w: FloatTensor<Self>,
                stride: usize,
                padding: usize,
            ) -> FloatTensor<Self> {
                conv2d::<Self>(x, w, stride, padding)
            }
            fn nf_conv2d_input_gradient(
                x: FloatTensor<Self>,
                w: FloatTensor<Self>,
                grad: FloatTensor<Self>,
                stride: usize,
                padding: usize,
            ) -> FloatTensor<Self> {
                input_gradient::<Self>(x, w, grad, stride, padding)
            }
            fn nf_conv2d_weight_gradient(
                x: FloatTensor<Self>,
                w: FloatTensor<Self>,
                grad: FloatTensor<Self>,
                stride: usize,
                padding: usize,
            ) -> FloatTensor<Self> {
                weight_gradient::<Self>(x, w, grad, stride, padding)
            }
            fn nf_statistics(x: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>) {
                statistics::<Self>(x)
            }
            fn nf_norm(
                x: FloatTensor<Self>,
                gamma: FloatTensor<Self>,
                beta: FloatTensor<Self>,
                mean: FloatTensor<Self>,
                var: FloatTensor<Self>,
                options: NormOptions,
            ) -> FloatTensor<Self> {
                norm_forward::<Self>(x, None, [gamma, beta, mean, var], options)
            }
            fn nf_norm_gradient(
                x: FloatTensor<Self>,
                gamma: FloatTensor<Self>,
                beta: FloatTensor<Self>,
                mean: FloatTensor<Self>,
                var: FloatTensor<Self>,
                grad: FloatTensor<Self>,
                options: NormOptions,
            ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
                let (dx, _, dgamma, dbeta) = norm_backward::<Self>(x, None, [gamma, beta, mean, var], grad, options);
                (dx, dgamma, dbeta)
            }
            fn nf_norm_add(
                x: FloatTensor<Self>,
                residual: FloatTensor<Self>,
                gamma: FloatTensor<Self>,
                beta: FloatTensor<Self>,
                mean: FloatTensor<Self>,
                var: FloatTensor<Self>,
                options: NormOptions,
            ) -> FloatTensor<Self> {
                norm_forward::<Self>(x, Some(residual), [gamma, beta, mean, var], options)
            }
            fn nf_norm_add_gradient(
                x: FloatTensor<Self>,
                output: FloatTensor<Self>,
                gamma: FloatTensor<Self>,
                beta: FloatTensor<Self>,
                mean: FloatTensor<Self>,
                var: FloatTensor<Self>,
                grad: FloatTensor<Self>,
                options: NormOptions,
            ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
                let (dx, dr, dgamma, dbeta) =
                    norm_backward::<Self>(x, Some(output), [gamma, beta, mean, var], grad, options);
                (dx, dr.expect("an output was given"), dgamma, dbeta)
            }
            fn nf_sum(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
                sum::<Self>(a, b)
            }
            fn nf_fork(x: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>) {
                (x.clone(), x)
            }
            fn nf_global_average(x: FloatTensor<Self>) -> FloatTensor<Self> {
                global_average::<Self>(x)
            }
            fn nf_global_average_gradient(grad: FloatTensor<Self>, height: usize, width: usize) -> FloatTensor<Self> {
                global_average_gradient::<Self>(grad, height, width)
            }
        }
    };
}

#[cfg(feature = "flex")]
host_ops!(burn_flex::Flex);
#[cfg(feature = "ndarray")]
host_ops!(burn_ndarray::NdArray);

/// Gradients are first order: the gradient operations themselves are not differentiable.
macro_rules! not_differentiable {
    () => {
        unreachable!("called only from a backward pass, which runs on the inner backend")
    };
}

impl<B: KernelOps, C: CheckpointStrategy> KernelOps for Autodiff<B, C> {
    fn nf_conv2d(x: FloatTensor<Self>, weight: FloatTensor<Self>, stride: usize, padding: usize) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Conv;
        impl<B: KernelOps> Backward<B, 2> for Conv {
            type State = (FloatTensor<B>, FloatTensor<B>, usize, usize);
            fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
                let [node_x, node_weight] = ops.parents;
                let grad = grads.consume::<B>(&ops.node);
                let (x, weight, stride, padding) = ops.state;
                if let Some(node) = node_x {
                    let dx = B::nf_conv2d_input_gradient(x.clone(), weight.clone(), grad.clone(), stride, padding);
                    grads.register::<B>(node.id, dx);
                }
                if let Some(node) = node_weight {
                    let dw = B::nf_conv2d_weight_gradient(x, weight, grad, stride, padding);
                    grads.register::<B>(node.id, dw);
                }
            }
        }
        match Conv.prepare::<C>([x.node(), weight.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (x, weight) = (x.into_primitive(), weight.into_primitive());
                prep.finish((x.clone(), weight.clone(), stride, padding), B::nf_conv2d(x, weight, stride, padding))
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::nf_conv2d(x.into_primitive(), weight.into_primitive(), stride, padding))
            }
        }
    }

    fn nf_conv2d_input_gradient(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: usize,
        _: usize,
    ) -> FloatTensor<Self> {
        not_differentiable!()
    }

    fn nf_conv2d_weight_gradient(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: usize,
        _: usize,
    ) -> FloatTensor<Self> {
        not_differentiable!()
    }

    fn nf_statistics(x: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (mean, var) = B::nf_statistics(x.into_primitive());
        (
            <Self as burn::backend::AutodiffBackend>::from_inner(mean),
            <Self as burn::backend::AutodiffBackend>::from_inner(var),
        )
    }

    fn nf_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        var: FloatTensor<Self>,
        options: NormOptions,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Norm;
        impl<B: KernelOps> Backward<B, 3> for Norm {
            type State = ([FloatTensor<B>; 5], NormOptions);
            fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = grads.consume::<B>(&ops.node);
                let ([x, gamma, beta, mean, var], options) = ops.state;
                let (dx, dgamma, dbeta) = B::nf_norm_gradient(x, gamma, beta, mean, var, grad, options);
                for (node, grad) in ops.parents.into_iter().zip([dx, dgamma, dbeta]) {
                    if let Some(node) = node {
                        grads.register::<B>(node.id, grad);
                    }
                }
            }
        }
        let (mean, var) = (mean.into_primitive(), var.into_primitive());
        let prep = Norm.prepare::<C>([x.node(), gamma.node(), beta.node()]).compute_bound().stateful();
        let (x, gamma, beta) = (x.into_primitive(), gamma.into_primitive(), beta.into_primitive());
        match prep {
            OpsKind::Tracked(prep) => {
                let state = [x.clone(), gamma.clone(), beta.clone(), mean.clone(), var.clone()];
                prep.finish((state, options), B::nf_norm(x, gamma, beta, mean, var, options))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::nf_norm(x, gamma, beta, mean, var, options)),
        }
    }

    fn nf_norm_gradient(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: NormOptions,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        not_differentiable!()
    }

    fn nf_norm_add(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        var: FloatTensor<Self>,
        options: NormOptions,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct NormAdd;
        impl<B: KernelOps> Backward<B, 4> for NormAdd {
            type State = ([FloatTensor<B>; 6], NormOptions);
            fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = grads.consume::<B>(&ops.node);
                let ([x, output, gamma, beta, mean, var], options) = ops.state;
                let (dx, dr, dgamma, dbeta) = B::nf_norm_add_gradient(x, output, gamma, beta, mean, var, grad, options);
                for (node, grad) in ops.parents.into_iter().zip([dx, dr, dgamma, dbeta]) {
                    if let Some(node) = node {
                        grads.register::<B>(node.id, grad);
                    }
                }
            }
        }
        let (mean, var) = (mean.into_primitive(), var.into_primitive());
        let prep =
            NormAdd.prepare::<C>([x.node(), residual.node(), gamma.node(), beta.node()]).compute_bound().stateful();
        let (x, residual) = (x.into_primitive(), residual.into_primitive());
        let (gamma, beta) = (gamma.into_primitive(), beta.into_primitive());
        match prep {
            OpsKind::Tracked(prep) => {
                let state = [x.clone(), gamma.clone(), beta.clone(), mean.clone(), var.clone()];
                let output = B::nf_norm_add(x, residual, gamma, beta, mean, var, options);
                let [x, gamma, beta, mean, var] = state;
                prep.finish(([x, output.clone(), gamma, beta, mean, var], options), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::nf_norm_add(x, residual, gamma, beta, mean, var, options)),
        }
    }

    fn nf_norm_add_gradient(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: NormOptions,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        not_differentiable!()
    }

    fn nf_sum(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Sum;
        impl<B: KernelOps> Backward<B, 2> for Sum {
            type State = ();
            fn backward(self, ops: Ops<(), 2>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = grads.consume::<B>(&ops.node);
                for node in ops.parents.into_iter().flatten() {
                    grads.register::<B>(node.id, grad.clone());
                }
            }
        }
        match Sum.prepare::<C>([a.node(), b.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((), B::nf_sum(a.into_primitive(), b.into_primitive())),
            OpsKind::UnTracked(prep) => prep.finish(B::nf_sum(a.into_primitive(), b.into_primitive())),
        }
    }

    fn nf_fork(x: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>) {
        /// The gradient of the branch that the backward pass comes by first.
        type First<B> = Arc<Mutex<Option<FloatTensor<B>>>>;
        #[derive(Debug)]
        struct Branch;
        impl<B: KernelOps> Backward<B, 1> for Branch {
            type State = First<B>;
            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = grads.consume::<B>(&ops.node);
                let [node] = ops.parents;
                let Some(node) = node else { return };
                let mut first = ops.state.lock().unwrap_or_else(PoisonError::into_inner);
                match first.take() {
                    Some(other) => grads.register::<B>(node.id, B::nf_sum(other, grad)),
                    None => *first = Some(grad),
                }
            }
        }
        let first = First::<B>::default();
        let branch = |x: FloatTensor<Self>| match Branch.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(first.clone(), x.into_primitive()),
            OpsKind::UnTracked(prep) => prep.finish(x.into_primitive()),
        };
        (branch(x.clone()), branch(x))
    }

    fn nf_global_average(x: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Average;
        impl<B: KernelOps> Backward<B, 1> for Average {
            type State = (usize, usize);
            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let (height, width) = ops.state;
                burn_autodiff::ops::unary::<B, _>(ops.parents, ops.node, grads, |grad| {
                    B::nf_global_average_gradient(grad, height, width)
                });
            }
        }
        let shape = burn::backend::TensorMetadata::shape(&x);
        let (height, width) = (shape[2], shape[3]);
        match Average.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((height, width), B::nf_global_average(x.into_primitive())),
            OpsKind::UnTracked(prep) => prep.finish(B::nf_global_average(x.into_primitive())),
        }
    }

    fn nf_global_average_gradient(_: FloatTensor<Self>, _: usize, _: usize) -> FloatTensor<Self> {
        not_differentiable!()
    }
}
