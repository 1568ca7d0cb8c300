//! Batches larger than memory: gradient caching for losses that compare images, accumulation for those that do not.

use crate::{ContrastiveError, error::check_size};
use burn::{
    module::Module,
    optim::{GradientsAccumulator, GradientsParams},
    tensor::Tensor,
};
use nearfar_core::{
    momentum::momentum_copy,
    train::{Batch, Method, Progress},
};
use thiserror::Error;

/// The outcome of a batch that passed in chunks.
pub struct ChunkedStep {
    /// The loss of the whole batch, `[1]`, without a graph.
    pub loss: Tensor<1>,
    /// The embeddings of every view, `[n, d]`, without a graph.
    pub embeddings: Vec<Tensor<2>>,
    /// Gradients of the model's parameters, for an optimiser's step.
    pub gradients: GradientsParams,
}

/// Gradient caching (Gao et al., 2021): the gradient of a loss over the whole batch, with the activations of `chunk`
/// images at a time in memory.
///
/// ```text
/// 1. z = forward(x) chunk by chunk, without a graph
/// 2. g = d loss(z) / d z, of the embeddings alone
/// 3. gradient = sum over chunks of d sum(forward(x) * g) / d parameters
/// ```
///
/// `views` are `[n, c, h, w]` each, `forward` gives `[rows, d]`, `loss` takes the embeddings of every view. Costs one
/// more forward pass. Equal to the whole batch up to rounding where `forward` treats images apart. Batch norm does not:
/// its statistics are then each chunk's (as over several devices without synchronised batch norm). The running
/// statistics move in the second pass alone, once a chunk.
///
/// # Errors
/// When `chunk` is 0.
///
/// # Panics
/// When the device of the model has no autodiff, or the loss does not depend on the embeddings.
pub fn cached_gradients<M: Module>(
    model: &M,
    views: &[Tensor<4>],
    chunk: usize,
    forward: impl Fn(&M, Tensor<4>) -> Tensor<2>,
    loss: impl FnOnce(&[Tensor<2>]) -> Tensor<1>,
) -> Result<ChunkedStep, ContrastiveError> {
    check_size("chunk", chunk)?;
    // A copy without gradients and with running statistics of its own: the first pass leaves no trace.
    let still = momentum_copy(model);
    let embeddings: Vec<Tensor<2>> = views
        .iter()
        .map(|view| {
            let parts = view.clone().split(chunk, 0).into_iter().map(|x| forward(&still, x).detach());
            Tensor::cat(parts.collect::<Vec<_>>(), 0).detach().require_grad()
        })
        .collect();
    let loss = loss(&embeddings);
    let cache = loss.backward();
    let mut gradients = GradientsAccumulator::new();
    for (view, z) in views.iter().zip(&embeddings) {
        // A view that the loss leaves out has no gradient.
        let Some(g) = z.grad(&cache) else { continue };
        for (x, g) in view.clone().split(chunk, 0).into_iter().zip(g.split(chunk, 0)) {
            let surrogate = (forward(model, x) * Tensor::from_inner(g)).sum();
            gradients.accumulate(model, GradientsParams::from_grads(surrogate.backward(), model));
        }
    }
    let constant = |t: Tensor<2>| Tensor::from_inner(t.inner());
    Ok(ChunkedStep {
        loss: Tensor::from_inner(loss.inner()),
        embeddings: embeddings.into_iter().map(constant).collect(),
        gradients: gradients.grads(),
    })
}

/// Why gradients cannot be accumulated.
#[derive(Debug, Error, PartialEq)]
pub enum AccumulationError {
    /// The loss compares the images of a batch.
    #[error(
        "the loss of {method} compares the images of a batch: {parts} parts of it are {parts} smaller batches with fewer negatives; use `cached_gradients`, or one part"
    )]
    ComparesBatch {
        /// Which method.
        method: &'static str,
        /// Parts given.
        parts: usize,
    },
    /// There is nothing to accumulate.
    #[error("gradients were to be accumulated over no images: give at least one part, and no empty ones")]
    Empty,
}

/// Gradient accumulation: the gradient of the mean loss over `parts` of a batch, weighted by their images.
///
/// Equal to the whole batch up to rounding and to batch norm's statistics. The embeddings are one entry a part.
///
/// # Errors
/// When there are several parts and the method's loss compares images ([`Method::compares_batch`]), or a part is empty.
pub fn accumulated_gradients<M: Method>(
    method: &M,
    model: &M::Model,
    memory: &mut M::Memory,
    parts: &[Batch],
    at: Progress,
) -> Result<ChunkedStep, AccumulationError> {
    if parts.is_empty() || parts.iter().any(Batch::is_empty) {
        return Err(AccumulationError::Empty);
    }
    if parts.len() > 1 && method.compares_batch() {
        return Err(AccumulationError::ComparesBatch { method: method.name(), parts: parts.len() });
    }
    let images: usize = parts.iter().map(Batch::len).sum();
    let mut gradients = GradientsAccumulator::new();
    let (mut losses, mut embeddings) = (Vec::with_capacity(parts.len()), Vec::with_capacity(parts.len()));
    for part in parts {
        let objective = method.objective(model, memory, part, at);
        let loss = objective.loss.mul_scalar(part.len() as f64 / images as f64);
        gradients.accumulate(model, GradientsParams::from_grads(loss.backward(), model));
        losses.push(Tensor::from_inner(loss.inner()));
        embeddings.push(Tensor::from_inner(objective.embedding.inner()));
    }
    Ok(ChunkedStep { loss: Tensor::cat(losses, 0).sum(), embeddings, gradients: gradients.grads() })
}
