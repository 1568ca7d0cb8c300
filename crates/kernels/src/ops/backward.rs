//! The operations under autodiff. A backward pass keeps what the forward pass had and asks the inner backend for the
//! gradients.

use super::{KernelOps, NormOptions};
use burn::backend::tensor::FloatTensor;
use burn_autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use std::sync::{Arc, Mutex, PoisonError};

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
