use super::{image_of_row, log_sum_exp, stacked};
use burn::tensor::Tensor;
use nearfar_core::similarity::{
    cross_entropy, diagonal, dot_products, masked_logsumexp, same_label, same_label_positives,
};

/// The normalised-temperature cross entropy of SimCLR (Chen et al., 2020), equation 1: views `a`, `b` `[n, d]` of the
/// same `n` images, row by row.
///
/// ```text
/// L_i = - s_ip / t + log sum over rows j != i of exp(s_ij / t)
/// ```
///
/// `s` are cosines, the temperature `t` is above 0 (the paper's best: 0.1 on ImageNet, 0.5 on CIFAR-10). With equal
/// rows the value is `ln(2n - 1)`. Every one of the `2n` rows is an anchor with one positive and `2n - 2` negatives;
/// the value is the mean over the rows, as in the paper and in lightly. (The authors' code returns the sum of two
/// per-view means: twice this.) With a bank of negatives instead of the batch's, as lightly offers it, it is
/// [`info_nce`](fn@super::info_nce).
///
/// # Panics
/// When the shapes differ.
pub fn nt_xent(a: Tensor<2>, b: Tensor<2>, temperature: f64) -> Tensor<1> {
    nt_xent_views(&[a, b], None, temperature)
}

/// [`nt_xent`] of any number of views `[n, d]`, two at least: a row's positives are the other views of its image,
/// averaged outside the logarithm (SupCon's `L_out` with every image a class of its own). With two views and no bank
/// the two functions agree.
///
/// Unit rows `bank [k, d]` are negatives of every anchor beside those of the batch. Mean over the `views * n` rows.
///
/// # Panics
/// When there are fewer than two views or their shapes differ.
pub fn nt_xent_views(views: &[Tensor<2>], bank: Option<Tensor<2>>, temperature: f64) -> Tensor<1> {
    let z = stacked(views); // [v n, d]
    let [rows, _] = z.dims();
    let device = z.device();
    let images = image_of_row(views.len(), rows / views.len());
    let Some(bank) = bank else { return cross_entropy(z, None, &same_label_positives(&images), temperature) };
    let itself = diagonal(rows, &device);
    let logits = dot_products(z.clone(), z.clone()).div_scalar(temperature); // [v n, v n]
    let batch = masked_logsumexp(logits.clone(), itself.clone().bool_not()); // [v n, 1]
    let beside = log_sum_exp(dot_products(z, bank).div_scalar(temperature), 1); // [v n, 1]
    let all = log_sum_exp(Tensor::cat(vec![batch, beside], 1), 1);
    let no_positive = same_label(&images, &images, &device).bool_not().bool_or(itself);
    let positive = logits.mask_fill(no_positive, 0.0).sum_dim(1).div_scalar((views.len() - 1) as f64); // [v n, 1]
    (all - positive).mean()
}
