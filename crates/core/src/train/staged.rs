use super::{Batch, BatchError, Objective, Progress};
use burn::tensor::Tensor;

/// What the loss of a whole batch is made of.
pub struct Embedded<'a> {
    /// What [`Staged::embed`] gave for all images, `[n, d]` each.
    pub outputs: Vec<Tensor<2>>,
    /// What [`Staged::targets`] gave for all images, `[n, d]` each, without a graph.
    pub targets: Vec<Tensor<2>>,
    /// Class of each image; empty if the method asked for none.
    pub labels: &'a [usize],
    /// Index of each image in the data set.
    pub indices: &'a [usize],
}

/// A method whose loss sees the images through embeddings alone, stage by stage: what gradient caching needs
/// ([`Passes::Chunks`](super::Passes::Chunks)).
///
/// `embed` and `targets` are called for the whole batch, or for one chunk after the other; they must treat every image
/// apart, batch norm excepted. `embed` is called twice for a chunk and must give the same numbers twice. Everything else
/// happens once a step: `prepare` first, `loss` last. What of the model only `loss` uses (a predictor, prototypes) gets
/// its gradient from there.
pub trait Staged<M, N> {
    /// What the paper changes in the memory before the batch: a momentum update.
    fn prepare(&self, _model: &M, _memory: &mut N, _at: Progress) {}

    /// Embeddings of images from their views, `[n, c, h, w]` each: always as many outputs `[n, d]`, rows in the order of
    /// the images.
    fn embed(&self, model: &M, views: &[Tensor<4>]) -> Vec<Tensor<2>>;

    /// What a network of the memory makes of the same views, `[n, d]` each; no gradient comes this way.
    fn targets(&self, _memory: &N, _views: &[Tensor<4>], _at: Progress) -> Vec<Tensor<2>> {
        Vec::new()
    }

    /// The loss `[1]` of the whole batch; a queue takes its keys here, after they were used.
    ///
    /// # Errors
    /// As [`Method::objective`](super::Method::objective).
    fn loss(&self, model: &M, memory: &mut N, batch: &Embedded<'_>, at: Progress) -> Result<Tensor<1>, BatchError>;

    /// All stages at once: the [`objective`](super::Method::objective) of such a method, unless it has another.
    ///
    /// # Errors
    /// As [`Staged::loss`].
    fn whole(&self, model: &M, memory: &mut N, batch: &Batch, at: Progress) -> Result<Objective, BatchError> {
        self.prepare(model, memory, at);
        let outputs = self.embed(model, &batch.views);
        let targets = self.targets(memory, &batch.views, at);
        let embedded = Embedded { outputs, targets, labels: &batch.labels, indices: &batch.indices };
        let loss = self.loss(model, memory, &embedded, at)?;
        Ok(Objective { loss, embedding: Tensor::cat(embedded.outputs, 0) })
    }
}
