use burn::tensor::Tensor;
use nearfar_core::similarity::{dot_products, normalize_rows};

/// InfoNCE over a queue (He et al., 2020): queries and keys `[n, d]`, negatives `[k, d]` of unit length.
///
/// ```text
/// L = - q . k / t + log( exp(q . k / t) + sum over the queue of exp(q . negative / t) )
/// ```
///
/// Cross entropy of `1 + k` logits with the key as the right one, mean over the queries, which are normalised here like
/// the keys. The temperature `t` is above 0: 0.07 in MoCo v1, 0.2 in v2. With equal rows the value is `ln(k + 1)`. No
/// gradient reaches the keys or the queue if their tensors carry none.
///
/// # Panics
/// When queries and keys differ in shape.
pub fn info_nce(queries: Tensor<2>, keys: Tensor<2>, queue: Tensor<2>, temperature: f64) -> Tensor<1> {
    assert_eq!(queries.dims(), keys.dims(), "every query needs its key");
    let (q, k) = (normalize_rows(queries), normalize_rows(keys));
    let positive = (q.clone() * k).sum_dim(1); // [n, 1]
    let negative = dot_products(q, queue); // [n, k]
    let logits = Tensor::cat(vec![positive, negative], 1).div_scalar(temperature); // [n, 1 + k]
    let top = logits.clone().detach().max_dim(1); // [n, 1]
    let shifted = logits - top;
    let log_sum = shifted.clone().exp().sum_dim(1).log(); // [n, 1]
    (log_sum - shifted.narrow(1, 0, 1)).mean()
}
