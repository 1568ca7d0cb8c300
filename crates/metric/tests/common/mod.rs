//! What the test files of this crate share.

use burn::tensor::{Device, Tensor, TensorData};
use metric::{
    Distance, Pairwise,
    losses::{Contrastive, SupCon, TripletMargin},
};

/// One embedding a row.
pub type Rows = Vec<Vec<f64>>;

/// Both CPU backends, with autodiff.
#[allow(deprecated)] // Burn recommends Flex; this project keeps NdArray beside it.
pub fn devices() -> [Device; 2] {
    [Device::flex().autodiff(), Device::ndarray().autodiff()]
}

/// `rows` as a tensor `[n, d]`.
pub fn tensor(rows: &[Vec<f64>], device: &Device) -> Tensor<2> {
    let values: Vec<f32> = rows.iter().flatten().map(|v| *v as f32).collect();
    Tensor::from_data(TensorData::new(values, [rows.len(), rows[0].len()]), device)
}

/// The loss of `rows` and its gradient, row after row.
pub fn evaluate(rows: &[Vec<f64>], device: &Device, loss: impl FnOnce(Tensor<2>) -> Tensor<1>) -> (f32, Vec<f32>) {
    let embeddings = tensor(rows, device).require_grad();
    let loss = loss(embeddings.clone());
    let gradient = embeddings.grad(&loss.backward()).expect("a loss keeps its graph");
    (loss.into_scalar::<f32>(), gradient.try_into_vec_as::<f32>().unwrap())
}

/// A loss and the distance it is taken on.
#[derive(Clone, Copy, Debug)]
pub enum Loss {
    Contrastive(Distance, Contrastive),
    Triplet(Distance, TripletMargin),
    SupCon(SupCon),
}

impl Loss {
    /// The loss `[1]` over every tuple of the batch.
    pub fn of(self, embeddings: Tensor<2>, labels: &[usize]) -> Tensor<1> {
        let pairwise = |distance, embeddings| Pairwise::new(distance, embeddings, labels, None).unwrap();
        match self {
            Self::Contrastive(distance, loss) => loss.forward(&pairwise(distance, embeddings)),
            Self::Triplet(distance, loss) => loss.forward(&pairwise(distance, embeddings), None),
            Self::SupCon(loss) => loss.forward(embeddings, labels).unwrap(),
        }
    }
}
