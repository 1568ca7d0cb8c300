use super::log_sum_exp;
use burn::tensor::Tensor;
use nearfar_core::similarity::{dot_products, normalize_rows};

/// MoCo v3's loss of one direction (Chen, Xie and He, 2021): a query `[n, d]` must find its key `[n, d]` among the keys
/// of the batch.
///
/// ```text
/// L = 2 t mean over i of ( - s_ii / t + log sum over j of exp(s_ij / t) )
/// ```
///
/// `s_ij` is the cosine of query `i` and key `j`; the factor `2 t` is the authors' code's, so that the temperature
/// `t > 0` does not scale the gradient (1 for the paper's ResNet-50). The authors add both directions. With equal rows
/// the value is `2 t ln n`.
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
