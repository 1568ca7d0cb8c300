//! How a batch passes through the networks: at once, or piece by piece where it is larger than memory.

use super::{Batch, BatchError, Embedded, Method, Objective, Progress, Staged, TrainError};
use crate::momentum::momentum_copy;
use burn::{
    module::Module,
    optim::{GradientsAccumulator, GradientsParams},
    tensor::Tensor,
};
use std::ops::Range;
use thiserror::Error;

/// How the batch of a step passes through the networks. Images and embeddings of the whole batch are in memory either
/// way; what differs is for how many images activations are.
///
/// Pieces are as even as they can be. Batch norm sees each piece alone, as over several devices without synchronised
/// batch norm; up to that and to rounding, all ways have the same gradient. Running statistics move once a piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Passes {
    /// All images at once.
    #[default]
    Whole,
    /// Gradient accumulation: so many parts, one after the other; the gradient is that of the mean of their losses,
    /// weighted by their images. Refused for a loss that compares the batch ([`Method::compares_batch`]): its negatives
    /// would be those of the part.
    Parts(usize),
    /// Gradient caching (Gao et al., 2021): at most so many images at once, for losses that compare the batch.
    ///
    /// ```text
    /// 1. z = embed(x) chunk by chunk, without a graph
    /// 2. g = d loss(z) / d z, of the embeddings of the whole batch
    /// 3. gradient = sum over chunks of d sum(embed(x) * g) / d parameters
    /// ```
    ///
    /// Costs one more forward pass, which leaves no trace in the running statistics. Needs [`Method::staged`].
    Chunks(usize),
}

/// Why a method cannot pass its batches so.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PassesError {
    /// The loss compares the images of a batch.
    #[error(
        "the loss of {method} compares the images of a batch: {parts} parts of it are {parts} smaller batches with fewer negatives; use gradient caching (`chunk`) in place of `accumulate`, or a smaller batch"
    )]
    ComparesBatch {
        /// Which method.
        method: &'static str,
        /// Parts asked for.
        parts: usize,
    },
    /// The method is not in stages.
    #[error("{method} offers no gradient caching (`chunk`); use {instead}")]
    NotStaged {
        /// Which method.
        method: &'static str,
        /// What to use.
        instead: &'static str,
    },
    /// A number out of range.
    #[error("`{name}` must be {range}, got {value}")]
    Setting {
        /// Which number.
        name: &'static str,
        /// Allowed values.
        range: &'static str,
        /// What was given.
        value: usize,
    },
}

/// What one batch gives; its tensors have no autodiff.
pub struct Step {
    /// The loss of the whole batch, `[1]`.
    pub loss: Tensor<1>,
    /// The embeddings that the loss compares, as in [`Objective::embedding`].
    pub embedding: Tensor<2>,
    /// Gradients of the model's parameters, for an optimiser's step.
    pub gradients: GradientsParams,
}

impl Passes {
    /// Whether `method` can pass batches of `batch` images so.
    ///
    /// # Errors
    /// Says what stands against it.
    pub fn check<M: Method>(self, method: &M, batch: usize) -> Result<(), PassesError> {
        let setting = |name, range, value| Err(PassesError::Setting { name, range, value });
        let (name, compares) = (method.name(), method.compares_batch());
        if compares && batch < 2 {
            return setting("batch", "at least 2 images, as the loss compares them", batch);
        }
        match self {
            Self::Whole | Self::Parts(1) => Ok(()),
            Self::Parts(0) => setting("accumulate", "at least 1", 0),
            Self::Parts(parts) if compares => Err(PassesError::ComparesBatch { method: name, parts }),
            Self::Parts(parts) if parts > batch / 2 => {
                setting("accumulate", "at most half the batch, as batch norm needs two images", parts)
            }
            Self::Chunks(images @ 0..2) => setting("chunk", "at least 2 images, as batch norm needs two", images),
            Self::Chunks(_) if method.staged().is_none() => {
                let instead = if compares { "a smaller batch" } else { "`accumulate`, which keeps its meaning here" };
                Err(PassesError::NotStaged { method: name, instead })
            }
            Self::Parts(_) | Self::Chunks(_) => Ok(()),
        }
    }

    /// Loss and gradients of one batch.
    ///
    /// # Errors
    /// As [`Passes::check`], and when the method has no loss for this batch.
    ///
    /// # Panics
    /// When the model's device has no autodiff.
    pub fn step<M: Method>(
        self,
        method: &M,
        model: &M::Model,
        memory: &mut M::Memory,
        batch: &Batch,
        at: Progress,
    ) -> Result<Step, TrainError> {
        self.check(method, batch.len())?;
        match (self, method.staged()) {
            (Self::Chunks(images), Some(staged)) => {
                let chunks = batch.len().div_ceil(images);
                cached(staged, model, memory, batch, chunks, at).map_err(no_loss(method, at))
            }
            (Self::Parts(parts), _) if parts > 1 => accumulated(method, model, memory, batch, parts, at),
            _ => {
                let Objective { loss, embedding } =
                    method.objective(model, memory, batch, at).map_err(no_loss(method, at))?;
                let gradients = GradientsParams::from_grads(loss.backward(), model);
                Ok(Step { loss: loss.inner(), embedding: embedding.inner(), gradients })
            }
        }
    }
}

