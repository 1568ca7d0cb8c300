use super::log_sum_exp;
use burn::tensor::Tensor;
use nearfar_core::similarity::{dot_products, normalize_rows};

/// The row of `support [k, d]` (unit rows) nearest by cosine to each row of `z [n, d]`: `[n, d]`, without a graph.
pub fn nearest_neighbors(z: Tensor<2>, support: Tensor<2>) -> Tensor<2> {
    let nearest = dot_products(normalize_rows(z.detach()), support.clone().detach()).argmax(1); // [n, 1]
    support.detach().select(0, nearest.squeeze_dim(1))
}

/// NNCLR's loss of one direction (Dwibedi et al., 2021), equation 3: the neighbour `[n, d]` of a view must find the
/// prediction `[n, d]` of the other view among all predictions of the batch.
///
/// ```text
/// L = mean over i of ( - s_ii / t + log sum over j of exp(s_ij / t) )
/// ```
///
/// `s_ij` is the cosine of neighbour `i` and prediction `j`, the temperature `t` above 0 (0.2 in solo-learn). With
/// equal rows the value is `ln n`. The paper's symmetric loss averages both directions (solo-learn too).
///
/// # Panics
/// When the shapes differ.
pub fn nnclr(neighbors: Tensor<2>, predictions: Tensor<2>, temperature: f64) -> Tensor<1> {
    assert_eq!(neighbors.dims(), predictions.dims(), "every neighbour needs its prediction");
    let (nn, p) = (normalize_rows(neighbors), normalize_rows(predictions));
    let positive = (nn.clone() * p.clone()).sum_dim(1).div_scalar(temperature); // [n, 1]
    let logits = dot_products(nn, p).div_scalar(temperature); // [n, n]
    (log_sum_exp(logits, 1) - positive).mean()
}
