use super::image_of_row;
use burn::tensor::{Tensor, activation::softmax};
use nearfar_core::similarity::{dot_products, masked_logsumexp, normalize_rows, same_label};

/// Decoupled contrastive learning (Yeh et al., 2022), equation 6: NT-Xent without the positive in the denominator.
///
/// ```text
/// L_i = - s_ip / t + log sum over rows j of other images of exp(s_ij / t)
/// ```
///
/// Views `a`, `b` `[n, d]` of the same images; `s` are cosines. Mean over the `2n` rows, as in lightly, whose
/// temperature is 0.1. Needs two images.
///
/// # Panics
/// When the shapes differ or there are fewer than two images.
pub fn dcl(a: Tensor<2>, b: Tensor<2>, temperature: f64) -> Tensor<1> {
    decoupled(a, b, temperature, None)
}

/// [`dcl`] with the paper's von Mises-Fisher weights on the positives: `2 - n softmax(s_ip / sigma)` over the images of
/// the batch, without gradient. A pair that is already near counts less. `sigma` is 0.5 in the paper and in lightly.
///
/// # Panics
/// When the shapes differ or there are fewer than two images.
pub fn dclw(a: Tensor<2>, b: Tensor<2>, temperature: f64, sigma: f64) -> Tensor<1> {
    decoupled(a, b, temperature, Some(sigma))
}

fn decoupled(a: Tensor<2>, b: Tensor<2>, temperature: f64, sigma: Option<f64>) -> Tensor<1> {
    assert_eq!(a.dims(), b.dims(), "both views must hold the same images in the same order");
    let [n, _] = a.dims();
    assert!(n >= 2, "one image has no negatives");
    let device = a.device();
    let (a, b) = (normalize_rows(a), normalize_rows(b));
    let cosine = (a.clone() * b.clone()).sum_dim(1); // [n, 1]
    let z = Tensor::cat(vec![a, b], 0); // [2n, d]
    let logits = dot_products(z.clone(), z).div_scalar(temperature); // [2n, 2n]
    let images = image_of_row(2, n);
    let negatives = masked_logsumexp(logits, same_label(&images, &images, &device).bool_not()); // [2n, 1]
    let mut positive = cosine.clone().div_scalar(temperature); // [n, 1]
    if let Some(sigma) = sigma {
        let share = softmax(cosine.detach().div_scalar(sigma), 0); // [n, 1], sums to one
        positive = positive * share.mul_scalar(-(n as f64)).add_scalar(2.0);
    }
    // Both rows of an image have the same positive.
    negatives.mean() - positive.mean()
}
