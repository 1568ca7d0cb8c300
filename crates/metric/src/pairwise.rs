use crate::{Distance, MetricError, host::HostRows};
use burn::tensor::Tensor;
use nearfar_core::{matrix::Matrix, similarity::with_gradient};

/// How a gradient with respect to the distances reaches the embeddings.
#[derive(Debug)]
enum WayBack {
    /// By matrix products in host memory.
    Host(HostRows),
    /// By autodiff: the distances as a tensor `[n, m]`.
    Tensor(Tensor<2>),
}

/// All distances between embeddings and references, on the device for the gradient and in host memory for tuples.
///
/// Tuple losses visit thousands of triplets of a matrix of a few thousand entries. They are therefore valued on the
/// host, together with their derivative with respect to each entry; the loss that goes back to autodiff is that value
/// with that derivative ([`Pairwise::objective`]). No tensor is as long as the list of tuples.
#[derive(Debug)]
pub struct Pairwise {
    way_back: WayBack,
    values: Matrix,
    labels: Vec<usize>,
    reference_labels: Vec<usize>,
    distance: Distance,
    embeddings: Tensor<2>,
    references: Option<Tensor<2>>,
    /// The column of embedding 0, if the references hold the embeddings themselves; the others follow it.
    own: Option<usize>,
}

impl Pairwise {
    /// Distances of `embeddings [n, d]` to `references [m, d]`, or to themselves: then an item is never its own pair.
    ///
    /// # Errors
    /// When labels do not number the rows, dimensions differ, the distance's settings are out of range, or the device
    /// fails.
    pub fn new(
        distance: Distance,
        embeddings: Tensor<2>,
        labels: &[usize],
        references: Option<(Tensor<2>, &[usize])>,
    ) -> Result<Self, MetricError> {
        let own = if references.is_none() { Some(0) } else { None };
        Self::with_own(distance, embeddings, labels, references, own)
    }

    /// Distances of `embeddings [n, d]` to a memory `[m, d]` whose last `n` rows are copies of the embeddings: no item
    /// is paired with its copy.
    ///
    /// # Errors
    /// As [`Pairwise::new`], and when the memory has fewer rows than the batch.
    pub fn in_memory(
        distance: Distance,
        embeddings: Tensor<2>,
        labels: &[usize],
        memory: Tensor<2>,
        memory_labels: &[usize],
    ) -> Result<Self, MetricError> {
        let (batch, capacity) = (labels.len(), memory_labels.len());
        let own = capacity.checked_sub(batch).ok_or(MetricError::Memory { batch, capacity })?;
        Self::with_own(distance, embeddings, labels, Some((memory, memory_labels)), Some(own))
    }

    fn with_own(
        distance: Distance,
        embeddings: Tensor<2>,
        labels: &[usize],
        references: Option<(Tensor<2>, &[usize])>,
        own: Option<usize>,
    ) -> Result<Self, MetricError> {
        distance.validate()?;
        let [rows, cols] = embeddings.dims();
        if rows != labels.len() {
            return Err(MetricError::Labels { what: "embeddings", rows, labels: labels.len() });
        }
        let (references, reference_labels) = match references {
            Some((references, labels)) => (Some(references), labels),
            None => (None, labels),
        };
        let columns = references.as_ref().unwrap_or(&embeddings).clone();
        let [m, d] = columns.dims();
        if m != reference_labels.len() {
            return Err(MetricError::Labels { what: "references", rows: m, labels: reference_labels.len() });
        }
        if d != cols {
            return Err(MetricError::Dimensions { embeddings: cols, references: d });
        }
        let (values, way_back) = match HostRows::distances(distance, &embeddings, references.as_ref()) {
            Some((values, rows)) => (values, WayBack::Host(rows)),
            None => {
                let tensor = distance.matrix(embeddings.clone(), columns); // [n, m]
                let values = tensor.clone().detach().try_into_vec_as::<f32>();
                (values.map_err(|e| MetricError::Device(e.to_string()))?, WayBack::Tensor(tensor))
            }
        };
        let values = Matrix::new(values, rows, m).expect("a matrix tensor has rows x columns values");
        Ok(Self {
            way_back,
            values,
            labels: labels.to_vec(),
            reference_labels: reference_labels.to_vec(),
            distance,
            embeddings,
            references,
            own,
        })
    }

