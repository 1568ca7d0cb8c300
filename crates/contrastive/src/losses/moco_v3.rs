use super::log_sum_exp;
use burn::tensor::Tensor;
use nearfar_core::similarity::{dot_products, normalize_rows};

/// MoCo v3's loss of one direction (Chen, Xie and He, 2021): a query `[n, d]` must find its key `[n, d]` among the keys
/// of the batch.
///
/// Cross entropy of the cosines over the temperature, mean over the queries, times `2 t` as in the authors' code, so
/// that the temperature does not scale the gradient. The authors add both directions.
///
/// # Panics
/// When the shapes differ.
pub fn moco_v3(queries: Tensor<2>, keys: Tensor<2>, temperature: f64) -> Tensor<1> {
    assert_eq!(queries.dims(), keys.dims(), "every query needs its key");
    let (q, k) = (normalize_rows(queries), normalize_rows(keys));
    let positive = (q.clone() * k.clone()).sum_dim(1).div_scalar(temperature); // [n, 1]
    let logits = dot_products(q, k).div_scalar(temperature); // [n, n]
    (log_sum_exp(logits, 1) - positive).mean().mul_scalar(2.0 * temperature)
}