/// Names method and step to the reason why there is no loss.
fn no_loss<M: Method>(method: &M, at: Progress) -> impl FnOnce(BatchError) -> TrainError {
    move |reason| TrainError::NoLoss { method: method.name(), step: at.step + 1, reason }
}

/// `0..n` in pieces whose lengths differ by one at most.
fn evenly(n: usize, pieces: usize) -> impl Iterator<Item = Range<usize>> {
    (0..pieces).map(move |i| i * n / pieces..(i + 1) * n / pieces)
}

fn accumulated<M: Method>(
    method: &M,
    model: &M::Model,
    memory: &mut M::Memory,
    batch: &Batch,
    parts: usize,
    at: Progress,
) -> Result<Step, TrainError> {
    let mut gradients = GradientsAccumulator::new();
    let (mut losses, mut embeddings) = (Vec::with_capacity(parts), Vec::with_capacity(parts));
    for part in evenly(batch.len(), parts) {
        let images = part.len();
        let objective = method.objective(model, memory, &batch.part(&part), at).map_err(no_loss(method, at))?;
        let loss = objective.loss.mul_scalar(images as f64 / batch.len() as f64);
        gradients.accumulate(model, GradientsParams::from_grads(loss.backward(), model));
        losses.push(loss.inner());
        embeddings.push(by_view(objective.embedding.inner(), images));
    }
    Ok(Step {
        loss: Tensor::cat(losses, 0).sum(),
        embedding: Tensor::cat(joined(&embeddings), 0),
        gradients: gradients.grads(),
    })
}

fn cached<M: Module, N>(
    method: &dyn Staged<M, N>,
    model: &M,
    memory: &mut N,
    batch: &Batch,
    chunks: usize,
    at: Progress,
) -> Result<Step, BatchError> {
    method.prepare(model, memory, at);
    // A copy without gradients and with running statistics of its own: the first pass leaves no trace.
    let still = momentum_copy(model);
    let (mut outputs, mut targets) = (Vec::with_capacity(chunks), Vec::with_capacity(chunks));
    for chunk in evenly(batch.len(), chunks) {
        let views = batch.part(&chunk).views;
        outputs.push(method.embed(&still, &views));
        targets.push(method.targets(memory, &views, at));
    }
    let outputs = joined(&outputs).into_iter().map(|z| z.detach().require_grad()).collect();
    let embedded = Embedded { outputs, targets: joined(&targets), labels: &batch.labels, indices: &batch.indices };
    let loss = method.loss(model, memory, &embedded, at)?;
    let mut cache = loss.backward();
    // An output that the loss takes as a constant has no gradient.
    let of_outputs: Vec<Option<Tensor<2>>> = embedded.outputs.iter().map(|z| z.grad(&cache)).collect();
    let mut gradients = GradientsAccumulator::new();
    // Of what only the loss uses.
    gradients.accumulate(model, GradientsParams::from_module(&mut cache, model));
    for chunk in evenly(batch.len(), chunks) {
        let outputs = method.embed(model, &batch.part(&chunk).views).into_iter().zip(&of_outputs);
        let products = outputs.filter_map(|(z, g)| {
            let g = g.clone()?.narrow(0, chunk.start, chunk.len());
            Some((z * Tensor::from_inner(g)).sum())
        });
        if let Some(surrogate) = products.reduce(|a, b| a + b) {
            gradients.accumulate(model, GradientsParams::from_grads(surrogate.backward(), model));
        }
    }
    let embeddings = embedded.outputs.into_iter().map(Tensor::inner).collect();
    Ok(Step { loss: loss.inner(), embedding: Tensor::cat(embeddings, 0), gradients: gradients.grads() })
}

/// Each output of all pieces, one piece below the other.
fn joined(pieces: &[Vec<Tensor<2>>]) -> Vec<Tensor<2>> {
    let outputs = pieces.first().map_or(0, Vec::len);
    (0..outputs).map(|i| Tensor::cat(pieces.iter().map(|piece| piece[i].clone()).collect(), 0)).collect()
}

/// The embeddings of a part, first view first, view by view.
fn by_view(embedding: Tensor<2>, images: usize) -> Vec<Tensor<2>> {
    let [rows, _] = embedding.dims();
    if rows % images != 0 {
        return vec![embedding];
    }
    (0..rows / images).map(|view| embedding.clone().narrow(0, view * images, images)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_even_and_leave_nothing_out() {
        for (n, pieces) in [(10, 3), (6, 6), (257, 2), (5, 1)] {
            let ranges: Vec<Range<usize>> = evenly(n, pieces).collect();
            assert_eq!(ranges.iter().cloned().flatten().collect::<Vec<_>>(), (0..n).collect::<Vec<_>>());
            let lengths = || ranges.iter().map(ExactSizeIterator::len);
            assert!(lengths().max().unwrap() - lengths().min().unwrap() <= 1, "{ranges:?}");
        }
    }
}