    /// The distances among the references, labels as theirs.
    pub(crate) fn among_references(&self) -> Result<Self, MetricError> {
        Self::new(self.distance, self.reference_tensor(), &self.reference_labels, None)
    }

    /// The distances, row = embedding, column = reference.
    pub fn values(&self) -> &Matrix {
        &self.values
    }

    /// The distance that made them.
    pub fn distance(&self) -> Distance {
        self.distance
    }

    /// +1 for distances, -1 for similarities: `sign * value` grows with dissimilarity.
    pub(crate) fn sign(&self) -> f32 {
        if self.distance.is_inverted() { -1.0 } else { 1.0 }
    }

    /// Number of embeddings.
    pub fn anchors(&self) -> usize {
        self.labels.len()
    }

    /// Number of references; of embeddings where they are compared with themselves.
    pub fn references(&self) -> usize {
        self.reference_labels.len()
    }

    /// Length of an embedding.
    pub fn dimension(&self) -> usize {
        self.embeddings.dims()[1]
    }

    /// The class of every embedding.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// The class of every reference.
    pub fn reference_labels(&self) -> &[usize] {
        &self.reference_labels
    }

    /// Whether the embeddings are compared with themselves, so that row and column `i` are the same item.
    pub fn is_square(&self) -> bool {
        self.references.is_none()
    }

    /// The column that is the anchor itself, which is no pair of its own.
    pub fn own_column(&self, anchor: usize) -> Option<usize> {
        self.own.map(|first| first + anchor)
    }

    pub(crate) fn embedding_tensor(&self) -> Tensor<2> {
        self.embeddings.clone()
    }

    pub(crate) fn reference_tensor(&self) -> Tensor<2> {
        self.references.as_ref().unwrap_or(&self.embeddings).clone()
    }

    /// Who is whose positive and negative.
    pub(crate) fn kinds(&self) -> Kinds<'_> {
        Kinds { labels: &self.labels, reference_labels: &self.reference_labels, own: self.own }
    }

    /// References with the anchor's label, the anchor itself aside, in order.
    pub fn positives(&self, anchor: usize) -> impl Iterator<Item = usize> + '_ {
        self.kinds().positives(anchor)
    }

    /// References with another label, in order.
    pub fn negatives(&self, anchor: usize) -> impl Iterator<Item = usize> + '_ {
        self.kinds().negatives(anchor)
    }

    /// A loss tensor `[1]` of value `value` whose derivative with respect to the distances is `gradient [n, m]`.
    pub fn objective(&self, value: f32, gradient: Matrix) -> Tensor<1> {
        let still = match &self.way_back {
            WayBack::Tensor(tensor) => with_gradient(tensor.clone(), gradient.into_vec()),
            WayBack::Host(rows) => {
                let (own, other) = rows.back(self.values.as_slice(), gradient.into_vec());
                let own = with_gradient(self.embeddings.clone(), own);
                match (&self.references, other) {
                    (Some(references), Some(other)) if references.is_tracked() => {
                        own + with_gradient(references.clone(), other)
                    }
                    _ => own,
                }
            }
        };
        still.add_scalar(value)
    }
}

/// The labels of a batch and of its references, without the tensors: what threads may share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kinds<'a> {
    labels: &'a [usize],
    reference_labels: &'a [usize],
    own: Option<usize>,
}

impl<'a> Kinds<'a> {
    /// As [`Pairwise::positives`].
    pub(crate) fn positives(self, anchor: usize) -> impl Iterator<Item = usize> + 'a {
        let label = self.labels[anchor];
        self.columns(anchor, move |l| l == label)
    }

    /// As [`Pairwise::negatives`].
    pub(crate) fn negatives(self, anchor: usize) -> impl Iterator<Item = usize> + 'a {
        let label = self.labels[anchor];
        self.columns(anchor, move |l| l != label)
    }

    fn columns(self, anchor: usize, keep: impl Fn(usize) -> bool + 'a) -> impl Iterator<Item = usize> + 'a {
        let skip = self.own.map_or(usize::MAX, |first| first + anchor);
        self.reference_labels.iter().enumerate().filter(move |(j, l)| *j != skip && keep(**l)).map(|(j, _)| j)
    }
}
